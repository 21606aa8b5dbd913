"""Registers to blocks: the fewest requests that fetch them all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from logger.meters.register import MAX_REGISTERS_PER_REQUEST, Register


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
        """Tell whether the whole of `register` lies in this block."""
        return self.address <= register.address and register.end <= self.end

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
