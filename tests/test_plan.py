"""Plans: the fewest requests, every register once, lengths that tell blocks apart."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger import models
from logger.models import Encoding, Job, Model, Register
from logger.models.plan import Block, plan, plans, values_in
from tests.lines import MODBUS_MODELS
from tests.readers import value_by_value

MODELS = MODBUS_MODELS


@st.composite
def _registers(draw: st.DrawFn) -> list[Register]:
    address = draw(st.integers(0, 100))
    found = []
    for number in range(draw(st.integers(1, 40))):
        length = draw(st.sampled_from([1, 2, 2, 2, 3]))
        found.append(
            Register(
                address=address,
                length=length,
                encoding=Encoding.HEX,
                unit="",
                job=draw(st.sampled_from([Job.FAST, Job.SLOW])),
                field=f"value_{number}",
            )
        )
        address += length + draw(st.sampled_from([0, 0, 0, 1, 4, 90]))
    return found


def _model(registers: list[Register], max_block: int, max_gap: int) -> Model:
    return Model(
        name="any",
        title="any",
        manual="any, page 1",
        registers=tuple(registers),
        max_block=max_block,
        max_gap=max_gap,
    )


@given(_registers(), st.integers(3, 125), st.integers(0, 125))
def test_blocks_cover_every_register_once_within_the_limits(
    registers: list[Register], max_block: int, max_gap: int
) -> None:
    model = _model(registers, max_block, max_gap)
    for job, blocks in plans(model).items():
        of_job = model.of_job(job)
        assert len(blocks) == len(plan(of_job, max_block, max_gap))
        for register in of_job:
            assert sum(block.holds(register) for block in blocks) == 1
        for block in blocks:
            inside = [register for register in of_job if block.holds(register)]
            assert block.count <= max_block
            assert inside[0].address == block.address
            assert inside[-1].end == block.end
            for before, after in itertools.pairwise(inside):
                assert after.address - before.end <= max_gap
        for one, next_one in itertools.pairwise(blocks):
            assert one.end <= next_one.address


@given(_registers(), st.integers(3, 125), st.integers(0, 125))
def test_no_plan_has_fewer_requests(
    registers: list[Register], max_block: int, max_gap: int
) -> None:
    """Compare with a table that tries every cut (dynamic programming)."""
    best = [0] + [len(registers)] * len(registers)
    for end in range(1, len(registers) + 1):
        for start in range(end):
            part = registers[start:end]
            gaps = [b.address - a.end for a, b in itertools.pairwise(part)]
            length = part[-1].end - part[0].address
            if length <= max_block and all(gap <= max_gap for gap in gaps):
                best[end] = min(best[end], best[start] + 1)
    assert len(plan(registers, max_block, max_gap)) == best[-1]


def test_plans_of_the_models() -> None:
    """How many registers each request asks for. Of a new model: look whether a human would ask
    with fewer, and whether its limits allow them; then it has its line here."""
    grow = {
        "fast": [78],
        "slow": [4, 1, 125, 68, 40],
        "identity": [52, 1, 8, 1],
        "request": [2],
    }
    found = {
        name: {job.value: [block.count for block in blocks] for job, blocks in of.items()}
        for name, of in ((name, plans(models.load(name))) for name in MODELS)
        if name != "pro380-legacy"
    }
    expected = {
        "pro380": {"fast": [48], "slow": [75], "identity": [32], "request": [12]},
        "pro380-compact": {"fast": [48], "slow": [88], "identity": [34], "request": []},
        "ambition-2pu-ct": {
            "fast": [54],
            "slow": [125, 20],
            "identity": [53],
            "request": [124, 36, 122, 38],
        },
        "pro1": {"fast": [44], "slow": [73], "identity": [31], "request": []},
        "grow-701": grow,
        "grow-750": grow,
        "grow-800": grow | {"slow": [4, 1, 125, 66, 36], "identity": [52, 1, 8]},
        "grow-850": {
            "fast": [62],
            "slow": [125, 66, 36],
            "identity": [52, 1, 6],
            "request": [2],
        },
    }
    assert found == expected, "a new model needs its line here"


@pytest.mark.parametrize("name", [name for name in MODELS if not value_by_value(models.load(name))])
def test_all_lengths_of_a_meter_differ(name: str) -> None:
    """Single registers far apart from all others (GROW) cannot be of different lengths."""
    counts = [block.count for blocks in plans(models.load(name)).values() for block in blocks]
    counts = [count for count in counts if count > 1]
    assert len(counts) == len(set(counts))


def test_the_legacy_map_takes_one_request_a_value() -> None:
    model = models.load("pro380-legacy")
    found = plans(model)
    for job in Job:
        assert [(block.address, block.count) for block in found[job]] == [
            (register.address, register.length) for register in model.of_job(job)
        ]


def test_a_block_reads_as_addresses() -> None:
    assert str(Block(0x502A, 8)) == "0x502A..0x5031"


@given(_registers(), st.integers(3, 125), st.integers(0, 125))
def test_values_lie_in_a_block_where_they_were_asked_for(
    registers: list[Register], max_block: int, max_gap: int
) -> None:
    model = _model(registers, max_block, max_gap)
    found = [
        (block.address + offset, length)
        for block in plan(registers, max_block, max_gap)
        for offset, length in values_in(model, block)
    ]
    assert found == [(register.address, register.length) for register in registers]
