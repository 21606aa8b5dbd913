"""Whether each bucket takes points, and one log line when that changes."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from logger.domain.datamodel import Lane
from logger.influx.outcome import Outcome, OutcomeKind

log = logging.getLogger(__name__)

_SHARED = {
    OutcomeKind.UNREACHABLE,
    OutcomeKind.TIMEOUT,
    OutcomeKind.BUSY,
}  # what fails for both buckets alike
_REASONS = 200  # different reasons of refusal that are remembered


@dataclass(frozen=True, slots=True)
class LaneState:
    """How the delivery of one lane is. `status` is "starting", "ok", or what is wrong:
    "unreachable", "no answer", "server error", "wrong target". `since_ms` is when that
    began, `delivered` and `set_aside` count points since the start, `newest_ms` is the
    time of the newest delivered point, `lag_s` its age."""

    bucket: str
    status: str = "starting"
    error: str = ""
    since_ms: int = 0
    delivered: int = 0
    set_aside: int = 0
    newest_ms: int | None = None
    lag_s: float | None = None

    @property
    def ok(self) -> bool:
        """False while something keeps the points from being delivered."""
        return self.status in {"starting", "ok"}


class Health:
    """Keeps the states of all lanes; thread-safe."""

    def __init__(
        self, url: str, org: str, buckets: dict[Lane, str], now_ms: Callable[[], int]
    ) -> None:
        self._where = f"{url}, org {org!r}"
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._reasons: set[str] = set()
        self._failed_at: dict[Lane, float] = {}  # the wall clock may step meanwhile
        self._lanes = {
            lane: LaneState(bucket, since_ms=now_ms()) for lane, bucket in buckets.items()
        }

    def state(self, lane: Lane) -> LaneState:
        """Return the state of a lane now."""
        with self._lock:
            state = self._lanes[lane]
            if state.newest_ms is None:
                return state
            return replace(state, lag_s=max(0, self._now_ms() - state.newest_ms) / 1000)

    def failed(self, lane: Lane, outcome: Outcome) -> None:
        """An attempt failed; a line is logged if that is news."""
        with self._lock:
            before = self._lanes[lane]
            text = f"{outcome.text} ({outcome.hint})" if outcome.hint else outcome.text
            since = self._now_ms() if before.ok else before.since_ms
            if before.ok:
                self._failed_at[lane] = time.monotonic()
            told = any(
                other.status == outcome.kind.value and not other.ok
                for name, other in self._lanes.items()
                if name is not lane
            )
            self._lanes[lane] = replace(
                before, status=outcome.kind.value, error=text, since_ms=since
            )
            if before.status == outcome.kind.value:
                return
            if told and outcome.kind in _SHARED:
                return
            log.error(
                "influxdb: %s: %s, bucket %r: %s; points wait in the buffer",
                outcome.kind.value,
                self._where,
                before.bucket,
                text,
            )

    def worked(
        self, lane: Lane, newest_ms: int, delivered: int, waiting: Callable[[], int]
    ) -> None:
        """Points were delivered; a line is logged if that is news."""
        with self._lock:
            before = self._lanes[lane]
            now = self._now_ms()
            self._lanes[lane] = replace(
                before,
                status="ok",
                error="",
                since_ms=before.since_ms if before.status == "ok" else now,
                delivered=before.delivered + delivered,
                newest_ms=max(newest_ms, before.newest_ms or newest_ms),
            )
            if before.ok:
                return
            if any(
                not other.ok and other.status == before.status for other in self._lanes.values()
            ):
                return  # the other bucket's return will be the news
            log.warning(
                "influxdb: delivering again: %s, bucket %r, after %.0f s; %d points wait",
                self._where,
                before.bucket,
                time.monotonic() - self._failed_at.get(lane, time.monotonic()),
                waiting(),
            )

    def refused(self, lane: Lane, reasons: list[str]) -> None:
        """Lines were set aside; each kind of reason is logged once."""
        with self._lock:
            before = self._lanes[lane]
            self._lanes[lane] = replace(before, set_aside=before.set_aside + len(reasons))
            for reason in reasons:
                kind = re.sub(r"'.*'|\"[^\"]*\"|\d+", "?", reason, flags=re.DOTALL)
                if kind in self._reasons or len(self._reasons) >= _REASONS:
                    continue
                self._reasons.add(kind)
                log.error(
                    "influxdb: bucket %r refuses points; they are set aside: %s "
                    "(inepro-logger buffer set-aside list)",
                    before.bucket,
                    reason[:500],
                )
