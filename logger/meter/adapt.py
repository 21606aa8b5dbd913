"""Which blocks a meter really answers: found by trying, kept, tried in full again. Pure.

Some meters refuse a block that crosses a register they lack; some let a block go
unanswered although they answer its parts. Such a block is cut so that each part is as
long as the meter answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from logger.models.plan import Block
from logger.models.register import Job, Register

# A block is tried in full again after this long: the fault may have been the line's.
RETRY_AFTER_MS = 7 * 86_400_000
# A block that worked before has to fail in so many jobs before it is cut.
STRIKES = 3
# So many values are called by their names.
_FEW = 3


class Search:
    """Cuts a failing block of `registers` into the longest parts that the meter answers.

    Ask for `block` until it is None and tell the outcome each time. Every cut is found
    by halving, so 24 values with one bad place take about six questions.
    """

    def __init__(self, registers: Iterable[Register]) -> None:
        self._left = sorted(registers, key=lambda register: register.address)
        self._works, self._fails = 0, len(self._left)  # of how many values from the first on
        self.parts: list[Block] = []
        self._conclude()

    @property
    def block(self) -> Block | None:
        """The block to ask for next; None when the search is over."""
        return _block(self._left[: self._next()]) if self._left else None

    def record(self, answered: bool) -> None:
        """Note whether the meter answered `block`."""
        if answered:
            self._works = self._next()
        else:
            self._fails = self._next()
        self._conclude()

    def _next(self) -> int:
        if self._fails > len(self._left):  # the rest after a cut: first as a whole
            return len(self._left)
        return (self._works + self._fails) // 2

    def _conclude(self) -> None:
        while self._left and (self._works == len(self._left) or self._fails == self._works + 1):
            if self._works:
                self.parts.append(_block(self._left[: self._works]))
            # Without any that works the first value is one that the meter does not have.
            self._left = self._left[self._works or 1 :]
            self._works, self._fails = 0, len(self._left) + 1


def _block(registers: Sequence[Register]) -> Block:
    return Block(registers[0].address, registers[-1].end - registers[0].address)


def named(registers: Sequence[Register]) -> str:
    """Return `registers` for a message: a few by name, many as ranges of addresses."""
    if len(registers) <= _FEW:
        return ", ".join(f"0x{one.address:04X} ({one.name})" for one in registers)
    runs: list[list[Register]] = []
    for one in sorted(registers, key=lambda register: register.address):
        if runs and runs[-1][-1].end == one.address:
            runs[-1].append(one)
        else:
            runs.append([one])
    places = (
        f"0x{run[0].address:04X}" + (f"-0x{run[-1].end - 1:04X}" if len(run) > 1 else "")
        for run in runs
    )
    return f"{len(registers)} values ({', '.join(places)})"


@dataclass(slots=True)
class AdaptivePlan:
    """The blocks of one meter: as planned, or as cut to what it answers.

    `full` are the blocks by job as the table allows them. `cuts` are the parts that
    work of those that do not; values in no part are left out. `tried_ms` is when the
    cut blocks were last tried in full, milliseconds UTC.
    """

    full: Mapping[Job, tuple[Block, ...]]
    registers: Mapping[Job, tuple[Register, ...]]
    cuts: dict[Block, tuple[Block, ...]] = field(default_factory=dict)
    tried_ms: int = 0
    searches: dict[Block, Search] = field(default_factory=dict)
    _proven: set[Block] = field(default_factory=set)
    _strikes: Counter[Block] = field(default_factory=Counter)

    def blocks(self, job: Job) -> list[Block]:
        """Return what to ask for, leaving out what a search is at work on."""
        return [part for block in self.full[job] for part in self.cuts.get(block, (block,))]

    def all_parts(self) -> list[Block]:
        """Return the parts of all blocks that were cut, by address."""
        return sorted(part for parts in self.cuts.values() for part in parts)

    def restore(self, cuts: Mapping[Block, tuple[Block, ...]], tried_ms: int) -> None:
        """Take over cuts found earlier, as far as they fit the table of today."""
        for block, parts in cuts.items():
            job = self._job_of(block)
            if job is not None and all(
                block.address <= p.address < p.end <= block.end for p in parts
            ):
                self.cuts[block] = parts
                self._proven.update(parts)
        self.tried_ms = tried_ms

    def forget(self) -> None:
        """Begin afresh: it is another meter."""
        self.cuts.clear()
        self.searches.clear()
        self._proven.clear()
        self._strikes.clear()

    def worked(self, block: Block) -> None:
        """Note that the meter answered `block`."""
        self._proven.add(block)
        self._strikes.pop(block, None)

    def failed(self, block: Block, job: Job) -> bool:
        """Note that a meter that is there did not answer `block`; tell whether to search."""
        self._strikes[block] += 1
        if self._strikes[block] < (STRIKES if block in self._proven else 1):
            return False
        self._strikes.pop(block, None)
        self.searches[block] = Search(r for r in self.registers[job] if block.holds(r))
        return True

    def finish(self, block: Block, now_ms: int) -> list[Register]:
        """Put the parts that the search found in the place of `block`.

        Returns the values that the meter does not have.
        """
        parts = tuple(self.searches.pop(block).parts)
        lacking: list[Register] = []
        for job, blocks in self.full.items():
            for whole in blocks:
                current = self.cuts.get(whole, (whole,))
                if block not in current:
                    continue
                at = current.index(block)
                self.cuts[whole] = (*current[:at], *parts, *current[at + 1 :])
                lacking = [
                    register
                    for register in self.registers[job]
                    if block.holds(register) and not any(part.holds(register) for part in parts)
                ]
        self._proven.discard(block)
        self._proven.update(parts)
        if not self.tried_ms or self.tried_ms > now_ms:
            self.tried_ms = now_ms
        return lacking

    def to_retry(self, job: Job, now_ms: int) -> Block | None:
        """Return a block of `job` that is due to be tried in full."""
        if self.tried_ms > now_ms:  # the clock was wrong when it was written
            self.tried_ms = now_ms
        if now_ms - self.tried_ms < RETRY_AFTER_MS:
            return None
        return next((block for block in self.full[job] if block in self.cuts), None)

    def retried(self, block: Block, answered: bool, now_ms: int) -> None:
        """Note how trying `block` in full ended."""
        if answered:
            del self.cuts[block]
            self.worked(block)
        else:
            self.tried_ms = now_ms

    def left_out(self) -> list[Register]:
        """Return the values that the meter does not answer."""
        return [
            register
            for job, registers in self.registers.items()
            for register in registers
            if not any(block.holds(register) for block in self.blocks(job))
        ]

    def _job_of(self, block: Block) -> Job | None:
        return next((job for job, blocks in self.full.items() if block in blocks), None)
