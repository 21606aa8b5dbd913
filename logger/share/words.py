"""The newest words of one meter as they came over the line, each value with its moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from logger.models import Job, Model, Register
from logger.models.plan import Block

_Kept = tuple[tuple[int, ...], float]


class Words:
    """What a meter of `model` sent. `ages` says how old the values of a job may be, seconds.

    Kept by the worker of the bus, read by the server: a value and its moment are one tuple,
    so neither needs a lock. Moments are monotonic.
    """

    def __init__(self, model: Model, ages: Mapping[Job, float]) -> None:
        self._ages = ages
        self._registers = model.registers
        self._kept: dict[int, _Kept] = {}
        self._in_block: dict[Block, tuple[Register, ...]] = {}
        self.silent = False  # the meter does not answer: nothing is kept for it

    def keep(self, block: Block, words: Sequence[int], at: float) -> None:
        """Take the words of `block`, whose answer was complete at `at`."""
        self.silent = False
        inside = self._in_block.get(block)
        if inside is None:
            inside = tuple(one for one in self._registers if block.holds(one))
            if len(self._in_block) < 64:
                self._in_block[block] = inside
        for register in inside:
            start = register.address - block.address
            self._kept[register.address] = (tuple(words[start : start + register.length]), at)

    def lose(self) -> None:
        """Forget everything: the meter is silent."""
        self.silent = True
        self._kept = {}

    def drop(self, block: Block) -> None:
        """Forget the values that `block` touches: something was written there."""
        for register in self._registers:
            if register.address < block.end and register.end > block.address:
                self._kept.pop(register.address, None)

    def fresh(self, registers: Iterable[Register], now: float) -> dict[int, tuple[int, ...]]:
        """Return the words of those of `registers` that are young enough, by address."""
        found = {}
        for register in registers:
            kept = self._kept.get(register.address)
            if kept is not None and now - kept[1] <= self._ages[register.job]:
                found[register.address] = kept[0]
        return found
