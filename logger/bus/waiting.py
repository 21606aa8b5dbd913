"""How long an answer is waited for, byte by byte. Pure: time is an argument, in seconds.

The wait for the begin of an answer is `timeout`. A frame that has begun is waited for until
a silence ends it, on a network until the last moment. Frames of another master make the
answer to this request come later; they are not waited for by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from logger.bus.frames import HEARTBEAT, SHORTEST, Heard, refusal

# So many frames of others, one after the other, put off the end of the wait: a request and
# an answer may have been on the line before this request. Who asks without pause is not
# waited for longer.
_PUT_OFF = 2


@dataclass(slots=True)
class Waiting:
    """The wait for one answer of `size` bytes to `request`; `latest` is its very end.

    `patient` tells that the pieces of a frame may come any time before that.
    """

    request: bytes
    size: int
    timeout: float
    gap_s: float
    until: float
    latest: float
    patient: bool
    others: int = 0  # how many frames of others came

    def heard(self, found: Heard, heard: bytes, now: float) -> None:
        """Note what all that was `heard` until `now` holds."""
        before, self.others = self.others, found.others
        mine = found.missing < self.size
        if found.others > before:
            if before < _PUT_OFF:
                self.until = now + self.timeout
                self.latest += self.timeout
        elif not mine and found.begun and not found.rubbish.strip(HEARTBEAT):
            return  # somebody else speaks: it says nothing about this answer
        elif self.patient:
            whole = not mine or refusal(heard, self.request) is not None
            self.until = max(self.until, now + self.gap_s) if whole else self.latest
        elif found.junk >= SHORTEST or mine:
            self.until = now + self.gap_s  # an answer, good or bad: it ends with a silence
        else:
            self.until = max(self.until, now + self.gap_s)

    def over(self, found: Heard, more: bytes, now: float) -> bool:
        """Whether nothing is waited for any more; `more` came at the last look."""
        if now >= self.latest:
            return True
        mine = found.missing < self.size or found.rubbish.strip(HEARTBEAT)
        return now >= self.until and not (more and mine)
