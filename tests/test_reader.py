"""Readings from virtual meters with the quirks of real ones."""

from __future__ import annotations

import logging
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from logger.bus import Bus
from logger.domain.errors import BusError, EncodingError, PortError, SilentError
from logger.domain.quantity import CT_RATIO, SERIAL, Quantity
from logger.meter.adapt import RETRY_AFTER_MS
from logger.meter.reading import Reading
from logger.meter.session import MeterReader
from logger.meter.state import StateStore
from logger.models import Job, Value
from logger.models.plan import Block
from logger.simulate import Quirk, VirtualLine, quirks_named
from tests.lines import MODBUS_MODELS, bus_config, meter_config
from tests.readers import (
    JOBS,
    NOW,
    NOW_MS,
    SILENCE_S,
    Setup,
    complete,
    fixed_meter,
    line_of,
    real_meter,
    truth,
)


@pytest.mark.parametrize("name", MODBUS_MODELS)
def test_every_value_of_every_model_is_read_right(name: str) -> None:
    meter = real_meter(name)
    with line_of(meter) as setup:
        reader = setup.readers[0]
        read: dict[Quantity, Value] = {}
        for job in Job:
            if reader.blocks(job):
                reading = reader.read(job, NOW_MS)
                assert complete(reading), reading.failures or reading.rejected
                assert reading.requests == len(reader.blocks(job)) + (
                    meter.model.guard is not None and job is Job.FAST
                )
                read.update(reading.values)
    assert read == truth(meter)
    assert reader.errors == 0


def test_a_silent_block_is_cut_and_the_rest_flows(tmp_path: Path) -> None:
    """0x502A x 8 goes unanswered; 0x502A x 2 and 0x502C x 6 are answered."""
    meter = real_meter()
    states = StateStore(tmp_path)
    quirks = quirks_named(["no-long-block-502a"])
    with line_of(meter, quirks=quirks, states=states, timeout=SILENCE_S) as setup:
        reader = setup.readers[0]
        readings: list[Reading] = []
        while not readings or not complete(readings[-1]):
            setup.clock.now += 1
            readings.append(reader.read(Job.FAST, NOW_MS))
            assert len(readings) < 10
        # A second of timeout each, 0.2 s for any other request.
        silent, others = setup.bus.stats.silent, setup.bus.stats.answered
        assert silent * 1.0 + others * 0.2 <= 30
        assert readings[-1].values == {
            key: value for key, value in truth(meter).items() if key in readings[-1].values
        }
        assert len(readings[-1].values) == 23
        parts = list(reader.blocks(Job.FAST))
        assert len(parts) == 2
        for job in JOBS:
            assert complete(reader.read(job, NOW_MS))
        assert setup.bus.stats.silent == silent
        # After a restart nothing times out.
        again = setup.reader()
        assert complete(again.read(Job.FAST, NOW_MS))
        assert setup.bus.stats.silent == silent
        assert again.blocks(Job.FAST) == parts


def explore(setup: Setup) -> None:
    """Read until everything is there; a meter that seemed silent for once is asked again."""
    for _ in range(20):
        if complete(setup.readers[0].read(Job.FAST, NOW_MS)):
            return
        setup.clock.now += 60
    raise AssertionError("the meter was not read whole")


def test_partial_readings_flow_while_the_meter_is_explored() -> None:
    with line_of(
        real_meter(), quirks=quirks_named(["no-long-block-502a"]), timeout=SILENCE_S
    ) as setup:
        reader = setup.readers[0]
        counts: list[int] = []
        while not counts or counts[-1] < 23:
            first = setup.clock.now
            # Every request takes two seconds: a job has time for little of the search.
            clock = lambda first=first: first + 2 * setup.bus.stats.requests  # noqa: E731
            reader._clock = reader._explorer._clock = clock
            counts.append(len(reader.read(Job.FAST, NOW_MS).values))
            assert len(counts) < 20
        assert len(counts) > 2
        assert all(counts[1:])
        assert complete(reader.read(Job.SLOW, NOW_MS))


def test_the_full_block_is_tried_again_later(tmp_path: Path) -> None:
    quirks = quirks_named(["no-long-block-502a"])
    with line_of(
        real_meter(), quirks=quirks, states=StateStore(tmp_path), timeout=SILENCE_S
    ) as setup:
        reader = setup.readers[0]
        explore(setup)
        silent = setup.bus.stats.silent
        setup.now_ms += RETRY_AFTER_MS[0]
        reading = reader.read(Job.FAST, NOW_MS)
        assert complete(reading)
        assert len(reading.values) == 23
        assert setup.bus.stats.silent == silent + 1
        reader.read(Job.FAST, NOW_MS)
        assert setup.bus.stats.silent == silent + 1
        setup.line.set_quirks([])
        setup.now_ms += RETRY_AFTER_MS[1]
        assert complete(reader.read(Job.FAST, NOW_MS))
        assert reader.blocks(Job.FAST) == [Block(0x5002, 48)]
        assert setup.reader().blocks(Job.FAST) == [Block(0x5002, 48)]


@pytest.mark.parametrize(
    ("model", "quirk", "lacks"),
    [
        ("pro380", "refuse-pro1", {Quantity("error_code")}),
        ("pro380-compact", "refuse-gaps", set()),
        ("ambition-2pu-ct", "refuse-gaps", set()),
    ],
)
def test_refused_blocks_are_cut_at_once(
    model: str, quirk: str, lacks: set[Quantity], caplog: pytest.LogCaptureFixture
) -> None:
    meter = real_meter(model)
    with line_of(meter, quirks=quirks_named([quirk])) as setup:
        reader = setup.readers[0]
        read: dict[Quantity, Value] = {}
        for job in JOBS:
            reader.read(job, NOW_MS)
            reading = reader.read(job, NOW_MS)
            assert complete(reading)
            read |= reading.values
        refused = setup.bus.stats.refused
        for job in JOBS:
            reader.read(job, NOW_MS)
        assert setup.bus.stats.refused == refused
        expected = {one for one in truth(meter) if meter.model.by_quantity[one].job in JOBS}
        assert set(read) == expected - lacks
        assert set(reader.left_out) & expected == lacks
        assert caplog.text.count("left out") == len(lacks)


def test_another_meter_is_explored_afresh(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    meter = real_meter(settings={"serial": "22091039"})
    states = StateStore(tmp_path)
    with line_of(
        meter, quirks=quirks_named(["no-long-block-502a"]), states=states, timeout=SILENCE_S
    ) as setup:
        reader = setup.readers[0]
        reader.read(Job.IDENTITY, NOW_MS)
        explore(setup)
        setup.line.set_quirks([])
        meter.settings["serial"] = "17100649"
        reader = setup.reader()
        assert len(reader.blocks(Job.FAST)) == 2
        reader.read(Job.IDENTITY, NOW_MS)
        assert reader.blocks(Job.FAST) == [Block(0x5002, 48)]
        assert "17100649, it was 22091039" in caplog.text
        known = states.load("m1")
        assert known is not None
        assert known.serial == "17100649"


def test_a_dead_meter_costs_one_short_probe_a_step_and_comes_back() -> None:
    there, gone = real_meter(address=1), real_meter(address=2)
    with line_of(there, gone, timeout=SILENCE_S) as setup:
        alive, dead = setup.readers
        assert complete(dead.read(Job.FAST, NOW_MS))
        setup.line.set_quirks(quirks_named(["dead@2"]))
        asked = []
        for _ in range(300):  # five minutes, one round a second
            setup.clock.now += 1
            before = setup.bus.stats.requests
            assert complete(alive.read(Job.FAST, NOW_MS))
            reading = dead.read(Job.FAST, NOW_MS)
            assert isinstance(reading.failures[0].error, SilentError)
            assert not reading.values
            asked.append(setup.bus.stats.requests - before - 1)
            assert asked[-1] == reading.requests
        assert asked[0] == 2  # the block, and a short probe
        assert max(asked[1:]) == 1
        steps = [second for second, requests in enumerate(asked) if requests]
        assert steps == [0, 2, 6, 14, 30, 62, 122, 182, 242]
        assert dead.away
        # Back again: read in full with the next probe.
        setup.line.set_quirks([])
        back = [self_read(dead, setup) for _ in range(60)]
        assert back.index(True) < 60
        assert all(back[back.index(True) :])
        assert not dead.away
        assert complete(dead.read(Job.FAST, NOW_MS))


def test_a_dead_meter_among_sixty_costs_the_others_no_turn() -> None:
    """Sixty meters, one of them dead, each read every two seconds of a clock that only the
    turns move: the dead one costs a short probe a back-off step, not a timeout a turn."""
    there = [fixed_meter(address=address) for address in range(1, 61)]
    line = VirtualLine(there, clock=lambda: NOW, paced=False)
    line.set_quirks(quirks_named(["dead@30"]))
    turns, now_s = 20, 0.0
    good: Counter[str] = Counter()
    with line:
        configs = [meter_config(meter.address) for meter in there]
        bus = Bus(bus_config(line.start_tcp(), *configs, timeout=1.0))
        readers = [
            MeterReader(bus, config, there[0].model, lambda: NOW_MS, clock=lambda: now_s)
            for config in configs
        ]
        for turn in range(turns):
            now_s = 2.0 * turn
            for reader in readers:
                good[reader.meter.name] += complete(reader.read(Job.FAST, NOW_MS))
        bus.close()
    asked = sum(count for (address, *_), count in line.requests.items() if address == 30)
    assert {config.name: good[config.name] for config in configs} == {
        config.name: 0 if config.name == "m30" else turns for config in configs
    }
    assert 1 < readers[29].errors < turns / 2
    # A block, again, a probe; then at pauses of 2, 4, 8, 16 s.
    assert asked <= 3 + 4 * 2


def self_read(reader: MeterReader, setup: Setup) -> bool:
    setup.clock.now += 1
    return complete(reader.read(Job.FAST, NOW_MS))


def test_a_lost_frame_is_repeated_and_changes_no_plan() -> None:
    class Lossy(Quirk):
        name = "lossy"
        lost = 0

        def silences(self, pdu: bytes) -> bool:
            if pdu[3:5] == bytes((0, 48)) and self.lost == 0:
                self.lost += 1
                return True
            return False

    with line_of(real_meter(), timeout=SILENCE_S) as setup:
        reader = setup.readers[0]
        assert complete(reader.read(Job.FAST, NOW_MS))
        setup.line.set_quirks([Lossy()])
        reading = reader.read(Job.FAST, NOW_MS)
        assert complete(reading)
        assert reading.requests == 4  # the block, two short ones to settle, the block
        assert reader.blocks(Job.FAST) == [Block(0x5002, 48)]


def test_log_lines_mark_changes_only(caplog: pytest.LogCaptureFixture) -> None:
    with line_of(real_meter(), timeout=SILENCE_S) as setup, caplog.at_level(logging.INFO):
        reader = setup.readers[0]
        reader.read(Job.FAST, NOW_MS)
        setup.line.set_quirks(quirks_named(["dead"]))
        for _ in range(100):
            setup.clock.now += 1
            reader.read(Job.FAST, NOW_MS)
        setup.line.set_quirks([])
        setup.clock.now += 60
        reader.read(Job.FAST, NOW_MS)
    ours = [record.message for record in caplog.records if "meter m1" in record.message]
    assert len(ours) == 2
    assert "no answer" in ours[0]
    assert "reads again" in ours[1]


def test_a_closed_port_ends_the_job_without_trying_every_block() -> None:
    with line_of(real_meter("pro380-legacy")) as setup:
        reader = setup.readers[0]
        assert complete(reader.read(Job.FAST, NOW_MS))
        answered = reader.reads
        setup.line.stop()
        for number in range(1, 4):
            reading = reader.read(Job.FAST, NOW_MS)
            assert isinstance(reading.failures[0].error, PortError)
            assert len(reading.failures) == 1
            assert (reader.reads, reader.errors) == (answered, number)
        assert not reader.away


def test_integers_instead_of_floats_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    meter = real_meter("ambition-2pu-ct")
    right = truth(meter)
    with line_of(meter) as setup:
        setup.line.set_quirks(quirks_named(["integer-data-type"]))
        reader = setup.readers[0]
        for job in (Job.FAST, Job.SLOW, Job.FAST):
            reading = reader.read(job, NOW_MS)
            assert not reading.values
            error = reading.failures[0].error
            assert isinstance(error, EncodingError)
            assert "settings set m1 data_type standard" in error.hint
        reading = reader.read(Job.IDENTITY, NOW_MS)
        assert reading.values[SERIAL] == right[SERIAL]
        assert not [v for v in reading.values.values() if isinstance(v, Decimal)]
        assert caplog.text.count("settings set m1") == 1
        # Set back: the slow job finds out, and everything is logged again.
        meter.settings["data_type"] = 1
        assert complete(reader.read(Job.SLOW, NOW_MS))
        assert complete(reader.read(Job.FAST, NOW_MS))
        # Switched over while running: noticed by what the numbers look like.
        meter.settings["data_type"] = 2
        reading = reader.read(Job.FAST, NOW_MS)
        assert not reading.values
        assert isinstance(reading.failures[-1].error, EncodingError)


def test_an_unset_ratio_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with line_of(real_meter(), quirks=quirks_named(["unset-ct"])) as setup:
        reader = setup.readers[0]
        reading = reader.read(Job.IDENTITY, NOW_MS)
        reader.read(Job.IDENTITY, NOW_MS)
    assert reading.values[CT_RATIO] == "0005"
    assert caplog.text.count("CT ratio is 5/5") == 1


@pytest.mark.parametrize("model", ["pro380", "grow-701"])
def test_inverted_meters_are_turned_over(model: str) -> None:
    """Every counter that has a direction changes places with its opposite."""
    meter = real_meter(model, fixed=True)
    with line_of(meter) as setup:
        turned = meter_config(1, model=model, invert=True)
        reader = MeterReader(setup.bus, turned, meter.model, lambda: NOW_MS)
        values = reader.read(Job.SLOW, NOW_MS).values
    right = truth(meter)
    directed = {one for one in right if one.field.endswith(("_import", "_export"))} & set(values)
    assert len({one.field for one in directed}) == (6 if model == "grow-701" else 4)
    ways = {"import": "export", "export": "import"}
    for one in directed:
        kind, _, way = one.field.rpartition("_")
        assert values[one] == right[one._replace(field=f"{kind}_{ways[way]}")], one


@pytest.mark.parametrize(
    ("there", "configured", "sold_as"),
    [
        ("pro380", "ambition-2pu-ct", "PRO380-Mod DC"),
        ("ambition-2pu-ct", "pro380", "Ambition 2PU CT"),
        ("pro380", "pro380-compact", "PRO380-Mod DC"),
        ("pro380-compact", "pro380", "PRO380-Compact"),
        ("ambition-2pu-ct", "pro380-legacy", "Ambition 2PU CT"),
    ],
)
def test_the_wrong_model_is_named_once(
    there: str, configured: str, sold_as: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    states, quirks = StateStore(tmp_path), quirks_named(["refuse-gaps"])
    with line_of(real_meter(there), states=states, quirks=quirks) as setup:
        reader = setup.reader(model=configured)
        for _ in range(3):
            for job in (Job.SLOW, Job.FAST, Job.IDENTITY):  # as the schedule begins
                reader.read(job, NOW_MS)
        # After a restart the cuts are known, and the code may be among what is left out.
        again = setup.reader(model=configured)
        again.read(Job.IDENTITY, NOW_MS)
        right = setup.reader()
        right.read(Job.IDENTITY, NOW_MS)
    first = next(record for record in caplog.records if record.levelno >= logging.WARNING)
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert first.levelno == logging.ERROR
    assert len(errors) == 2
    assert f"it is a {sold_as}" in errors[0]
    assert f"({there}), configured as {configured}" in errors[0]
    assert f'model = "{there}"' in errors[0]
    assert isinstance(reader.wrong, BusError)
    assert isinstance(again.wrong, BusError)
    assert right.wrong is None
    if reader.last_good:
        assert reader.error is not None


def test_a_right_model_costs_one_question_more_and_once() -> None:
    """Whether it has a product code: only that tells a GROW from all others."""
    for name in MODBUS_MODELS:
        with line_of(real_meter(name)) as setup:
            reader = setup.readers[0]
            reading = reader.read(Job.IDENTITY, NOW_MS)
            planned = reading.requests
            grow = name.startswith("grow")
            assert planned == len(reader.blocks(Job.IDENTITY))
            asks = not grow and "meter_code" in reader.model.by_key
            assert setup.bus.stats.requests == planned + asks
            reader.read(Job.IDENTITY, NOW_MS)
            assert setup.bus.stats.requests == 2 * planned + asks
            assert reader.wrong is None


def test_what_a_meter_lacks_is_one_line_a_search(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for states, again in ((StateStore(tmp_path), True), (None, False)):
        caplog.clear()
        with line_of(real_meter("pro380"), states=states) as setup:
            reader = setup.reader(model="ambition-2pu-ct")
            for _ in range(4):
                for job in (Job.IDENTITY, Job.SLOW, Job.FAST):
                    reader.read(job, NOW_MS)
        lines = [one for one in caplog.messages if "left out" in one]
        blocks = sum(len(reader.blocks(job)) for job in Job)
        assert 0 < len(lines) <= blocks
        assert any("values (0x" in one for one in lines)
        assert all(("tried again later" in one) == again for one in lines)
        assert not any("meter m1: meter m1" in one for one in caplog.messages)


def test_the_wrong_model_is_refused_not_stuck() -> None:
    with line_of(real_meter("pro380-legacy")) as setup:
        reader = setup.reader(model="pro380")
        for _ in range(3):
            reading = reader.read(Job.FAST, NOW_MS)
            assert not reading.values
        assert not reader.away
        assert setup.bus.stats.refused > 0
        assert setup.bus.stats.silent == 0
