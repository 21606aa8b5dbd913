"""How the connection to the broker is, and one log line when that changes for good."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from logger.domain.errors import MqttError

log = logging.getLogger(__name__)

# A connection that lasts for so long ends a disturbance. What fails again before is the
# same disturbance, of which each kind of failure is told once.
STEADY_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class Standing:
    """Keeps status, reason and since when; for any thread. `clock` is monotonic, seconds."""

    def __init__(
        self, url: str, now_ms: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._now_ms, self._clock = url, now_ms, clock
        self._lock = threading.Lock()
        self._status, self._error = "starting", ""
        self._since_ms = now_ms()
        self._told: set[str] = set()  # kinds of failure, in this disturbance
        self._began_s: float | None = None  # when the disturbance began
        self._connected_s: float | None = None
        self._pause_s = 0.0
        self._ever = False
        self.published = 0  # messages, since the start

    def failed(self, err: MqttError) -> float:
        """Note that the connection was not made, or ended. Return how many seconds to wait
        before the next attempt."""
        with self._lock:
            now = self._clock()
            self._settle(now)
            self._connected_s = None
            if self._began_s is None:
                self._began_s = now
            if self._status in ("starting", "connected"):
                self._since_ms = self._now_ms()
            self._status, self._error = err.kind, str(err)
            if err.kind not in self._told:
                self._told.add(err.kind)
                log.warning("mqtt: %s: %s; the log goes on", err.kind, err)
            self._pause_s = min(2 * self._pause_s or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
            return self._pause_s

    def worked(self) -> None:
        """Note that the broker took the connection."""
        with self._lock:
            self._connected_s = self._clock()
            self._since_ms = self._now_ms()
            self._status, self._error = "connected", ""
            if not self._ever:
                self._ever = True
                log.info("mqtt: connected to %s", self._url)

    def lasts(self) -> None:
        """Note that the connection still is; called about once a second."""
        with self._lock:
            self._settle(self._clock())

    def _settle(self, now: float) -> None:
        """End the disturbance when the connection has lasted long enough."""
        if self._connected_s is None or now - self._connected_s < STEADY_S:
            return
        self._pause_s = 0.0
        if self._began_s is not None:
            away_s = self._connected_s - self._began_s
            log.warning("mqtt: connected to %s again, after %.0f s", self._url, away_s)
        self._began_s = None
        self._told.clear()

    def state(self) -> dict[str, Any]:
        """Return what `status` shows."""
        with self._lock:
            return {
                "url": self._url,
                "status": self._status,
                "error": self._error,
                "since": self._since_ms,
                "published": self.published,
            }

    def problems(self) -> list[str]:
        """Return a sentence while the broker is not there."""
        with self._lock:
            well = self._status in ("starting", "connected")
            return [] if well else [f"mqtt: {self._status}: {self._error}"]
