"""Which blocks a meter really answers: found by trying, kept, tried in full again. Pure.

Some meters refuse a block that crosses a register they lack; some let a block go
unanswered although they answer its parts. Such a block is cut so that each part is as
long as the meter answers.

A meter or gateway that restarts refuses everything for some seconds, so a refusal alone
proves nothing: what a search found missing is asked for once more at its end, and it
counts only if the meter answered something else meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from logger.meter.backoff import Pause
from logger.models.plan import Block
from logger.models.register import Job, Register

_MINUTE_MS = 60_000
# A cut block is tried in full again after these times, the last one again and again: the
# fault may have been the line's, or the meter's for a while.
RETRY_AFTER_MS = tuple(minutes * _MINUTE_MS for minutes in (5, 60, 6 * 60, 24 * 60, 7 * 24 * 60))
# A block that worked before has to fail in so many jobs before it is cut.
STRIKES = 3
# In a message so many values are named one by one.
_FEW = 3


class Search:
    """Cuts a failing block of `registers` into the longest parts that the meter answers.

    Ask for `block` until it is None and tell the outcome each time. Every cut is found
    by halving, so 24 values with one bad place take about six questions. At the end the
    whole and all that is `lacking` are asked for once more; an answer then makes the
    search `refuted`. `evident` tells that the meter answered something meanwhile.
    """

    def __init__(self, registers: Iterable[Register]) -> None:
        self._left = sorted(registers, key=lambda register: register.address)
        self._whole = _block(self._left)
        self._works, self._fails = 0, len(self._left)  # of how many values from the first on
        self._checks: list[Block] | None = None
        self.parts: list[Block] = []
        self.lacking: list[Register] = []
        self.evident = False
        self.refuted = False
        self._conclude()

    @property
    def block(self) -> Block | None:
        """The block to ask for next; None when the search is over."""
        if self._left:
            return _block(self._left[: self._next()])
        return self._checks[0] if self._checks else None

    @property
    def baseless(self) -> bool:
        """Whether something was refused, and nothing shows that the meter is well."""
        return bool(self.lacking) and not self.evident

    def record(self, answered: bool) -> None:
        """Note whether the meter answered `block`."""
        if self._checks is not None:
            self._checks = [] if answered else self._checks[1:]
            self.refuted |= answered
            return
        if answered:
            self._works = self._next()
            self.evident = True
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
            else:  # the first value is one that the meter does not have
                self.lacking.append(self._left[0])
            self._left = self._left[self._works or 1 :]
            self._works, self._fails = 0, len(self._left) + 1
        if not self._left:
            checks = [self._whole, *(_block([register]) for register in self.lacking)]
            self._checks = list(dict.fromkeys(checks))


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


@dataclass(frozen=True, slots=True)
class Cut:
    """The parts that work of a block that does not; values in no part are left out.

    `tried_ms` is when the block was last tried in full, milliseconds UTC, after `tries`
    tries in vain.
    """

    parts: tuple[Block, ...]
    tried_ms: int = 0
    tries: int = 0


@dataclass(slots=True)
class AdaptivePlan:
    """The blocks of one meter: as planned, or as cut to what it answers.

    `full` are the blocks by job as the table allows them, `cuts` those that are cut. No
    job is ever left without a block.
    """

    full: Mapping[Job, tuple[Block, ...]]
    registers: Mapping[Job, tuple[Register, ...]]
    cuts: dict[Block, Cut] = field(default_factory=dict)
    searches: dict[Block, Search] = field(default_factory=dict)
    _proven: set[Block] = field(default_factory=set)
    _strikes: Counter[Block] = field(default_factory=Counter)
    _pauses: dict[Block, Pause] = field(default_factory=dict)  # after searches in vain

    def blocks(self, job: Job) -> list[Block]:
        """Return what to ask for, leaving out what a search is at work on."""
        return [part for block in self.full[job] for part in self._parts(block)]

    def all_parts(self) -> list[Block]:
        """Return the parts of all blocks that were cut, by address."""
        return sorted(part for cut in self.cuts.values() for part in cut.parts)

    def proven(self) -> list[Block]:
        """Return the blocks that the meter answered last time, the shortest first."""
        return sorted(self._proven, key=lambda block: block.count)

    def restore(self, cuts: Mapping[Block, Cut]) -> None:
        """Take over cuts found earlier, as far as they fit the table of today."""
        for block, cut in cuts.items():
            fits = all(block.address <= p.address < p.end <= block.end for p in cut.parts)
            if self._job_of(block) is not None and cut.parts and fits:
                self.cuts[block] = cut
                self._proven.update(cut.parts)

    def forget(self) -> None:
        """Begin afresh: it is another meter."""
        self.cuts.clear()
        self.searches.clear()
        self._proven.clear()
        self._strikes.clear()
        self._pauses.clear()

    def worked(self, block: Block) -> None:
        """Note that the meter answered `block`."""
        self._proven.add(block)
        self._strikes.pop(block, None)
        self._pauses.pop(block, None)

    def failed(self, block: Block, job: Job, now: float, *, garbled: bool = False) -> bool:
        """Note that a meter that is there did not answer `block`; return whether to search.

        `now` is monotonic, in seconds: after a search in vain it is a while to the next.
        A `garbled` answer is mostly the line's: it has to fail in several jobs.
        """
        pause = self._pauses.get(block)
        if pause is not None and pause.lasts(now):
            return False
        self._strikes[block] += 1
        if self._strikes[block] < (STRIKES if garbled or block in self._proven else 1):
            return False
        self._strikes.pop(block, None)
        self._proven.discard(block)
        self.searches[block] = Search(r for r in self.registers[job] if block.holds(r))
        return True

    def give_up(self, block: Block, now: float) -> None:
        """End a search that proved nothing: `block` is asked for as before."""
        search = self.searches.pop(block)
        if not search.refuted:
            self._pauses.setdefault(block, Pause()).silent(now)

    def finish(self, block: Block, now_ms: int) -> bool:
        """Put the parts that the search found in the place of `block`.

        Returns False, and leaves the plan as it is, when that is no finding: the search
        is refuted or baseless, or nothing would be left of a job.
        """
        search = self.searches[block]
        whole = next(w for job in Job for w in self.full[job] if block in self._parts(w))
        job = self._job_of(whole)
        assert job is not None  # it is one of its blocks
        if search.refuted or search.baseless:
            return False
        if not search.parts and self.blocks(job) == [block]:
            return False
        del self.searches[block]
        current = self._parts(whole)
        at = current.index(block)
        parts = (*current[:at], *search.parts, *current[at + 1 :])
        self.cuts[whole] = replace(self.cuts.get(whole, Cut((), now_ms)), parts=parts)
        self._proven.discard(block)
        self._proven.update(search.parts)
        self._pauses.pop(block, None)
        return True

    def to_retry(self, job: Job, now_ms: int) -> Block | None:
        """Return a block of `job` that is due to be tried in full."""
        for block in self.full[job]:
            cut = self.cuts.get(block)
            if cut is None or any(block.contains(one) for one in self.searches):
                continue
            if cut.tried_ms > now_ms:  # the clock was wrong when it was written
                cut = self.cuts[block] = replace(cut, tried_ms=now_ms)
            if now_ms - cut.tried_ms >= RETRY_AFTER_MS[min(cut.tries, len(RETRY_AFTER_MS) - 1)]:
                return block
        return None

    def retried(self, block: Block, answered: bool, now_ms: int) -> None:
        """Note how trying `block` in full ended."""
        cut = self.cuts[block]
        if answered:
            del self.cuts[block]
            self.worked(block)
        else:
            self.cuts[block] = replace(cut, tried_ms=now_ms, tries=cut.tries + 1)

    def search_anew(self, block: Block, job: Job) -> None:
        """Cut `block` again: the meter answers something of it that was left out."""
        self.cuts.pop(block, None)
        self.searches[block] = Search(r for r in self.registers[job] if block.holds(r))

    def lacking(self, block: Block, job: Job) -> list[Register]:
        """Return the values of `block` that are left out."""
        if block not in self.cuts:
            return []
        parts = self._parts(block)
        return [
            register
            for register in self.registers[job]
            if block.holds(register) and not any(part.holds(register) for part in parts)
        ]

    def left_out(self) -> list[Register]:
        """Return the values that the meter does not answer."""
        return [
            register
            for job, blocks in self.full.items()
            for block in blocks
            for register in self.lacking(block, job)
        ]

    def _parts(self, block: Block) -> tuple[Block, ...]:
        cut = self.cuts.get(block)
        return (block,) if cut is None else cut.parts

    def _job_of(self, block: Block) -> Job | None:
        return next((job for job, blocks in self.full.items() if block in blocks), None)
