"""A unit that answers like the meter itself: the same registers, the same words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from logger.bus.busload import ANSWER_DELAY_S
from logger.domain.errors import ConfigError
from logger.meter.session import MeterReader
from logger.models import Register
from logger.models.plan import Block, plan
from logger.share.demand import Demand, Outcome
from logger.share.pdu import Code, Write
from logger.share.words import Words
from logger.share.writing import change_of

Done = Callable[[Outcome], None]
_LAYOUTS = 512
# A question takes no longer than the line can spare, less what follows a late answer: two
# short questions by which the log finds its place again.
_AFTER_S = 4 * ANSWER_DELAY_S


@dataclass(frozen=True, slots=True)
class _Layout:
    """The registers that a block touches; none when the meter would refuse it."""

    registers: tuple[Register, ...]


class MeterUnit:
    """The registers of the meter of `reader`, from `words` or from its line.

    FC03 and FC04 read the same registers.
    """

    def __init__(self, reader: MeterReader, words: Words, demand: Demand) -> None:
        self.reader = reader
        self.words = words
        self._demand = demand
        self._model = reader.model
        self._ranges = _ranges(reader.model.registers, reader.model.max_gap)
        self._layouts: dict[Block, _Layout] = {}
        longest = demand.lending.longest_s
        self._timeout_s = max(longest - _AFTER_S, longest / 2)

    def read(self, block: Block, now: float, done: Done) -> None:
        """Answer with the words of `block`, young enough, or with an exception."""
        if self.words.silent:
            done(Code.NO_ANSWER)
            return
        registers = self._layout(block).registers
        if not registers:
            done(Code.ILLEGAL_ADDRESS)
            return
        have = self.words.fresh(registers, now)
        lacking = [one for one in registers if one.address not in have]
        if not lacking:
            done(_assembled(block, registers, have))
            return
        left = list(plan(lacking, self._model.max_block, self._model.max_gap))
        self._fetch(left, have, done, lambda: _assembled(block, registers, have))

    def write(self, request: Write, done: Done) -> str:
        """Write to the meter if its manual allows it; return what, in words, "" if not."""
        if self.words.silent:
            done(Code.NO_ANSWER)
            return ""
        try:
            change = change_of(self._model, request)
        except ConfigError:
            done(Code.ILLEGAL_VALUE)
            return ""
        if change is None:
            done(Code.ILLEGAL_ADDRESS)
            return ""
        block = Block(request.address, len(request.words))

        def run() -> Sequence[int]:
            try:
                self.reader.write(request.address, request.words, request.function, self._timeout_s)
            finally:
                self.words.drop(block)
            return ()

        self._demand.ask(object(), run, done, remember=False)
        return f"{change.register.name} = {change.wanted}"

    def _fetch(
        self,
        left: list[Block],
        have: dict[int, tuple[int, ...]],
        done: Done,
        whole: Callable[[], Sequence[int]],
    ) -> None:
        """Ask the line for the blocks in `left`, one after another."""
        block = left.pop(0)

        def came(outcome: Outcome) -> None:
            if isinstance(outcome, Code):
                done(outcome)
                return
            for register in self._model.registers:
                if block.holds(register):
                    start = register.address - block.address
                    have[register.address] = tuple(outcome[start : start + register.length])
            if left:
                self._fetch(left, have, done, whole)
            else:
                done(whole())

        run = partial(self.reader.fetch, block, self._timeout_s)
        self._demand.ask((self.reader.meter.name, block), run, came)

    def _layout(self, block: Block) -> _Layout:
        found = self._layouts.get(block)
        if found is None:
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            found = self._layouts[block] = _Layout(tuple(self._touched(block)))
        return found

    def _touched(self, block: Block) -> Sequence[Register]:
        inside = any(first <= block.address and block.end <= end for first, end in self._ranges)
        if not inside:
            return ()
        return [
            one
            for one in self._model.registers
            if one.address < block.end and one.end > block.address
        ]


def _ranges(registers: Sequence[Register], max_gap: int) -> Sequence[tuple[int, int]]:
    """Return begin and end of each run that one request may read: wider gaps end it."""
    found: list[tuple[int, int]] = []
    for one in sorted(registers, key=lambda register: register.address):
        if found and one.address - found[-1][1] <= max_gap:
            found[-1] = (found[-1][0], one.end)
        else:
            found.append((one.address, one.end))
    return found


def _assembled(
    block: Block, registers: Sequence[Register], have: dict[int, tuple[int, ...]]
) -> Sequence[int]:
    """Return the words of `block`; what no register holds is 0."""
    words = [0] * block.count
    for register in registers:
        for offset, word in enumerate(have[register.address]):
            at = register.address + offset - block.address
            if 0 <= at < block.count:
                words[at] = word
    return words
