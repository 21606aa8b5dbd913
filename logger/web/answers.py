"""Questions in, plain values out: what the addresses of the interface answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from logger.config import Config
from logger.derive.events import EventKind
from logger.domain import times
from logger.domain.limits import QUARTER_MS
from logger.domain.timespan import TimeSpan
from logger.latest import Latest, iso, of_meter, of_site
from logger.report.calendar import By, Period, touched
from logger.report.stored import default_span

_LEAST_MS = {By.QUARTER: QUARTER_MS, By.HOUR: 3_600_000}
_DAY_MS = 86_400_000
_MOST_PERIODS = 9000  # more than a year of hours, or three months of quarter hours
_LONGEST_MS = 20 * 366 * _DAY_MS


class QuestionError(ValueError):
    """A question that cannot be answered: its text is for who asked."""


class ConflictError(ValueError):
    """Each parameter is right, but not together, or not now: its text is for who asked."""


def known(asked: Mapping[str, str], *names: str) -> None:
    """Raise QuestionError for a parameter that is not one of `names`."""
    for name in asked:
        if name not in names:
            takes = ", ".join(names) if names else "none"
            raise QuestionError(f"{name[:40]!r} is no parameter here; there are: {takes}")


def one_of(asked: Mapping[str, str], name: str, words: Sequence[str], usual: str) -> str:
    """Return a parameter that is one of `words`."""
    found = asked.get(name) or usual
    if found not in words:
        raise QuestionError(f"{name}: {found[:40]!r} is none of {', '.join(words)}")
    return found


def span(asked: Mapping[str, str], config: Config, now_ms: int) -> TimeSpan:
    """Return what `from` and `to` name, by default the month so far.

    Raises QuestionError for what is no time, ConflictError for no stretch, or one too long.
    """
    zone = ZoneInfo(config.site.timezone)
    try:
        # A form sends what is left empty, too.
        first = times.start_of(text[:100], zone, now_ms) if (text := asked.get("from")) else None
        last = times.end_of(text[:100], zone, now_ms) if (text := asked.get("to")) else None
        start, end = default_span(first, last, config, now_ms)
    except (ValueError, OverflowError) as err:
        raise QuestionError(f"from, to: {err}") from None
    if start >= end:
        raise ConflictError("from is not before to")
    if end - start > _LONGEST_MS:
        raise ConflictError("from, to: longer than 20 years")
    return start, end


def periods(asked: Mapping[str, str], config: Config, now_ms: int) -> tuple[str, list[Period]]:
    """Return the word of `by` and the periods of an energy report."""
    by = By(one_of(asked, "by", list(By), By.DAY))
    start, end = span(asked, config, now_ms)
    if (end - start) / _LEAST_MS.get(by, _DAY_MS) > _MOST_PERIODS:
        raise ConflictError(f"by {by}: more than {_MOST_PERIODS} lines; ask for less, or by month")
    return by, touched((start, end), by, ZoneInfo(config.site.timezone))


def tags(asked: Mapping[str, str]) -> dict[str, list[str]]:
    """Return which events are asked for."""
    found = {}
    if asked.get("kind"):
        found["kind"] = [one_of(asked, "kind", list(EventKind), "")]
    if asked.get("meter"):
        found["meter"] = [asked["meter"]]
    return found


def site(config: Config, latest: Latest, now_ms: int) -> dict[str, Any]:
    """Return the site and its flows, W and kWh."""
    about = {"name": config.site.name, "timezone": config.site.timezone, "now": iso(now_ms)}
    return {**about, "currency": config.prices.currency, **of_site(latest)}


def meters(config: Config, latest: Latest, now_ms: int) -> dict[str, Any]:
    """Return all meters in short, in the order of the configuration."""
    return {"now": iso(now_ms), "meters": [_about(config, latest, one) for one in latest.meters]}


def meter(config: Config, latest: Latest, name: str, now_ms: int) -> dict[str, Any]:
    """Return a meter with every value. KeyError for one that is not configured."""
    about = _about(config, latest, name)
    about["now"] = iso(now_ms)
    about["values"] = [
        {
            "field": quantity.field,
            "phase": quantity.phase or None,
            "tariff": quantity.tariff or None,
            "value": one.value,
            "unit": one.unit,
            "time": iso(one.at_ms),
            "age_s": round(one.age_s, 1),
            "fresh": one.fresh,
        }
        for quantity, one in sorted(latest.of(name).items())
    ]
    return about


def _about(config: Config, latest: Latest, name: str) -> dict[str, Any]:
    short = of_meter(latest, name)
    for bus in config.bus:
        for one in bus.meter:
            if one.name == name:
                short |= {"bus": bus.name, "model": one.model}
    return short
