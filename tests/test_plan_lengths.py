"""Lengths of blocks against a search of every cut; probes; the bounds of a block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger import models
from logger.models import Encoding, Job, Model, Register
from logger.models.plan import Block, plan, plans, probes
from tests.lines import MODBUS_MODELS
from tests.readers import value_by_value

MODELS = [models.load(name) for name in MODBUS_MODELS]


def register(address: int, length: int = 2, job: Job = Job.FAST, field: str = "") -> Register:
    return Register(
        address=address, length=length, encoding=Encoding.HEX, unit="", job=job,
        field=field or f"value_{address}",
    )  # fmt: skip


def model_of(registers: Sequence[Register], max_block: int = 125, max_gap: int = 125) -> Model:
    return Model(
        name="any", title="any", manual="any, page 1", registers=tuple(registers),
        max_block=max_block, max_gap=max_gap,
    )  # fmt: skip


@st.composite
def _tables(draw: st.DrawFn) -> Model:
    address, found = 0, []
    for _ in range(draw(st.integers(2, 10))):
        length = draw(st.sampled_from([1, 2, 2, 3]))
        found.append(register(address, length, draw(st.sampled_from([Job.FAST, Job.SLOW]))))
        address += length + draw(st.sampled_from([0, 0, 0, 1, 4]))
    return model_of(found, draw(st.integers(3, 12)), draw(st.integers(0, 4)))


def every_cut(model: Model, registers: Sequence[Register]) -> Iterator[list[Block]]:
    """Yield every way to cover registers with blocks within the model's limits."""
    if not registers:
        yield []
    for end in range(1, len(registers) + 1):
        part = registers[:end]
        gaps = [b.address - a.end for a, b in itertools.pairwise(part)]
        block = Block(part[0].address, part[-1].end - part[0].address)
        if max(gaps, default=0) <= model.max_gap and block.count <= model.max_block:
            for rest in every_cut(model, registers[end:]):
                yield [block, *rest]


def distinct(blocks: Sequence[Block], taken: set[int]) -> bool:
    counts = [block.count for block in blocks]
    return len(set(counts)) == len(counts) and not taken & set(counts)


@given(_tables())
def test_lengths_differ_wherever_that_costs_no_request(model: Model) -> None:
    taken: set[int] = set()
    for job, blocks in plans(model).items():
        cuts = list(every_cut(model, model.of_job(job)))
        fewest = min(map(len, cuts))
        cuts = [cut for cut in cuts if len(cut) == fewest]
        assert list(blocks) in cuts
        if any(distinct(cut, taken) for cut in cuts):
            assert distinct(blocks, taken)
        elif any(distinct(cut, set()) for cut in cuts):
            assert distinct(blocks, set())
        else:
            assert blocks == plan(model.of_job(job), model.max_block, model.max_gap)
        taken |= {block.count for block in blocks}


def test_two_blocks_of_one_length_are_cut_elsewhere() -> None:
    registers = [register(address) for address in range(0, 20, 2)]
    counts = [block.count for block in plans(model_of(registers, max_block=10))[Job.FAST]]
    assert counts == [10, 10]  # nothing to move
    counts = [block.count for block in plans(model_of(registers, max_block=12))[Job.FAST]]
    assert counts == [12, 8]
    registers = [register(address) for address in (*range(0, 10, 2), *range(50, 60, 2))]
    assert plans(model_of(registers, 10, 0))[Job.FAST] == (Block(0, 10), Block(50, 10))


def test_blocks_of_another_job_have_other_lengths() -> None:
    registers = [register(address) for address in range(0, 12, 2)]
    registers += [register(address, job=Job.SLOW) for address in range(100, 118, 2)]
    found = plans(model_of(registers, max_block=12))
    assert [block.count for block in found[Job.FAST]] == [12]
    assert [block.count for block in found[Job.SLOW]] == [10, 8]


def test_a_gap_and_a_block_may_be_as_long_as_the_limit() -> None:
    registers = [register(0), register(7)]
    assert plan(registers, 9, 5) == (Block(0, 9),)
    assert plan(registers, 8, 5) == plan(registers, 9, 4) == (Block(0, 2), Block(7, 2))
    assert plan(list(reversed(registers)), 9, 5) == (Block(0, 9),)
    assert plan([]) == ()
    assert plan([register(0, 100), register(120, 5)]) == (Block(0, 125),)
    assert plan([register(0, 100), register(121, 5)]) == (Block(0, 100), Block(121, 5))


def test_a_value_inside_another_one_is_read_with_it() -> None:
    assert plan([register(0, 4), register(1, 1), register(4, 1)]) == (Block(0, 5),)


def test_what_lies_in_a_block() -> None:
    block = Block(10, 4)
    inside = [(10, 4), (10, 1), (13, 1), (11, 2)]
    outside = [(9, 2), (13, 2), (9, 6), (14, 1), (8, 2), (10, 5)]
    for address, count in inside:
        assert block.contains(Block(address, count))
        assert block.holds(register(address, count))
    for address, count in outside:
        assert not block.contains(Block(address, count))
        assert not block.holds(register(address, count))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_probes_are_short_differ_and_begin_with_the_serial_number(model: Model) -> None:
    found = probes(model)
    counts = [block.count for block in found]
    assert 2 <= len(found) <= 5
    assert len(set(counts)) == len(counts)
    planned = {
        block.count
        for job, blocks in plans(model).items()
        for block in blocks
        if job is not Job.REQUEST
    }
    apart = not value_by_value(model)
    assert (not planned & set(counts)) is apart
    lead = model.by_key["serial"]
    if apart:
        assert {block.address for block in found} == {lead.address}
    for block in found:
        inside = [one for one in model.registers if block.holds(one)]
        assert sum(one.length for one in inside) == block.count  # no gap in it


def chain(*lengths: int, job: Job = Job.IDENTITY, first: str = "serial") -> list[Register]:
    found, address = [], 0x4000
    for number, length in enumerate(lengths):
        found.append(register(address, length, job, first if not number else ""))
        address += length
    return found


def test_probes_grow_from_the_serial_number_on() -> None:
    registers = chain(2, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    lengths = [block.count for block in probes(model_of(registers))]
    assert lengths == [2, 3, 4, 6, 8]
    assert [block.count for block in probes(model_of(registers), most=3)] == [2, 3, 4]


def test_probes_avoid_the_lengths_of_the_plan() -> None:
    registers = [*chain(2, 1, 1, 2), register(0x5000, 2), register(0x5002, 2)]
    assert [block.count for block in plans(model_of(registers))[Job.FAST]] == [4]
    assert [block.count for block in probes(model_of(registers, max_gap=0))] == [2, 3]


def test_probes_end_at_a_gap() -> None:
    registers = [*chain(2, 1), register(0x4010, 1, Job.IDENTITY)]
    assert [block.count for block in probes(model_of(registers))] == [2, 3]


def test_with_nothing_beside_it_a_value_of_another_length_is_the_second_probe() -> None:
    registers = [*chain(2), register(0x5000, 2), register(0x6000, 3), register(0x7000, 1)]
    assert probes(model_of(registers, max_gap=0)) == (Block(0x4000, 2), Block(0x6000, 3))


def test_without_a_serial_number_probes_begin_with_the_first_setting_or_value() -> None:
    settings = [register(0x3000, 2), *chain(1, 2, first="ct_ratio")]
    assert probes(model_of(settings))[0] == Block(0x4000, 1)
    values = [register(0x3004, 2), register(0x3000, 2), register(0x3002, 1)]
    assert {block.address for block in probes(model_of(values))} == {0x3000}
