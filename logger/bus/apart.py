"""Reading a block where another master asks the same meter for as many registers. Pure.

An answer to a read carries no register address, only its length. So the block is read in
parts of lengths that nobody else asks for: between two values where that is possible,
else within a value, whose parts then have to be the same before and after. Where every
length is in use the whole is asked for twice, each time alone on the line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from logger.domain.errors import SharedLineError
from logger.models.plan import Block

Ask = Callable[[Block], list[int]]
Span = tuple[int, int]  # offset in the block, and length
# A value in parts, and a block alone on the line, are tried so often.
_ROUNDS = 7


def parts_of(
    block: Block, values: Sequence[Span], taken: Collection[int]
) -> Sequence[Block] | None:
    """Return the fewest blocks that hold all `values` of `block`, none of a `taken` length.

    No value is cut, none begins or ends in a gap. None when there are no such blocks.
    """
    spans = sorted(values)
    best: list[Sequence[Block] | None] = [None] * (len(spans) + 1)
    best[len(spans)] = ()
    for first in range(len(spans) - 1, -1, -1):
        for last in range(len(spans), first, -1):
            rest = best[last]
            count = max(at + length for at, length in spans[first:last]) - spans[first][0]
            known = best[first]
            if rest is None or count in taken or (known and len(known) <= len(rest) + 1):
                continue
            best[first] = (Block(block.address + spans[first][0], count), *rest)
    return best[0]


def read_in_parts(ask: Ask, block: Block, parts: Sequence[Block]) -> list[int]:
    """Return the words of `block` from its `parts`; those of a gap are 0."""
    words = [0] * block.count
    for part in parts:
        at = part.address - block.address
        words[at : at + part.count] = ask(part)
    return words


def read_within(ask: Ask, block: Block, parts: Sequence[Block]) -> list[int]:
    """Return the words of a value in `parts`, when they were the same before and after."""
    words = read_in_parts(ask, block, parts)
    unchanged = 0
    for turn in range(_ROUNDS * (len(parts) - 1)):
        part = parts[turn % len(parts)]
        at = part.address - block.address
        fresh = ask(part)
        unchanged = unchanged + 1 if words[at : at + part.count] == fresh else 0
        words[at : at + part.count] = fresh
        if unchanged == len(parts) - 1:
            return words
    raise SharedLineError(
        f"{block} changes while its registers are read one after the other",
        "another master asks for as many registers at a time: let it ask for other lengths",
    )


def read_alone(alone: Callable[[Block], list[int] | None], block: Block, where: str) -> list[int]:
    """Return the words that two questions in a row got, each answered once and no more.

    `alone` returns None when there was more than one answer that fits.
    """
    known: list[int] | None = None
    for _ in range(_ROUNDS):
        words = alone(block)
        if words is not None and words == known:
            return words
        known = words
    raise SharedLineError(
        f"{where}: another master asks this meter for {block.count} registers, too, without "
        "pause: nobody can tell whose the answers are",
        "let it ask more rarely, or for other lengths",
    )
