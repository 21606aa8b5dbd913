"""What was read is held until an answer to another master would have been noticed.

The answer to another master's first question may come in the place of ours, and then there
is no trace of that master yet. There are three traces to wait for:

- Our own answer, left over: it comes in the quiet after the job or, where the next job
  begins at once, before that one's first answer. So a job that had no quiet is held until
  the next one is over.
- The other's next question, where a gateway has lost ours: most ask about once a second. A
  job of short questions, of the lengths that others ask in, is held for `seconds`. Long
  ones are not: who asks for as many registers from another start is not met with, and all
  readings would be late by a second.
- In the first `seconds` on a line nothing of it is known: everything read is held.

What is held has its moment already; it is later in the buffer, and for those who follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

# One look at the line.
_LOOK_S = 0.02
# Waits for so many seconds, or until a file can be read, that something comes.
Wait = Callable[[float, int | None], bool]


@dataclass(slots=True, eq=False)
class Mark:
    """A job begins: the lengths asked for since, and whether others had answers of one.

    `sure` tells that those were no late ones to questions of our own. A job that is `held`
    is believed from `until` on, if the line was quiet for `quiet_s` or more was asked than
    `asked` questions; it is `early` if the line was closed before that could be known.
    """

    address: int
    lengths: set[int] = field(default_factory=set)
    spoiled: bool = False
    sure: bool = False
    held: bool = False
    early: bool = False
    until: float = 0.0
    quiet_s: float = 0.0
    asked: int = 0


class Watch:
    """Watches the line for `seconds` from the first question on; 0 where answers have numbers.

    `wanted` tells whether something waits for the line; it is None where jobs are done
    one after the other: then each takes the time that it needs to be believed. `bell` is a
    file that can be read while something waits; without it `wanted` is asked again and
    again. `marks` are the jobs whose answers are looked at; `listen`, `wait` and `clock` are
    those of `Sharing`.
    """

    def __init__(
        self,
        marks: list[Mark],
        listen: Callable[[float, float], None],
        wait: Wait,
        clock: Callable[[], float],
    ) -> None:
        self.seconds = 0.0
        self.wanted: Callable[[], bool] | None = None
        self.bell: int | None = None
        self._marks = marks
        self._listen = listen
        self._wait = wait
        self._clock = clock
        self._asked = 0
        self._until: float | None = None
        self._held: list[tuple[Mark, Callable[[bool], None]]] = []

    def begin(self) -> None:
        """Note that something is asked."""
        self._asked += 1
        if self._until is None:
            self._until = self._clock() + self.seconds

    @property
    def young(self) -> bool:
        """Whether the line was not watched for long enough yet."""
        return bool(self.seconds) and (self._until is None or self._left_s > 0)

    @property
    def _left_s(self) -> float:
        return 0.0 if self._until is None else max(self._until - self._clock(), 0.0)

    def listen_on(self, seconds: float) -> bool:
        """Listen for so long, or until something waits for the line; return whether so long."""
        until = self._clock() + seconds
        while (left_s := until - self._clock()) > 0:
            if self.wanted is not None and self.wanted():
                return False
            told = self.wanted is None or self.bell is not None
            if self._wait(left_s if told else min(left_s, _LOOK_S), self.bell):
                self._listen(_LOOK_S, _LOOK_S)
        return True

    def outlast(self) -> bool:
        """Listen for what is left of the first moments, whatever waits; tell if any was."""
        if left_s := self._left_s if self.seconds else 0.0:
            self._listen(left_s, left_s)
        return left_s > 0

    def keep(self, mark: Mark, *, short: bool, quiet_s: float) -> bool:
        """End a job, as far as it can be; return whether it is to be watched on, by `hold`.

        `short` tells that others may ask in its lengths, `quiet_s` how long the line has
        still to be listened to for what was left over.
        """
        if mark.spoiled or not mark.lengths or not self.seconds:
            return False
        if self.wanted is None:
            self.listen_on(self._left_s)
            return False
        left_s = max(self._left_s, self.seconds if short else 0.0)
        if left_s or quiet_s:
            mark.held, mark.asked, mark.quiet_s = True, self._asked, quiet_s
            mark.until = self._clock() + left_s
        return mark.held

    def hold(self, mark: Mark, then: Callable[[bool], None]) -> None:
        """Call `then` when it is known whether the job of `mark` can be believed.

        That is at once, or behind a later job. Call it behind each job.
        """
        self._held.append((mark, then))
        self.go_on()

    def go_on(self) -> None:
        """Listen for those that are held, while nothing waits for the line, and end
        those that need it no more, in their order."""
        now = self._clock()
        left = [max(mark.until - now, mark.quiet_s) for mark, _ in self._held if mark.held]
        if left and self.listen_on(max(left)):
            for mark, _ in self._held:
                mark.quiet_s = 0.0
        while self._held and self._is_known(self._held[0][0]):
            self._let_go()

    def finish(self) -> None:
        """Let go of all that is held: no more is asked. What was read in the first moments
        on a line is not believed."""
        if left := [mark.quiet_s for mark, _ in self._held if mark.quiet_s]:
            self._listen(max(left), max(left))
        while self._held:
            mark, _ = self._held[0]
            mark.early = mark.held and self.young and not mark.spoiled
            self._let_go()

    def _is_known(self, mark: Mark) -> bool:
        if mark.spoiled or not mark.held:
            return True
        return self._clock() >= mark.until and (not mark.quiet_s or self._asked > mark.asked)

    def _let_go(self) -> None:
        mark, told = self._held.pop(0)
        if mark in self._marks:
            self._marks.remove(mark)
        told(not (mark.held and (mark.spoiled or mark.early)))
