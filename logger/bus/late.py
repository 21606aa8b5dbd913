"""Which questions to a meter may still be answered late. Pure: time is an argument.

An answer to a read carries no register address, only its length. So while a question
is open whose answer would be as long as the one just asked for, an answer of that
length proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from logger.models.plan import Block

# A question is given up after this long. Slow meters and gateways answer within a
# second or two.
LATE_AT_MOST_S = 5.0
_REMEMBERED = 16


@dataclass(slots=True)
class LateAnswers:
    """The open questions to one meter: their lengths in registers, and when."""

    _open: list[tuple[int, float]] = field(default_factory=list)
    unsure: bool = False
    _failed_at: float | None = None
    _unproven: int = 0  # the length of the last answer, if that proved nothing

    def failed(self, count: int, now: float) -> None:
        """Note that a question for `count` registers got no answer that could be used."""
        self._open = [*self._open, (count, now)][-_REMEMBERED:]
        self._failed_at = now
        self._unproven = 0
        self.unsure = True

    def late(self, count: int) -> bool:
        """Note that an answer of `count` registers came by: meters answer in order.

        Returns whether it can be one to a question of ours.
        """
        for index, (asked, _) in enumerate(self._open):
            if asked == count:
                del self._open[: index + 1]
                return True
        return False

    def calm(self, now: float) -> bool:
        """Whether no question failed for a while: no late answer is to come."""
        failed_at = self._failed_at
        return not self.unsure and (failed_at is None or now - failed_at > LATE_AT_MOST_S)

    def ambiguous(self, count: int, now: float) -> bool:
        """Return whether an answer of `count` registers may belong to an open question."""
        self._expire(now)
        return any(asked == count for asked, _ in self._open)

    def unproven(self, count: int, asked: float) -> None:
        """Note that an answer of `count` registers may belong to an earlier question."""
        self.late(count)
        self.failed(count, asked)
        self._unproven = count

    def waits(self, count: int, now: float) -> bool:
        """Return whether a question for `count` registers has to wait: the last answer was as
        long and proved nothing. Asked at once, this one would again prove nothing, and be open
        for the next one, without an end where all questions have one length."""
        return count == self._unproven and self.ambiguous(count, now)

    def answered(self) -> None:
        """Note a certain answer: what was asked before it will not be answered any more."""
        self._open.clear()
        self._unproven = 0

    def resynchronised(self) -> None:
        """Note that question and answer match again."""
        self._open.clear()
        self.unsure, self._unproven = False, 0

    def safest(self, blocks: Sequence[Block], last: int, now: float) -> Block:
        """Return the block whose answer tells most: a length not open and not `last`.

        Where all are open, the one that was asked for last: an answer of its length closes
        all that was asked before, as meters answer in order. The oldest one would close
        itself alone, be open again, and so all of them in turn without an end.
        """
        self._expire(now)
        opened = [count for count, _ in self._open]

        def rank(block: Block) -> tuple[bool, bool, int]:
            places = [index for index, count in enumerate(opened) if count == block.count]
            return (block.count == last, bool(places), -places[-1] if places else 0)

        return min(blocks, key=rank)

    def _expire(self, now: float) -> None:
        self._open = [one for one in self._open if now - one[1] < LATE_AT_MOST_S]
