"""Registers to blocks: the fewest requests that fetch them all. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from logger.models.register import MAX_REGISTERS_PER_REQUEST, Job, Model, Register

_KEPT = 64  # models whose plans are kept: a site has many meters of few models


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """A run of registers fetched in one request: `count` registers from `address`."""

    address: int
    count: int

    @property
    def end(self) -> int:
        """The first address after the block."""
        return self.address + self.count

    def holds(self, register: Register) -> bool:
        """Return whether the whole of `register` lies in this block."""
        return self.address <= register.address and register.end <= self.end

    def contains(self, other: Block) -> bool:
        """Return whether the whole of `other` lies in this block."""
        return self.address <= other.address and other.end <= self.end

    def __str__(self) -> str:
        return f"0x{self.address:04X}..0x{self.end - 1:04X}"


def plan(
    registers: Iterable[Register],
    max_block: int = MAX_REGISTERS_PER_REQUEST,
    max_gap: int = MAX_REGISTERS_PER_REQUEST,
) -> tuple[Block, ...]:
    """Return the blocks, by address, that cover `registers` in the fewest requests.

    No block is longer than `max_block` registers, starts or ends in a gap, splits a
    value, or crosses more than `max_gap` registers that the table does not define.
    """
    blocks: list[Block] = []
    for register in sorted(registers, key=lambda register: register.address):
        last = blocks[-1] if blocks else None
        if (
            last is not None
            and register.address - last.end <= max_gap
            and register.end - last.address <= max_block
        ):
            blocks[-1] = Block(last.address, max(last.end, register.end) - last.address)
        else:
            blocks.append(Block(register.address, register.length))
    return tuple(blocks)


@lru_cache(maxsize=_KEPT)
def plans(model: Model) -> Mapping[Job, tuple[Block, ...]]:
    """Return the blocks of each job of `model`, as few as `plan` finds.

    Where that costs no request, all lengths differ: an answer that comes late can then
    never pass for the answer to another block.
    """
    found: dict[Job, tuple[Block, ...]] = {}
    taken: set[int] = set()
    for job in Job:
        registers = model.of_job(job)
        fewest = plan(registers, model.max_block, model.max_gap)
        for others in (taken, set()):
            if _differ(fewest, others):
                break
            cuts = _Cuts(registers, model.max_block, model.max_gap)
            if (spread := cuts.find(len(fewest), others)) is not None:
                fewest = spread
                break
        found[job] = fewest
        taken |= {block.count for block in fewest}
    return MappingProxyType(found)


def values_in(model: Model, block: Block) -> Sequence[tuple[int, int]]:
    """Return where the values of `model` lie in `block`: the offset and length of each."""
    return [
        (register.address - block.address, register.length)
        for register in model.registers
        if block.holds(register)
    ]


@lru_cache(maxsize=_KEPT)
def probes(model: Model, most: int = 5) -> tuple[Block, ...]:
    """Return short blocks of different lengths that every meter of `model` answers.

    They begin with the serial number, or with the first setting where there is none, and
    avoid the lengths of the plan's blocks as far as possible.
    """
    registers = sorted(model.registers, key=lambda register: register.address)
    lead = model.by_key.get("serial") or (model.of_job(Job.IDENTITY) or registers)[0]
    at = registers.index(lead)
    found = {lead.length: Block(lead.address, lead.length)}
    for before, register in itertools.pairwise(registers[at:]):
        if register.address != before.end:
            break
        count = register.end - lead.address
        if count > model.max_block:
            break
        found.setdefault(count, Block(lead.address, count))
        if len(found) > 2 * most:
            break
    for register in (*model.of_job(Job.IDENTITY), *registers):
        if len(found) < 2:  # nothing beside it: a value of another length has to do
            found.setdefault(register.length, Block(register.address, register.length))
    planned = {block.count for blocks in plans(model).values() for block in blocks}
    apart = [block for count, block in found.items() if count not in planned]
    return tuple(apart if len(apart) > 1 else found.values())[:most]


def _differ(blocks: Sequence[Block], taken: Set[int]) -> bool:
    counts = [block.count for block in blocks]
    return len(set(counts)) == len(counts) and not taken & set(counts)


class _Cuts:
    """Looks for other cuts between blocks, so that all lengths differ."""

    _STEPS = 20_000  # the search gives up after so many; every real table needs a few

    def __init__(self, registers: Iterable[Register], max_block: int, max_gap: int) -> None:
        self._registers = sorted(registers, key=lambda register: register.address)
        self._max_block = max_block
        self._max_gap = max_gap
        self._left = self._STEPS

    def find(self, requests: int, taken: Set[int]) -> tuple[Block, ...] | None:
        """Return `requests` blocks of lengths that differ and are not `taken`, or None."""
        self._left = self._STEPS
        found = self._from(0, requests, frozenset(taken))
        return None if found is None else tuple(found)

    def _from(self, start: int, requests: int, taken: frozenset[int]) -> list[Block] | None:
        if start == len(self._registers):
            return []
        if requests == 0:
            return None
        for end in self._ends(start):
            self._left -= 1
            if self._left < 0:
                return None
            first = self._registers[start].address
            block = Block(first, self._registers[end - 1].end - first)
            if block.count in taken:
                continue
            rest = self._from(end, requests - 1, taken | {block.count})
            if rest is not None:
                return [block, *rest]
        return None

    def _ends(self, start: int) -> list[int]:
        """Return where a block that begins at `start` may end, the furthest first."""
        ends = [start + 1]
        for index in range(start + 1, len(self._registers)):
            before, register = self._registers[index - 1], self._registers[index]
            if (
                register.address - before.end > self._max_gap
                or register.end - self._registers[start].address > self._max_block
            ):
                break
            ends.append(index + 1)
        return ends[::-1]
