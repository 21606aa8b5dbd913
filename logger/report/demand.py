"""The demand report: the highest quarter hours or hours, and what a rule makes of them. Pure.

    demand of a window = energy drawn in it / its length, kW
    value of a period  = mean of its highest windows, as many as the rule says, not below
                         the rule's least

A quarter that lasted longer than a quarter (the clock was set back) counts by its true length.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from logger.config.demandrule import DemandRule, When
from logger.domain.limits import QUARTER_MS
from logger.report.calendar import Period
from logger.report.quarters import Owner, QuarterHour, QuarterHours

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Peak:
    """The demand, kW, of one window; `sure` if all its quarters are there and sure."""

    start_ms: int
    end_ms: int
    day: dt.date
    demand: float
    coverage: float
    sure: bool


@dataclass(frozen=True, slots=True)
class DemandRow:
    """One period of one meter: its highest windows, highest first, and what they come to.

    `value` is what the rule makes of the highest, kW; `billed` the mean of the values of
    this period and those before it, as many as the rule says. `above` counts the windows
    above the limit, `missing` the quarter hours of which nothing is known.
    """

    meter: str
    label: str
    start_ms: int
    end_ms: int
    peaks: tuple[Peak, ...]
    value: float
    billed: float
    windows: int
    above: int
    missing: int
    sure: bool


def report(
    quarters: Mapping[Owner, QuarterHours],
    shown: Sequence[Period],
    rule: DemandRule,
    zone: ZoneInfo,
    limit: float | None = None,
    top: int = 3,
) -> list[DemandRow]:
    """Return a row for each meter and period with quarter hours, `top` peaks in each.

    `shown` are the rule's periods, in their order.
    """
    found: list[DemandRow] = []
    for owner, own in quarters.items():
        values: list[float] = []
        peaks = list(windows(own, rule, zone))
        for period in shown:
            inside = [one for one in peaks if period.start_ms <= one.start_ms < period.end_ms]
            if not inside:
                continue
            counted = highest(inside, rule.highest, apart=rule.different_days)
            mean = sum(one.demand for one in counted) / len(counted)
            values.append(max(rule.least, mean))
            recent = values[-rule.mean_of :]
            known = [start for start in own if period.start_ms <= start < period.end_ms]
            begin, end = max(period.start_ms, min(own)), min(period.end_ms, max(own) + QUARTER_MS)
            missing = (end - begin) // QUARTER_MS - len(known)
            found.append(
                DemandRow(
                    meter=owner.meter,
                    label=period.label,
                    start_ms=period.start_ms,
                    end_ms=period.end_ms,
                    peaks=tuple(highest(inside, max(top, 1), apart=rule.different_days)),
                    value=values[-1],
                    billed=sum(recent) / len(recent),
                    windows=len(inside),
                    above=sum(limit is not None and one.demand > limit for one in inside),
                    missing=missing,
                    sure=not missing and all(one.sure for one in inside),
                )
            )
    return found


def windows(quarters: QuarterHours, rule: DemandRule, zone: ZoneInfo) -> Iterator[Peak]:
    """Yield the demand of each window of the rule, by time."""
    groups: dict[int, list[QuarterHour]] = {}
    local: dict[int, dt.datetime] = {}
    for start, quarter in quarters.items():
        at = dt.datetime.fromtimestamp(start / 1000, zone)
        # All time zones lie whole quarters from UTC, so an hour of the clock is four of them.
        begin = start - at.minute * 60_000 if rule.window == "hour" else start
        if begin not in groups:
            local[begin] = dt.datetime.fromtimestamp(begin / 1000, zone)
        groups.setdefault(begin, []).append(quarter)
    length = _HOUR_MS if rule.window == "hour" else QUARTER_MS
    for begin, own in groups.items():
        at = local[begin]
        if _wanted(rule.when, at):
            yield _peak(own, begin, length, at.date(), netted=rule.netted)


def _peak(
    own: Sequence[QuarterHour], begin: int, length: int, day: dt.date, *, netted: bool
) -> Peak:
    expected = length // QUARTER_MS
    energy = sum(quarter.drawn_netted if netted else quarter.drawn for quarter in own)
    lasted = sum(max(1.0, quarter.coverage) for quarter in own) + expected - len(own)
    return Peak(
        start_ms=begin,
        end_ms=begin + length,
        day=day,
        demand=energy * _HOUR_MS / (lasted * QUARTER_MS),
        coverage=min(1.0, sum(min(1.0, quarter.coverage) for quarter in own) / expected),
        sure=len(own) == expected and all(quarter.sure for quarter in own),
    )


def _wanted(when: Sequence[When], at: dt.datetime) -> bool:
    return not when or any(one.holds(at) for one in when)


def highest(peaks: Iterable[Peak], count: int, *, apart: bool) -> list[Peak]:
    """Return the `count` highest, highest first, of equal ones the earliest; `apart` takes
    at most one of each day."""
    found: list[Peak] = []
    days: set[dt.date] = set()
    for one in sorted(peaks, key=lambda peak: (-peak.demand, peak.start_ms)):
        if len(found) == count:
            break
        if not apart or one.day not in days:
            days.add(one.day)
            found.append(one)
    return found
