"""Charges on demand: what a kW costs, times what the rule of the configuration finds.

    charge of a period = billed demand (kW, by the rule) x demand_kw
                       = fixed + kw x billed demand, of the step into which it falls

A month, or a year, is charged if the report has all of it, or all that there is of it yet.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.config.demandrule import DemandRule, load_rule
from logger.config.derive import DemandStep, Prices
from logger.domain.limits import QUARTER_MS
from logger.domain.spot import NO_SPOTS
from logger.domain.times import day_of, first_day, next_day
from logger.domain.timespan import TimeSpan
from logger.prices.money import PriceList
from logger.report import demand
from logger.report.calendar import By, Period, periods
from logger.report.energyrow import EnergyRow
from logger.report.quarters import NO_QUARTERS, Owner, QuarterHours, quarter_hours
from logger.report.source import Source, Tags


@dataclass(frozen=True, slots=True)
class Charge:
    """What the demand of a month or year of one meter costs; `sure` if no quarter hour of it
    is missing or estimated; `step` is the price that holds for so much."""

    meter: str
    span: TimeSpan
    demand_kw: float
    step: DemandStep
    amount: Decimal
    sure: bool

    def plain(self) -> dict[str, float | bool]:
        """Return it for JSON, but for its span."""
        return {
            "demand_kw": round(self.demand_kw, 6),
            "step_from_kw": self.step.from_kw,
            "fixed": self.step.fixed,
            "per_kw": self.step.kw,
            "amount": float(self.amount),
            "sure": self.sure,
        }

    def text(self, currency: str) -> str:
        """Return for people what was charged, and how it was computed."""
        how = [f"{self.step.fixed:g}"] if self.step.fixed or not self.step.kw else []
        how += [f"{self.step.kw:g} x {self.demand_kw:.3f} kW"] if self.step.kw else []
        of = f" (step from {self.step.from_kw:g} kW)" if self.step.from_kw else ""
        mark = "" if self.sure else " ?"
        demand = f"{self.demand_kw:.3f} kW{of}{mark}"
        return f"{demand}: {' + '.join(how)} = {self.amount:.2f} {currency}"


def charges(
    source: Source,
    shown: Sequence[Period],
    prices: Prices,
    zone: ZoneInfo,
    tags: Tags,
    hours: Mapping[Owner, QuarterHours] = NO_QUARTERS,
) -> list[Charge]:
    """Return the charges of the months or years that a report has, for each meter of `tags`.

    `hours` are the quarter hours of these meters in the report, if they were read. Raises
    ConfigError for a rule that cannot be used, ReportError if the source fails.
    """
    span = (shown[0].start_ms, shown[-1].end_ms)
    known = PriceList(prices, NO_SPOTS, zone)
    found: list[Charge] = []
    names = {price.demand_rule for price in known.entries(span) if price.charges_demand}
    for name in sorted(names):
        rule = load_rule(name) if name else DemandRule()
        spans = _periods(rule, span, zone)
        whole = (spans[0].start_ms, spans[-1].end_ms)
        quarters = hours if hours and whole == span else quarter_hours(source, whole, tags)
        newest = max((max(own) + QUARTER_MS for own in quarters.values()), default=span[0])
        for row in demand.report(quarters, spans, rule, zone):
            price = known.at(row.start_ms) or known.at(min(row.end_ms, span[1]) - 1)
            ended = row.end_ms <= span[1] or newest <= span[1]
            if price is None or price.demand_rule != name or row.start_ms < span[0] or not ended:
                continue
            # A step is chosen by the demand as it is shown: the last digits are a mean's own.
            billed = Decimal(repr(row.billed))
            step = price.step(round(billed, 6))
            own = (row.start_ms, min(row.end_ms, span[1]))
            found.append(Charge(row.meter, own, row.billed, step, step.charge(billed), row.sure))
    return found


def _periods(rule: DemandRule, span: TimeSpan, zone: ZoneInfo) -> list[Period]:
    """Return the whole months or years that touch a span, and those before it that the rule
    takes a mean with."""
    first = first_day(rule.per, day_of(span[0], zone))
    for _ in range(rule.mean_of - 1):
        first = first_day(rule.per, first - dt.timedelta(days=1))
    last = next_day(rule.per, day_of(span[1] - 1, zone)) - dt.timedelta(days=1)
    return periods(first, last, By(rule.per), zone)


def add(rows: Iterable[EnergyRow], found: Sequence[Charge]) -> None:
    """Put each charge into the rows that have all of its time."""
    for row in rows:
        for one in found:
            if row.start_ms <= one.span[0] and one.span[1] <= row.end_ms:
                row.demand_charge = (row.demand_charge or Decimal(0)) + one.amount
