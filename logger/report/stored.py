"""The reports of a configuration's points, as plain values: for commands and for HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from logger.config import Config
from logger.config.token import READ_TOKEN_VARIABLE, from_environment
from logger.domain import balance, times
from logger.domain.spot import NO_SPOTS, Spots
from logger.domain.timespan import EVER, TimeSpan
from logger.models import load as load_model
from logger.prices import kept
from logger.report import charges, shape
from logger.report import energy as energies
from logger.report.bounds import bounds
from logger.report.calendar import Period
from logger.report.energyrow import EnergyRow
from logger.report.events import Event, joined
from logger.report.source import BufferSource, Lines, Source
from logger.store.query import StoredLines

_QUERY_PATIENCE = 3  # a query may take so many times influxdb.timeout, which is for writes
_AHEAD_MS = 86_400_000  # a clock may have been ahead


@contextlib.contextmanager
def source(
    config: Config,
    from_buffer: bool,
    *,
    damaged: Callable[[int], None] = lambda _count: None,
    through: Callable[[Lines], Lines] = lambda lines: lines,
) -> Iterator[Source]:
    """Open what holds the points: InfluxDB where configured, else the buffer.

    `damaged` hears of rows of the buffer that were left out, `through` may stand between
    the buffer's lines and their reader.
    """
    target = config.influxdb
    if target is not None and not from_buffer:
        from logger.report.influx import InfluxSource

        token = from_environment(READ_TOKEN_VARIABLE) or target.token()
        patience_s = _QUERY_PATIENCE * target.timeout
        yield InfluxSource(target.url, target.bucket, token, config.site.name, patience_s)
        return
    lines = StoredLines(config.buffer.path)
    try:
        yield BufferSource(through(lines), config.site.name)
    finally:
        lines.close()
    if lines.damaged:
        damaged(lines.damaged)


@dataclass(frozen=True, slots=True)
class Energy:
    """The energy report: its rows, their total, and where counters broke."""

    rows: Sequence[EnergyRow]
    total: EnergyRow
    uncertain: Sequence[dict[str, str]]

    def plain(self, config: Config, by: str) -> dict[str, Any]:
        """Return the report as JSON knows it."""
        currency = config.prices.currency
        return {
            "site": config.site.name,
            "timezone": config.site.timezone,
            "by": by,
            "rows": [shape.energy(row, currency) for row in self.rows],
            "total": shape.energy(self.total, currency),
            "breaks": list(self.uncertain),
        }


def energy(
    points: Source, config: Config, shown: Sequence[Period], *, netted: bool = False
) -> Energy:
    """Return the energy of the periods `shown`; no rows without counters. `netted`: with what
    is netted over the phases, too."""
    zone = ZoneInfo(config.site.timezone)
    models = {
        meter.name: load_model(meter.model, config.models_dir)
        for bus in config.bus
        for meter in bus.meter
    }
    tags: Mapping[str, Sequence[str]] = {"role": balance.ROLES}
    span = (shown[0].start_ms, shown[-1].end_ms)
    most = bounds(points, span, models, config.counters.margin)
    found, quarters = energies.gather(points, shown, config.prices, zone, tags, most, netted=netted)
    rows, total = energies.report(found, shown, config.prices, zone, quarters, spots(config))
    if rows:
        grid = {owner: hours for owner, hours in quarters.items() if owner.role == "grid"}
        own = charges.charges(points, shown, config.prices, zone, {"role": ("grid",)}, grid)
        charges.add([*rows, total], own)
    return Energy(rows, total, shape.uncertain(found, total, zone))


def spots(config: Config) -> Spots:
    """Return the imported prices, if the configuration has a formula for them.

    Raises PriceError if they cannot be used.
    """
    if not any(price.moving for price in config.prices.valid):
        return NO_SPOTS
    return kept.load(kept.beside(config.buffer.path), config.prices.currency)


def events(points: Source, until_ms: int, tags: Mapping[str, Sequence[str]]) -> list[Event]:
    """Return all events up to a time: what spans it began before, and may end after."""
    return joined(points.read("event", [(EVER[0], until_ms + _AHEAD_MS)], tags, ()))


def default_span(first: int | None, last: int | None, config: Config, now_ms: int) -> TimeSpan:
    """Return what a report covers: by default the month so far, up to the end of today.

    The span may be empty or turned round: that is for whoever asked to say.
    """
    place = ZoneInfo(config.site.timezone)
    end = times.end_of("today", place, now_ms) if last is None else last
    if first is None:
        first = times.midnight_ms(times.first_day("month", times.day_of(end - 1, place)), place)
    return first, end
