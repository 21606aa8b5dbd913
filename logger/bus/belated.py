"""Gateways that call a meter silent and hand its answer on afterwards.

Pure: time is an argument, in seconds.

The timeout of such a gateway is shorter than the meter's answer takes: it sends exception
10 or 11, and then the answer all the same. Who has seen that once waits on behind the
exception, for as long as the question may take anyway. That does not change what is wrong
with the gateway: the user is told after how long it gives up, and what the meter takes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from logger.bus.frames import GATEWAY_SILENCE, READ, Unsolicited, refusal

log = logging.getLogger(__name__)

REMEDY = "set the time that the gateway itself waits for an answer to more than the meter takes"
_TOLD_FOR_S = 600.0


class Belated:
    """What is known on the line `name` of meters that the gateway gives up too early."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._given_up: tuple[int, int] | None = None  # the last question: address, registers
        self._after_s = 0.0  # how long after the question
        self._comes_late: set[int] = set()  # addresses whose answers come afterwards
        self._text = ""
        self._at = -_TOLD_FOR_S

    def goes_on(self, answer: bytes, request: bytes, after_s: float) -> bool:
        """Return whether to wait on behind `answer`, which came so long after `request`."""
        if request[1] != READ or refusal(answer, request) not in GATEWAY_SILENCE:
            return False
        self._given_up = request[0], int.from_bytes(request[4:6], "big")
        self._after_s = after_s
        return request[0] in self._comes_late

    def came(self, address: int, after_s: float, now: float) -> None:
        """Note that the answer came behind the exception, so long after the question."""
        self._given_up = None
        self._tell(address, f"comes {after_s:.2f} s after the question", now)

    def in_vain(self, address: int) -> None:
        """Note that nothing came behind the exception while it was waited for."""
        self._comes_late.discard(address)

    def unsolicited(self, found: Iterable[Unsolicited], now: float) -> None:
        """Look among answers that nobody waits for, for the one to the question given up."""
        for one in found:
            if (one.address, one.count) == self._given_up:
                self._given_up = None
                self._comes_late.add(one.address)
                self._tell(one.address, "comes afterwards", now)

    def text(self, now: float) -> str:
        """Return what was seen lately, "" for nothing."""
        return self._text if now - self._at < _TOLD_FOR_S else ""

    def problems(self, now: float) -> list[str]:
        """Return a sentence with the remedy, none where nothing was seen lately."""
        return [f"{text}: {REMEDY}"] if (text := self.text(now)) else []

    def _tell(self, address: int, how: str, now: float) -> None:
        new = not self.problems(now)
        self._text = (
            f"the gateway says after {self._after_s:.2f} s that the meter at address {address} "
            f"does not answer, and its answer {how}"
        )
        self._at = now
        if new:
            log.warning("bus %s: %s", self._name, *self.problems(now))
