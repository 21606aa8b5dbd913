"""What is known of a meter: cutting blocks, pauses, state files, transformers."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger import models
from logger.domain.quantity import Quantity
from logger.domain.wiring import live_phases
from logger.meter.adapt import RETRY_AFTER_MS, AdaptivePlan, Cut, Search
from logger.meter.backoff import Pause
from logger.meter.state import MeterState, StateStore
from logger.meter.transformers import ct_problem, ct_ratio
from logger.models import Job, Value
from logger.models.plan import Block, plans, probes
from logger.store.statefile import StateFile
from tests.lines import MODBUS_MODELS
from tests.readers import value_by_value

PRO380 = models.load("pro380")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_search_finds_the_longest_parts_in_few_questions(data: st.DataObject) -> None:
    """The meter lacks some values and answers no block that crosses some borders."""
    job = data.draw(st.sampled_from([Job.FAST, Job.SLOW, Job.IDENTITY]))
    registers = PRO380.of_job(job)
    addresses = [register.address for register in registers]
    lacks = data.draw(st.sets(st.sampled_from(addresses), max_size=2))
    borders = data.draw(st.sets(st.sampled_from(addresses[1:]), max_size=2))

    def answers(block: Block) -> bool:
        inside = [address for address in addresses if block.address <= address < block.end]
        crossed = any(block.address < border < block.end for border in borders)
        return not crossed and not lacks.intersection(inside)

    whole = Block(registers[0].address, registers[-1].end - registers[0].address)
    if answers(whole):
        return
    search, questions = Search(registers), 0
    while search.block is not None:
        search.record(answers(search.block))
        questions += 1
    assert all(answers(part) for part in search.parts)
    for register in registers:
        held = sum(part.holds(register) for part in search.parts)
        assert held == (register.address not in lacks)
    assert len(search.parts) <= len(borders) + len(lacks) + 1
    assert questions <= 7 * (len(borders) + 2 * len(lacks) + 1)
    for one, following in zip(search.parts, search.parts[1:], strict=False):
        assert not answers(Block(one.address, following.end - one.address))


def _plan() -> AdaptivePlan:
    return AdaptivePlan(plans(PRO380), {job: PRO380.of_job(job) for job in Job})


def _cut(plan: AdaptivePlan, block: Block, border: int, now_ms: int) -> None:
    search = plan.searches[block]
    while search.block is not None:
        search.record(not search.block.address < border < search.block.end)
    assert plan.finish(block, now_ms)


def test_a_block_that_worked_is_only_cut_after_several_jobs() -> None:
    plan = _plan()
    fast = plan.blocks(Job.FAST)[0]
    plan.worked(fast)
    assert [plan.failed(fast, Job.FAST, 0) for _ in range(3)] == [False, False, True]
    plan = _plan()
    plan.worked(fast)
    plan.failed(fast, Job.FAST, 0)
    plan.failed(fast, Job.FAST, 0)
    plan.worked(fast)
    assert not plan.failed(fast, Job.FAST, 0)


def test_cuts_are_tried_in_full_after_minutes_then_hours_then_days() -> None:
    plan = _plan()
    fast = plan.blocks(Job.FAST)[0]
    assert plan.failed(fast, Job.FAST, 0)
    _cut(plan, fast, 0x502C, now_ms=1000)
    parts = [Block(0x5002, 42), Block(0x502C, 6)]
    assert plan.blocks(Job.FAST) == parts
    now_ms, waits = 1000, (*RETRY_AFTER_MS, RETRY_AFTER_MS[-1])
    assert [round(wait / 60_000) for wait in waits] == [5, 60, 360, 1440, 10_080, 10_080]
    for wait in waits:
        assert plan.to_retry(Job.FAST, now_ms + wait - 1) is None
        now_ms += wait
        assert plan.to_retry(Job.SLOW, now_ms) is None
        assert plan.to_retry(Job.FAST, now_ms) == fast
        plan.retried(fast, False, now_ms)
        assert plan.blocks(Job.FAST) == parts
    assert plan.to_retry(Job.FAST, 5) is None  # the clock was put back
    assert plan.to_retry(Job.FAST, 5 + RETRY_AFTER_MS[-1]) == fast
    plan.retried(fast, True, now_ms)
    assert plan.blocks(Job.FAST) == [fast]


def test_a_search_in_vain_leaves_the_plan_and_pauses() -> None:
    plan = _plan()
    (fast,) = plan.blocks(Job.FAST)
    assert plan.failed(fast, Job.FAST, 100.0)
    search = plan.searches[fast]
    while search.block is not None and not search.baseless:
        search.record(False)
    assert not plan.finish(fast, 1)
    plan.give_up(fast, 100.0)
    assert plan.blocks(Job.FAST) == [fast]
    assert not plan.failed(fast, Job.FAST, 101.9)
    assert plan.failed(fast, Job.FAST, 102.0)
    plan.give_up(fast, 102.0)
    assert not plan.failed(fast, Job.FAST, 105.9)
    plan.worked(fast)
    assert [plan.failed(fast, Job.FAST, 105.9) for _ in range(3)] == [False, False, True]


def test_what_is_found_missing_is_asked_for_once_more() -> None:
    registers = PRO380.of_job(Job.FAST)
    lacks = {registers[3].address, registers[20].address}

    def found(again: set[int]) -> Search:
        search, whole = Search(registers), False
        while (part := search.block) is not None:
            whole |= part == Block(0x5002, 48)
            gone = again if whole else lacks
            search.record(not any(part.address <= one < part.end for one in gone))
        return search

    assert not found(lacks).refuted
    assert {one.address for one in found(lacks).lacking} == lacks
    assert found(set()).refuted
    assert found({registers[3].address}).refuted


def test_no_job_is_left_without_a_block() -> None:
    legacy = models.load("pro380-legacy")
    plan = AdaptivePlan(plans(legacy), {job: legacy.of_job(job) for job in Job})
    blocks = plan.blocks(Job.IDENTITY)
    for number, block in enumerate(blocks, start=1):
        assert plan.failed(block, Job.IDENTITY, 0)
        search = plan.searches[block]
        search.evident = True
        search.record(False)
        assert plan.finish(block, 1) == (number < len(blocks))
    assert plan.blocks(Job.IDENTITY) == blocks[-1:]


def test_a_part_that_fails_later_is_cut_again() -> None:
    plan = _plan()
    slow = plan.blocks(Job.SLOW)[0]
    plan.failed(slow, Job.SLOW, 0)
    _cut(plan, slow, 0x6024, 1)
    first = plan.blocks(Job.SLOW)[0]
    assert [plan.failed(first, Job.SLOW, 0) for _ in range(3)] == [False, False, True]
    _cut(plan, first, 0x600C, 1)
    assert [block.address for block in plan.blocks(Job.SLOW)] == [0x6000, 0x600C, 0x6024]
    assert not plan.left_out()
    plan.forget()
    assert plan.blocks(Job.SLOW) == [slow]


def test_cuts_that_do_not_fit_the_table_are_not_taken_over() -> None:
    plan = _plan()
    slow = plan.blocks(Job.SLOW)[0]
    plan.restore(
        {
            Block(0x5002, 44): Cut((Block(0x5002, 2),), 7),
            slow: Cut((Block(0x6000, 2), Block(0x7000, 2)), 7),
            plan.blocks(Job.IDENTITY)[0]: Cut((), 7),
            plan.blocks(Job.FAST)[0]: Cut((Block(0x5002, 42), Block(0x502C, 6)), 7),
        }
    )
    assert plan.blocks(Job.SLOW) == [slow]
    assert len(plan.blocks(Job.FAST)) == 2
    assert len(plan.blocks(Job.IDENTITY)) == 1


def test_pauses_grow_to_a_minute() -> None:
    pause, now, lengths = Pause(), 100.0, []
    assert not pause.lasts(now)
    for _ in range(8):
        pause.silent(now)
        assert pause.lasts(pause.until - 0.01)
        lengths.append(pause.until - now)
        now = pause.until
        assert not pause.lasts(now)
    assert lengths == [2, 4, 8, 16, 32, 60, 60, 60]
    pause.answered()
    pause.silent(now)
    assert pause.until - now == 2


@pytest.mark.parametrize("name", MODBUS_MODELS)
def test_probes_are_short_and_tell_apart(name: str) -> None:
    model = models.load(name)
    found = probes(model)
    assert len({block.count for block in found}) == len(found) >= 2
    assert max(block.count for block in found) <= 8
    planned = {
        block.count
        for job, blocks in plans(model).items()
        for block in blocks
        if job is not Job.REQUEST
    }
    if not value_by_value(model):
        assert not planned.intersection(block.count for block in found)


def test_state_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "buffer.sqlite.state")
    assert store.load("grid") is None
    state = MeterState(
        meter="main board/grid",
        model="pro380",
        serial="22091039",
        software_version="2.18",
        address=7,
        port="/dev/ttyUSB0",
        cuts={Block(0x5002, 48): Cut((Block(0x5002, 42), Block(0x502C, 6)), 1_750_000_000_123, 2)},
    )
    store.save(state)
    assert store.load("main board/grid") == state
    assert [path.parent for path in tmp_path.rglob("*.json")] == [store.directory]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"version": 2, "meter": "grid", "model": "pro380"}',
        '{"version": 1, "meter": "pv", "model": "pro380"}',
        '{"version": 1, "meter": "grid", "model": "pro380", "address": "x"}',
        '{"version": 1, "meter": "grid", "model": "pro380", "cuts": [{"block": [1, 0]}]}',
    ],
)
def test_a_broken_state_file_is_set_aside(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "grid.json"
    if text.startswith("{") and text.endswith("}"):  # whole and checked, but of no use
        StateFile(path).save(json.loads(text))
        text = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    store = StateStore(tmp_path)
    assert store.load("grid") is None
    assert (tmp_path / "grid.json.unreadable").read_text(encoding="utf-8") == text
    assert "set aside" in caplog.text
    store.save(MeterState(meter="grid", model="pro380"))
    assert store.load("grid") == MeterState(meter="grid", model="pro380")


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_no_bytes_in_a_state_file_stop_anything(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    directory = tmp_path_factory.mktemp("state")
    (directory / "grid.json").write_bytes(raw)
    assert StateStore(directory).load("grid") is None


def test_a_directory_that_cannot_be_written_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file where a directory should be", encoding="utf-8")
    store = StateStore(tmp_path / "state")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            store.save(MeterState(meter="grid", model="pro380"))
    assert sum("cannot be written" in record.message for record in caplog.records) == 1


def test_the_state_file_is_plain_json(tmp_path: Path) -> None:
    StateStore(tmp_path).save(MeterState(meter="grid", model="pro380", serial="1"))
    saved = json.loads((tmp_path / "grid.json").read_text(encoding="utf-8"))
    assert saved["state"]["serial"] == "1"


@pytest.mark.parametrize(
    ("model", "fields", "ratio", "bad"),
    [
        ("pro380", {"meter_code": "0103", "ct_ratio": "0005", "ct_mode": 5}, (5, 5), True),
        ("pro380", {"meter_code": "0103", "ct_ratio": "0005", "ct_mode": 1}, (5, 1), False),
        ("pro380", {"meter_code": "0103", "ct_ratio": "0005", "ct_mode": 0}, (5, 5), True),
        ("pro380", {"meter_code": "2008", "ct_ratio": "0250", "ct_mode": 5}, (250, 5), False),
        ("pro380", {"meter_code": "0102", "ct_ratio": "0005"}, (5, 5), False),
        ("pro380", {"meter_code": "0103"}, None, False),
        ("ambition-2pu-ct", {"meter_code": "1113", "ct_ratio": "99950005"}, (9995, 5), False),
        ("ambition-2pu-ct", {"meter_code": "1113", "ct_ratio": "00050005"}, (5, 5), True),
        ("ambition-2pu-ct", {"meter_code": "1113", "ct_ratio": "00000000"}, (0, 0), True),
        ("ambition-2pu-ct", {"meter_code": "1111", "ct_ratio": "00050005"}, (5, 5), False),
    ],
)
def test_an_unset_ratio_is_a_problem_of_transformer_meters(
    model: str, fields: dict[str, str | int], ratio: tuple[int, int] | None, bad: bool
) -> None:
    values: dict[Quantity, Value] = {Quantity(name): value for name, value in fields.items()}
    assert ct_ratio(values) == ratio
    assert bool(ct_problem(models.load(model), values)) == bad


def test_phases_by_wiring() -> None:
    assert live_phases("3P4W") == ("L1", "L2", "L3")
    assert live_phases("3P3W") == ("L1", "L3")
    assert live_phases("1P2W") == ("L1",)
