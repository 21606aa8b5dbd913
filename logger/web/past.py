"""What was: energy, events and today's curve, out of the buffer or InfluxDB, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from logger.config import Config
from logger.domain.errors import ReportError
from logger.domain.timespan import TimeSpan
from logger.report import shape, stored
from logger.report.calendar import Period
from logger.report.events import within
from logger.report.source import Lines
from logger.web.curve import Curve
from logger.web.desk import Desk

BUFFER = "buffer"
_KEEP_S = 30.0
# One report must not hold up all others for ever.
_PATIENCE_S = 120.0
_MOST_EVENTS = 1000


class Past:
    """Answers from stored points; the methods are for the loop's thread.

    All raise ReportError, HttpError, BufferFileError or BusyError when there is no answer.
    """

    def __init__(self, config: Config, now_ms: Callable[[], int], desk: Desk) -> None:
        self._config, self._now_ms, self._desk = config, now_ms, desk
        roles = [meter.role for bus in config.bus for meter in bus.meter]
        self._curve = Curve(ZoneInfo(config.site.timezone), roles)

    async def energy(self, by: str, shown: list[Period], from_buffer: bool) -> dict[str, Any]:
        """Return the energy report of some periods."""

        def make() -> dict[str, Any]:
            with stored.source(self._config, from_buffer, through=self._bounded) as points:
                return stored.energy(points, self._config, shown).plain(self._config, by)

        key = ("energy", by, shown[0].start_ms, shown[-1].end_ms, from_buffer)
        found: dict[str, Any] = await self._desk.ask(key, make, _KEEP_S)
        return found

    async def events(
        self, span: TimeSpan, tags: Mapping[str, Sequence[str]], from_buffer: bool
    ) -> dict[str, Any]:
        """Return the newest events that touch a span, the last one first."""

        def make() -> dict[str, Any]:
            until = max(span[1], self._now_ms())
            with stored.source(self._config, from_buffer, through=self._bounded) as points:
                found = within(stored.events(points, until, tags), span)
            zone = ZoneInfo(self._config.site.timezone)
            newest = found[-_MOST_EVENTS:]
            rows = [shape.event(one, zone) for one in reversed(newest)]
            return {"events": rows, "left_out": len(found) - len(newest)}

        # A span that ends now is another each time: within a minute it is the same.
        ends = tuple(one // 60_000 for one in span)
        key = ("events", ends, tuple((k, *v) for k, v in tags.items()), from_buffer)
        found: dict[str, Any] = await self._desk.ask(key, make, _KEEP_S)
        return found

    async def today(self) -> dict[str, Any]:
        """Return the curve of today, from the buffer."""

        def make() -> dict[str, Any]:
            with stored.source(self._config, True, through=self._bounded) as points:
                return self._curve.read(points, self._now_ms())

        found: dict[str, Any] = await self._desk.ask("today", make, _KEEP_S)
        return found

    def _bounded(self, lines: Lines) -> Lines:
        """Let lines pass until they take too long, or the logger stops."""
        until = time.monotonic() + _PATIENCE_S

        def passed(measurement: str, spans: Sequence[TimeSpan]) -> Iterator[str]:
            for line in lines(measurement, spans):
                if self._desk.stopping or time.monotonic() > until:
                    raise ReportError(
                        "this report takes too long here",
                        "ask for less, or use `inepro-logger report`",
                    )
                yield line

        return passed
