"""Whether each answer comes twice. Pure.

A gateway that asks the meter again while its answer is on the way, or a network that
doubles datagrams, brings the same bytes a second time. That is no other master, and
no value has to be given up for it, once it is known: then the second one is waited for
before the next question, so that it never passes for the answer to that. Where it comes
later still it does, and the answer itself is then one that nobody seems to have asked for.

A single answer that is the same as the one before says little: it may be what somebody
else's question was answered with. So it takes some in a row, of different bytes.
"""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

# So many answers in a row, which are not all the same, make it a habit of the line.
_HABIT = 3
# So many answers that came once end it.
_OVER = 10


class Repeats:
    """The answers of the line `name` that came a second time."""

    def __init__(self, name: str) -> None:
        self.habit = False
        self.seen = False  # whether the last answer came again
        self._name = name
        self._last = b""
        self._behind = False  # whether the last answer may be the second one to the question before
        self._twice: list[bytes] = []  # the answers in a row that came again
        self._once = 0

    def answered(self, frame: bytes) -> None:
        """Note the answer to a question of ours."""
        if self.seen:
            self._once = 0
        else:
            self._twice.clear()
            self._once += 1
            self.habit = self.habit and self._once < _OVER
        self._behind = self.habit and not self.seen and frame == self._last
        self.seen, self._last = False, frame

    def belated(self, frame: bytes) -> bool:
        """Note an answer that nobody asked for; return whether it may be the one to the last
        question, for which the second one to the question before was taken."""
        if not self._behind or not frame or frame == self._last:
            return False
        self._behind, self._last = False, frame
        return True

    def again(self, frame: bytes) -> bool:
        """Note an answer that nobody asked for; return whether it is the last one again."""
        if not frame or frame != self._last:
            return False
        if not self.seen:
            self.seen = True
            self._twice = [*self._twice, frame][-_HABIT:]
        if not self.habit and len(self._twice) == _HABIT and len(set(self._twice)) > 1:
            self.habit = True
            log.info(
                "bus %s: answers come twice, from a gateway that asks twice or a network that "
                "doubles datagrams: the second one is passed over",
                self._name,
            )
        return True
