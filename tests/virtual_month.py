"""A month of a virtual site in a real engine, for the tests of dashboards and alerts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from logger.domain.datamodel import Lane
from logger.points.encode import by_lane
from logger.points.line import Point
from logger.simulate import Incident, Trouble, VirtualSite, virtual_site
from logger.simulate.past import Past, PastSpan, troubles
from tests.engines import InfluxServer

ZONE = "Europe/Amsterdam"
# Summer time ends within the month; its end is a weekday noon with sun.
END = int(datetime(2026, 11, 5, 11, 30, tzinfo=UTC).timestamp())
DAYS = 30
START = END - DAYS * 86400
DETAIL = END - 3 * 3600
BUCKETS = {Lane.MAIN: "energy", Lane.FAST: "live"}
NAMES = {1: "grid", 2: "roof"}


def at(minutes_before_end: float) -> float:
    """Return a moment in epoch seconds."""
    return END - 60 * minutes_before_end


# What happens in the last three hours, and must be told by the rules.
INCIDENTS = (
    *troubles(END),
    Incident(kind=Trouble.VOLTAGE, start=at(160), end=at(149), phase=3, value=256.0),
    Incident(kind=Trouble.VOLTAGE, start=at(130), end=at(119), phase=1, value=251.5),
    Incident(kind=Trouble.PHASE_LOST, start=at(100), end=at(92), phase=2),
    Incident(kind=Trouble.METER_SILENT, start=at(80), end=at(60), meter=2),
    Incident(kind=Trouble.FREQUENCY, start=at(50), end=at(45), value=50.63),
    Incident(kind=Trouble.VOLTAGE, start=at(40), end=at(29), phase=2, value=203.5),
)


class Month:
    """The engine, the site that filled it, and what was written."""

    def __init__(self, engine: InfluxServer) -> None:
        self.engine = engine
        self.site: VirtualSite = virtual_site(
            3, start=START, step_s=30, zone=ZONE, incidents=INCIDENTS
        )
        for bucket in BUCKETS.values():
            engine.create_bucket(bucket)
        past = Past(self.site, NAMES, "home")
        self._lines: dict[Lane, list[str]] = {lane: [] for lane in BUCKETS}
        for span in (
            PastSpan(start_ms=START * 1000, end_ms=DETAIL * 1000, fast_ms=600_000, slow_ms=600_000),
            PastSpan(start_ms=DETAIL * 1000, end_ms=END * 1000, fast_ms=10_000, slow_ms=60_000),
        ):
            for points in past.points(span):
                self._take(points)
        self._send()

    def _take(self, points: Iterable[Point]) -> None:
        for lane, found in by_lane(points).items():
            self._lines[lane] += [point.line() for point in found]
        if len(self._lines[Lane.MAIN]) > 20_000:
            self._send()

    def _send(self) -> None:
        for lane, lines in self._lines.items():
            self.write("\n".join(lines), BUCKETS[lane])
            lines.clear()

    def write(self, lines: str, bucket: str) -> None:
        """Write line protocol in milliseconds."""
        answer = self.engine.http.request(
            "POST",
            f"{self.engine.url}/write?db={bucket}&precision=ms",
            body=lines.encode(),
            timeout=60.0,
        )
        assert answer.status == 204, answer.data
