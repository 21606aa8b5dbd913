"""Records: what the stages pass to each other before anything becomes a point. Pure.

    reading -> Sample, CounterValues, MeterFacts       what was read, in the data model's units
    Sample -> Minute, VoltageWindow, FrequencyWindow   samples added up
    FrequencyWindow -> Quarter                         windows added up
    readings of a meter -> EnergyQuarter               what it counted in a quarter hour
    EnergyQuarter -> EnergyCost                        what it cost, where prices move
    EnergyQuarter -> DayDigest                         the quarter hours of a day, chained
    readings of a round -> SiteFlow                    what flows between grid, PV, battery, load
    all of them -> Event                               something began, ended or changed
    the logger itself -> LoggerCounts                  its own figures

Times are milliseconds UTC; a window has that of its start. `points.encode` makes points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from logger.domain.netting import Netted

FieldValue = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Sample:
    """Measured values of one phase of a meter at one moment, by field, in V, A, W, Hz, ..."""

    meter: str
    role: str
    at_ms: int
    phase: str
    tariff: str
    values: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class CounterValues:
    """Energy counters of one phase and tariff of a meter, by field, in kWh or kvarh."""

    meter: str
    role: str
    at_ms: int
    phase: str
    tariff: str
    values: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """What a meter says of itself: identity, settings, health."""

    meter: str
    role: str
    at_ms: int
    phase: str
    tariff: str
    values: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class Minute:
    """Means, minima and maxima of one phase over a minute, by field; `samples` went in."""

    meter: str
    role: str
    at_ms: int
    phase: str
    values: Mapping[str, FieldValue]
    samples: int


@dataclass(frozen=True, slots=True)
class VoltageWindow:
    """The voltage of one phase over ten minutes, V; `valid` if enough samples went in."""

    meter: str
    role: str
    at_ms: int
    phase: str
    mean: float
    low: float
    high: float
    samples: int
    valid: bool


@dataclass(frozen=True, slots=True)
class FrequencyWindow:
    """The frequency over ten seconds, Hz; `valid` if enough samples went in."""

    meter: str
    role: str
    at_ms: int
    mean: float
    samples: int
    valid: bool


@dataclass(frozen=True, slots=True)
class QuarterCounts:
    """How many frequency windows of a quarter hour there are, are valid, and lie within
    the normal and the wide band; their lowest and highest mean, Hz."""

    windows: int
    valid: int
    normal: int
    wide: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quarter:
    """A quarter hour of frequency windows; without counts when some were not seen here."""

    meter: str
    role: str
    at_ms: int
    counts: QuarterCounts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyQuarter:
    """What a meter counted in a quarter hour, kWh: import and export (`drawn`, `fed`) of its
    counters, the import of each tariff by field, and both netted over the phases.

    `demand` is the mean netted import, kW; `coverage` the share of the time in which the
    power was read. Not `sure`: a gap, a reset, a swap or a step of the clock touches it.
    """

    meter: str
    role: str
    at_ms: int
    drawn: Decimal
    fed: Decimal
    tariffs: Mapping[str, Decimal]
    netted: Netted
    demand: Decimal
    coverage: float
    sure: bool


@dataclass(frozen=True, slots=True)
class EnergyCost:
    """What a quarter hour of a meter cost and earned, in the currency of the configuration:
    None without a price. `worth` is what its export would have cost to buy; `priced_import`
    and `priced_export` the energy (kWh) that has a price."""

    meter: str
    role: str
    at_ms: int
    cost: Decimal | None
    revenue: Decimal | None
    worth: Decimal | None
    priced_import: Decimal
    priced_export: Decimal


@dataclass(frozen=True, slots=True)
class DayDigest:
    """The end of a meter's day: its closing counters (kWh) and digest, by field of
    `day_digest`; `at_ms` is the day's beginning."""

    meter: str
    role: str
    at_ms: int
    values: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class SiteFlow:
    """Powers (W) or energies (kWh) of a site, by field."""

    at_ms: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something begins or ends (`state`). What only happens at one moment ends alone,
    with a duration of 0. `meter` and `phase` are empty where it concerns none."""

    kind: str
    state: str
    at_ms: int
    text: str
    meter: str = ""
    role: str = ""
    phase: str = ""
    duration_s: float | None = None
    extreme: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggerCounts:
    """The logger's own figures about a meter, a bus (`meter` is empty), or the whole (`bus`
    is empty, too), by field."""

    at_ms: int
    values: Mapping[str, FieldValue]
    bus: str = ""
    meter: str = ""
    role: str = ""


Record = (
    Sample
    | CounterValues
    | MeterFacts
    | Minute
    | VoltageWindow
    | FrequencyWindow
    | Quarter
    | EnergyQuarter
    | EnergyCost
    | DayDigest
    | SiteFlow
    | Event
    | LoggerCounts
)
