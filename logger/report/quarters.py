"""Quarter hours of energy as reports read them: one for each meter and quarter. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from logger.domain.limits import QUARTER_MS
from logger.domain.quantity import DRAWN_IN
from logger.domain.timespan import TimeSpan
from logger.points.line import FieldValue, Point
from logger.report.source import Source, Tags

_NEEDED = ("import", "export", "import_netted", "coverage", "sure")
_FIELDS = (*_NEEDED, *DRAWN_IN.values())


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Whose quarter hours they are: a meter in a role."""

    meter: str
    role: str


@dataclass(frozen=True, slots=True)
class QuarterHour:
    """What a meter counted in a quarter hour, kWh; see `energy_15m` in the data model."""

    drawn: float
    fed: float
    drawn_netted: float
    tariffs: Mapping[str, float]
    coverage: float
    sure: bool

    def counted(self, quantity: str, tariff: str) -> float | None:
        """Return what one of the meter's counters counted, None if that is not known."""
        if tariff != "total":
            return self.tariffs.get(tariff)
        return self.drawn if quantity == "active_import" else self.fed

    @property
    def common(self) -> float:
        """What netting takes off import and export alike."""
        return max(0.0, self.drawn - self.drawn_netted)


# By the moment at which each begins, ms UTC.
QuarterHours = Mapping[int, QuarterHour]
NO_QUARTERS: Mapping[Owner, QuarterHours] = {}


def quarter_hours(source: Source, span: TimeSpan, tags: Tags) -> dict[Owner, QuarterHours]:
    """Return the quarter hours that begin in `span`, for each meter with any.

    A quarter that the clock went through twice, or in two parts, is the sum of both and
    not sure; its coverage may be above 1.
    """
    # As in InfluxDB the last point of a time counts.
    points = {
        (Owner(point.tags["meter"], point.tags["role"]), point.time_ms): point
        for point in source.read("energy_15m", [span], tags, _FIELDS)
        if {"meter", "role"} <= point.tags.keys() and point.fields.keys() >= set(_NEEDED)
    }
    parts: dict[Owner, dict[int, list[Point]]] = {}
    for (owner, at_ms), point in points.items():
        parts.setdefault(owner, {}).setdefault(at_ms - at_ms % QUARTER_MS, []).append(point)
    return {
        owner: {start: _joined(own) for start, own in sorted(quarters.items())}
        for owner, quarters in sorted(parts.items())
    }


def _joined(parts: Sequence[Point]) -> QuarterHour:
    fields = parts[0].fields if len(parts) == 1 else _sum(part.fields for part in parts)
    return QuarterHour(
        drawn=float(fields["import"]),
        fed=float(fields["export"]),
        drawn_netted=float(fields["import_netted"]),
        tariffs={
            tariff: float(fields[name]) for tariff, name in DRAWN_IN.items() if name in fields
        },
        coverage=float(fields["coverage"]),
        sure=bool(fields["sure"]) and len(parts) == 1,
    )


def _sum(parts: Iterable[Mapping[str, FieldValue]]) -> Mapping[str, FieldValue]:
    found: dict[str, FieldValue] = {}
    for fields in parts:
        for name, value in fields.items():
            found[name] = float(found.get(name, 0.0)) + float(value)
    return found
