"""What other masters say on a line: whether there are any, and which lengths they ask for.

Pure: time is an argument, monotonic seconds.

An answer that nobody here asked for, or a request that is not ours, is a sign of another
master: on the same wires, or behind a gateway that sends every answer to everyone. A
single answer may have another reason (a gateway that asks twice), so the line counts as
shared after some.
"""

from __future__ import annotations

import logging

from logger.domain.times import duration_text

log = logging.getLogger(__name__)

# Silence of others for so long ends it: a wallbox may ask while it charges only.
ALONE_AFTER_S = 600.0
# So many frames make a line shared.
_SHARED = 2


class Traffic:
    """The frames of others on the line `name`. `told` says that it is known to be shared."""

    def __init__(self, name: str, *, told: bool = False) -> None:
        self.frames = 0  # since the start
        self._name = name
        self._told = told
        self._signs = 0
        self.last = 0.0  # when one came
        self._shared = False
        self._lengths: dict[tuple[int, int], float] = {}  # when they were heard last

    def heard(self, address: int, count: int, now: float) -> None:
        """Note a frame of others, about `count` registers of the meter at `address`."""
        self._forget(now)
        self.frames += 1
        self.last = now
        self._signs += 1
        self._lengths[address, count] = now
        if self._signs >= _SHARED and not self._shared:
            self._shared = True
            log.log(
                logging.INFO if self._told else logging.WARNING,
                "bus %s: another master asks on this line, too (address %d%s): "
                "its answers are told apart by their lengths, or read twice%s",
                self._name,
                address,
                f", {count} registers" if count else "",
                "" if self._told else "; shared = true in its [[bus]] begins so",
            )

    def wary(self, now: float) -> bool:
        """Whether an answer may be somebody else's."""
        self._forget(now)
        return self._told or self._signs > 0

    def shared(self, now: float) -> bool:
        """Whether another master was heard lately."""
        self._forget(now)
        return self._shared

    def lengths(self, address: int, now: float) -> frozenset[int]:
        """Return how many registers others ask the meter at `address` for."""
        if not self._lengths:
            return frozenset()
        self._forget(now)
        return frozenset(count for at, count in self._lengths if at == address)

    def forget(self) -> None:
        """Begin afresh: what was heard were no frames of others."""
        self._signs, self._shared, self.frames = 0, False, 0
        self._lengths.clear()

    def _forget(self, now: float) -> None:
        if not self._lengths:
            return
        if now - self.last >= ALONE_AFTER_S:
            if self._shared:
                log.info(
                    "bus %s: no other master was heard for %s",
                    self._name,
                    duration_text(ALONE_AFTER_S),
                )
            self._signs, self._shared = 0, False
            self._lengths.clear()
            return
        old = [one for one, at in self._lengths.items() if now - at >= ALONE_AFTER_S]
        for one in old:
            del self._lengths[one]
