"""Quarter hours of energy as reports read them: one for each meter and quarter. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

from logger.domain.limits import QUARTER_MS
from logger.domain.quantity import DRAWN_IN
from logger.domain.timespan import TimeSpan
from logger.report.source import Source, Table, Tags

_NEEDED = ("import", "export", "import_netted", "coverage", "sure")
_TARIFFS = {field: tariff for tariff, field in DRAWN_IN.items()}
_FIELDS = (*_NEEDED, *_TARIFFS)


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Whose quarter hours they are: a meter in a role."""

    meter: str
    role: str


class QuarterHour(NamedTuple):
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
    found: dict[Owner, dict[int, QuarterHour]] = {}
    for table in source.tables("energy_15m", [span], tags, _FIELDS):
        if {"meter", "role"} <= table.tags.keys() and table.columns.keys() >= set(_NEEDED):
            own = found.setdefault(Owner(table.tags["meter"], table.tags["role"]), {})
            own.update(_read(table))
    return {owner: _in_order(own) for owner, own in sorted(found.items()) if own}


def _read(table: Table) -> Iterator[tuple[int, QuarterHour]]:
    """Yield the quarter hours of a table that have all they need, with their times."""
    columns = table.columns
    names = [name for name in _TARIFFS if name in columns]
    rows = zip(*(columns[name] for name in names), strict=True) if names else repeat(())
    needed = zip(*(columns[name] for name in _NEEDED), strict=True)
    for at_ms, fields, tariffs in zip(table.times, needed, rows, strict=False):
        if None in fields:
            continue
        drawn, fed, netted, coverage, sure = fields
        by_tariff = {
            _TARIFFS[name]: float(value)
            for name, value in zip(names, tariffs, strict=True)
            if value is not None
        }
        yield (
            at_ms,
            QuarterHour(
                float(drawn), float(fed), float(netted),
                by_tariff, float(coverage), bool(sure),
            ),
        )  # fmt: skip


def _in_order(own: Mapping[int, QuarterHour]) -> dict[int, QuarterHour]:
    """Return the quarter hours by their beginning."""
    found: dict[int, QuarterHour] = {}
    parts: dict[int, list[QuarterHour]] = {}
    for at_ms, quarter in own.items():
        start = at_ms - at_ms % QUARTER_MS
        if start in found:
            parts.setdefault(start, [found[start]]).append(quarter)
        else:
            found[start] = quarter
    for start, several in parts.items():
        found[start] = _sum(several)
    return dict(sorted(found.items()))


def _sum(parts: Sequence[QuarterHour]) -> QuarterHour:
    tariffs: dict[str, float] = {}
    for part in parts:
        for tariff, value in part.tariffs.items():
            tariffs[tariff] = tariffs.get(tariff, 0.0) + value
    return QuarterHour(
        drawn=sum(part.drawn for part in parts),
        fed=sum(part.fed for part in parts),
        drawn_netted=sum(part.drawn_netted for part in parts),
        tariffs=dict(sorted(tariffs.items())),
        coverage=sum(part.coverage for part in parts),
        sure=False,
    )
