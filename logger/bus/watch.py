"""The first moments on a line: nothing is believed before others would have been heard.

The answer to another master's question may be the first thing that comes, and then there
is no trace of that master yet. Most ask about once a second: what was read in the first
moments is kept until they have gone by, and believed if no answer came meanwhile that
could have taken the place of one to our question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

# One look at the line.
_LOOK_S = 0.02


@dataclass(slots=True, eq=False)
class Mark:
    """A job begins: the lengths asked for since, and whether others had answers of one.

    `sure` tells that those were no late ones to questions of our own.
    """

    address: int
    lengths: set[int] = field(default_factory=set)
    spoiled: bool = False
    sure: bool = False


class Watch:
    """Watches the line for `seconds` from the first question on; 0 for not at all.

    `wanted` tells whether something waits for the line; it is None where jobs are done
    one after the other: then each takes the time that it needs to be believed. `marks`
    are the jobs whose answers are looked at; `listen` and `clock` are those of `Sharing`.
    """

    def __init__(
        self,
        marks: list[Mark],
        listen: Callable[[float, float], None],
        clock: Callable[[], float],
    ) -> None:
        self.seconds = 0.0
        self.wanted: Callable[[], bool] | None = None
        self._marks = marks
        self._listen = listen
        self._clock = clock
        self._until: float | None = None
        self._held: list[tuple[Mark, Callable[[bool], None]]] = []

    def begin(self) -> None:
        """Note that something is asked."""
        if self._until is None:
            self._until = self._clock() + self.seconds

    @property
    def _left_s(self) -> float:
        return 0.0 if self._until is None else max(self._until - self._clock(), 0.0)

    def listen_on(self, seconds: float) -> None:
        """Listen for so long, or until something waits for the line."""
        until = self._clock() + seconds
        while self._clock() < until and not (self.wanted is not None and self.wanted()):
            self._listen(_LOOK_S, _LOOK_S)

    def keep(self, mark: Mark) -> bool:
        """End a job, as far as it can be; return whether it is to be watched on, by `hold`."""
        if mark.spoiled or not self._left_s:
            return False
        if self.wanted is None:
            self.listen_on(self._left_s)
            return False
        return True

    def hold(self, mark: Mark, then: Callable[[bool], None]) -> None:
        """Call `then` when it is known whether the job of `mark` can be believed.

        That is at once, or behind a later job, when the line has been watched for long
        enough. Call it behind each job.
        """
        self._held.append((mark, then))
        self.listen_on(self._left_s)
        if self._left_s:
            return
        held, self._held = self._held, []
        for one, told in held:
            watched = one in self._marks
            if watched:
                self._marks.remove(one)
            told(not (watched and one.spoiled))
