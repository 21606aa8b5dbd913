"""When a port that failed is opened again, and one on which nobody answers is renewed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from logger.domain.errors import PortError

log = logging.getLogger(__name__)

_FIRST_S, _AT_MOST_S = 1.0, 30.0
_RENEW_AT_MOST_S = 300.0


class Reopening:
    """The pauses of one port: 1 s after a failure, twice as long after each, 30 s at most.

    Only an answer ends them: a gateway that takes a connection and closes it again has not
    come back. A line on which nobody answers for `renew_s` may hang (a gateway that lost
    us, an adapter that hangs): its port is closed and opened, more and more rarely.
    """

    def __init__(self, name: str, port: str, renew_s: float, clock: Callable[[], float]) -> None:
        self._name, self._port = name, port
        self._clock = clock
        self._first_renewal_s = self._renewal_s = renew_s
        self._error: PortError | None = None
        self._again_at = 0.0
        self._pause_s = _FIRST_S
        self._silent_since: float | None = None

    @property
    def error(self) -> PortError | None:
        """Why the port may not be opened yet; None when it may."""
        return self._error if self._clock() < self._again_at else None

    def failed(self, err: PortError) -> None:
        """Note that the port could not be opened, or was lost; the same is logged once."""
        if self._error is None or self._error.message != err.message:
            log.error("%s", err)
        self._error = err
        self._again_at = self._clock() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _AT_MOST_S)

    def answered(self) -> None:
        """Note an answer or a refusal."""
        if self._error is not None:
            log.info("bus %s: %s is open again", self._name, self._port)
        self._error = None
        self._again_at = 0.0
        self._pause_s = _FIRST_S
        self.heard()

    def heard(self) -> None:
        """Note that something was heard, though it was no answer."""
        self._silent_since = None
        self._renewal_s = self._first_renewal_s

    def silent(self) -> bool:
        """Note that nobody answered; return whether the port is to be closed and opened."""
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
            return False
        if (silent_s := now - self._silent_since) < self._renewal_s:
            return False
        log.log(
            logging.INFO if self._renewal_s == self._first_renewal_s else logging.DEBUG,
            "bus %s: nobody answered for %.0f s; %s is closed and opened again",
            self._name,
            silent_s,
            self._port,
        )
        self._silent_since = None
        self._renewal_s = min(2 * self._renewal_s, max(_RENEW_AT_MOST_S, self._first_renewal_s))
        return True
