"""Costs of quarter hours as points: made anew when prices of the past came or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logger.config import Config
    from logger.domain.spot import PriceKind, Spot, Spots
    from logger.domain.timespan import TimeSpan
    from logger.points.line import Point
    from logger.report.source import Source

_STEP_MS = 31 * 86_400_000  # so much is read and written at once


def since(config: Config) -> int:
    """Return when the first price of the configuration begins, in ms."""
    from zoneinfo import ZoneInfo

    from logger.domain.times import midnight_ms

    first = min(one.since for one in config.prices.valid)
    return midnight_ms(first, ZoneInfo(config.site.timezone))


def late(config: Config, kind: PriceKind, old: Spot, new: Spot, until_ms: int) -> TimeSpan | None:
    """Return the span of which costs are to be made anew when `new` prices of a kind have come,
    with what an earlier import left to do, and note it: this one may end before they are."""
    from logger.cli import pricerows
    from logger.prices import kept

    place = kept.beside(config.buffer.path)
    spans = [kept.owed(place)]
    if kind in pricerows.needed(config):
        spans.append(changed(old, new, until_ms))
    found = [span for span in spans if span is not None]
    if not found:
        return None
    span = (min(start for start, _ in found), max(end for _, end in found))
    kept.owe(place, span)
    return span


def changed(old: Spot, new: Spot, until_ms: int) -> TimeSpan | None:
    """Return the span before a moment in which prices are other ones than before."""
    from logger.domain.limits import QUARTER_MS

    found = [at for at, price in new.items() if at < until_ms and old.get(at) != price]
    return (min(found), max(found) + QUARTER_MS) if found else None


def write(config: Config, spots: Spots, span: TimeSpan, *, as_json: bool) -> int:
    """Put the costs of the quarter hours in `span` into the buffer, as points that replace those
    that are there; return how many.

    The quarter hours are those in InfluxDB, where configured, and in the buffer. Raises
    ReportError and others when these cannot be read.
    """
    from logger.cli.bufferparts import bar
    from logger.cli.moments import now_ms
    from logger.domain.datamodel import Lane
    from logger.report.stored import source
    from logger.store import tools
    from logger.store.rows import new_rows
    from logger.transfer.importing import check_room

    if not config.buffer.path.exists():
        return 0
    with source(config, False) as main, source(config, True) as own:
        sources = [main, own] if config.influxdb is not None else [own]
        made = list(_points(config, spots, span, sources))
    if not made:
        return 0
    rows = new_rows(Lane.MAIN, [one.line() for one in made], [one.time_ms for one in made])
    check_room(config.buffer.path, config.buffer.max_size, rows)
    with (
        tools.changing(config.buffer.path) as database,
        bar("writing costs", as_json) as progress,
    ):
        return tools.add(database, rows, now_ms(), progress)


def _points(config: Config, spots: Spots, span: TimeSpan, sources: list[Source]) -> Iterator[Point]:
    from zoneinfo import ZoneInfo

    from logger.prices.money import PriceList
    from logger.report.costs import costs

    prices = PriceList(config.prices, spots, ZoneInfo(config.site.timezone))
    for first in range(*span, _STEP_MS):
        part = (first, min(first + _STEP_MS, span[1]))
        yield from costs(sources, part, config.site.name, prices)
