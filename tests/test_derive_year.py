"""A virtual stretch with every incident: reports equal the meters' displays and ledgers.

The normal run takes six days with the end of daylight saving time in it; the marker
`long` takes the whole year.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from logger.config.derive import Price, Prices
from logger.domain.limits import BORDER_MS
from logger.domain.times import midnight_ms
from logger.report.calendar import By, Period, periods
from logger.report.countervalues import counter_values
from logger.report.energy import cuts, report
from logger.report.energyrow import EnergyRow
from logger.report.influx import InfluxSource
from logger.report.source import BufferSource
from tests.conftest import Target
from tests.derive_rig import events, of
from tests.derive_year import ZONE, Player, schedule, unmatched
from tests.engines.rig import Rig, until

_DAYS = ("2026-10-20", 6, 5, 1, 1)
_YEAR = ("2026-03-01", 365, 20, 3, 2)
_LENGTHS = pytest.mark.parametrize(
    "case", [_DAYS, pytest.param(_YEAR, marks=pytest.mark.long)], ids=["days", "year"]
)
_ROLES = {"grid": "house", "pv": "roof"}
Case = tuple[str, int, int, int, int]
PRICES = Prices(
    valid=[
        Price(since=dt.date(2026, 1, 1), buy=0.30, buy_t1=0.3427, buy_t2=0.2613, sell=0.081),
        Price(since=dt.date(2026, 10, 24), buy=0.29, buy_t1=0.3319, buy_t2=0.2507, sell=0.077),
    ]
)


@cache
def played(case: Case) -> Player:
    first, days, each_glitch, resets, swaps = case
    start = midnight_ms(dt.date.fromisoformat(first), ZONE) // 1000
    # Whole local days: one has 25 hours.
    last = dt.date.fromisoformat(first) + dt.timedelta(days=days)
    length = midnight_ms(last, ZONE) // 1000 - start
    player = Player(start, days, 17, schedule(start, days, 17, each_glitch, resets, swaps))
    player.end = start + length
    player.play()
    return player


def _shown(case: Case, by: By) -> list[Period]:
    first = dt.date.fromisoformat(case[0])
    return periods(first, first + dt.timedelta(days=case[1] - 1), by, ZONE)


@cache
def _source(case: Case) -> BufferSource:
    lines = [point.line() for point in played(case).points]
    return BufferSource(lambda _name, _spans: lines)


def _rows(case: Case, by: By) -> tuple[list[EnergyRow], EnergyRow]:
    shown = _shown(case, by)
    return report(counter_values(_source(case), cuts(shown, PRICES, ZONE), {}), shown, PRICES, ZONE)


@_LENGTHS
def test_every_incident_is_found_once_and_nothing_else(case: Case) -> None:
    player = played(case)
    found = [
        (one.kind, one.meter, one.phase, one.start_ms / 1000, float(one.duration_s or 0))
        for one in events(player.points)
        if one.end_ms is not None
    ]
    assert not [one for one in events(player.points) if one.end_ms is None]
    missing, extra = unmatched([*player.plan.expected, *player.tariffs], found)
    assert (missing, extra) == ([], [])


def _exact_borders(player: Player, name: str, quantity: str, tariff: str) -> set[int]:
    """Return the midnights at which the counter was read and believed."""
    times = sorted(
        point.time_ms
        for point in of(player.points, "energy")
        if point.tags["meter"] == name
        and point.tags["phase"] == "total"
        and point.tags["tariff"] == tariff
        and quantity in point.fields
    )
    found = set()
    for _, border, _ in player.shown:
        place = bisect_left(times, border * 1000)
        if place < len(times) and times[place] - border * 1000 < BORDER_MS:
            found.add(border)
    return found


def _values(row: EnergyRow) -> Mapping[tuple[str, str, str], Decimal | None]:
    return {
        ("house", "active_import", "total"): row.grid_import,
        ("house", "active_import", "T1"): row.tariffs["T1"],
        ("house", "active_import", "T2"): row.tariffs["T2"],
        ("house", "active_export", "total"): row.grid_export,
        ("roof", "active_export", "total"): row.pv,
    }


@_LENGTHS
@pytest.mark.parametrize("by", [By.DAY, By.MONTH])
def test_energy_equals_the_displays_to_the_last_digit(case: Case, by: By) -> None:
    player = played(case)
    rows, _ = _rows(case, by)
    assert [row.label for row in rows] == [period.label for period in _shown(case, by)]
    compared = 0
    for name, quantity, tariff in _values(rows[0]):
        borders = _exact_borders(player, name, quantity, tariff)
        key = f"{quantity}/total/{tariff}"
        sums, since = Decimal(0), rows[0].start_ms // 1000
        for row in rows:
            sums += _values(row)[name, quantity, tariff] or Decimal(0)
            until = row.end_ms // 1000
            if until not in borders:  # nobody read at midnight: the sum of two days is exact
                continue
            assert sums == player.shown[name, until, key] - player.shown[name, since, key]
            sums, since = Decimal(0), until
            compared += 1
    assert compared >= 4 * len(rows)


@_LENGTHS
def test_energy_equals_the_ledgers(case: Case) -> None:
    player = played(case)
    rows, total = _rows(case, By.DAY)
    start, end = rows[0].start_ms // 1000, rows[-1].end_ms // 1000
    # A float32 of these sizes has steps of 0.001; each set of counters rounds twice.
    slack = 0.002 * (1 + len(player.plan.resets) + len(player.plan.swaps))
    for (name, quantity, tariff), value in _values(total).items():
        number = int(tariff[1:]) if tariff != "total" else None
        assert value is not None
        assert float(value) == pytest.approx(
            player.counted(name, quantity, start, end, number), abs=slack
        )
    produced = player.counted("roof", "active_export", start, end, None)
    fed = player.counted("house", "active_export", start, end, None)
    drawn = player.counted("house", "active_import", start, end, None)
    assert total.self_consumption is not None
    assert total.self_sufficiency is not None
    assert float(total.self_consumption) == pytest.approx((produced - fed) / produced, abs=1e-4)
    assert float(total.self_sufficiency) == pytest.approx(
        (produced - fed) / (drawn + produced - fed), abs=1e-4
    )


@_LENGTHS
def test_costs_equal_the_ledgers(case: Case) -> None:
    player = played(case)
    _, total = _rows(case, By.MONTH)
    cost = revenue = 0.0
    for period in _shown(case, By.DAY):
        price = PRICES.on(period.day)
        assert price is not None
        start, end = period.start_ms // 1000, period.end_ms // 1000
        for tariff in (1, 2):
            drawn = player.counted("house", "active_import", start, end, tariff)
            cost += drawn * price.buying(f"T{tariff}")
        revenue += player.counted("house", "active_export", start, end, None) * price.sell
    assert total.cost is not None
    assert total.revenue is not None
    # A border inside an outage is divided by time; only one change of price can matter.
    assert float(total.cost) == pytest.approx(cost, rel=1e-4)
    assert float(total.revenue) == pytest.approx(revenue, rel=1e-4)


@_LENGTHS
def test_site_counters_rise_over_resets_and_swaps_and_equal_the_ledgers(case: Case) -> None:
    player = played(case)
    points = [point for point in of(player.points, "site") if "grid_import" in point.fields]
    for name in ("grid_import", "grid_export", "pv_energy", "self_consumed", "load_energy"):
        values = [float(point.fields[name]) for point in points if name in point.fields]
        # Differences of meters that are read one after the other may fall slightly.
        hair = 0.0 if name in {"grid_import", "grid_export", "pv_energy"} else 0.05
        assert all(after >= before - hair for before, after in pairwise(values))
    first, last = points[0].fields, points[-1].fields
    start, end = player.start, player.end
    produced = player.counted("roof", "active_export", start, end, None)
    fed = player.counted("house", "active_export", start, end, None)
    drawn = player.counted("house", "active_import", start, end, None)
    slack = 0.004 * (2 + len(player.plan.resets) + len(player.plan.swaps))
    for name, counted in {
        "grid_import": drawn,
        "grid_export": fed,
        "pv_energy": produced,
        "self_consumed": produced - fed,
        "load_energy": drawn + produced - fed,
    }.items():
        moved = float(last[name]) - float(first[name])
        assert moved == pytest.approx(counted, abs=slack), name


@_LENGTHS
def test_no_two_points_share_a_series_and_a_time(case: Case) -> None:
    seen: set[tuple[object, ...]] = set()
    for point in played(case).points:
        for name in point.fields:
            key = (point.measurement, *sorted(point.tags.items()), name, point.time_ms)
            assert key not in seen
            seen.add(key)


@_LENGTHS
def test_no_wrong_value_ever_becomes_a_point(case: Case) -> None:
    """Between two breaks no counter falls by more than its last digits."""
    player = played(case)
    broken = sorted([*player.plan.resets, *player.plan.swaps])
    last: dict[tuple[str, ...], tuple[int, float]] = {}
    for point in of(player.points, "energy"):  # in the order of reading
        for name in ("active_import", "active_export", "reactive_import", "reactive_export"):
            if name not in point.fields:
                continue
            value = float(point.fields[name])
            key = (point.tags["meter"], point.tags["phase"], point.tags["tariff"], name)
            at_ms, before = last.get(key, (0, 0.0))
            last[key] = (point.time_ms, value)
            spans = any(
                at_ms < at * 1000 + 2000 and at * 1000 <= point.time_ms and meter == key[0]
                for at, meter in broken
            )
            if at_ms and not spans:
                hours = abs(point.time_ms - at_ms) / 3.6e6
                assert before - 0.004 <= value <= before + 20 * hours + 0.1, (key, point.time_ms)


@pytest.mark.engine
@_LENGTHS
def test_reports_are_the_same_after_outages_of_the_server(
    case: Case, tmp_path: Path, target: Target
) -> None:
    """The points go through buffer and delivery while the server comes and goes: away ten
    times for a while, and once for a fiftieth of the time, a week of the year."""
    player = played(case)
    rig = Rig(tmp_path / "buffer.sqlite", target)
    shares = [0.05, 0.01, 0.06, 0.02, 0.1, 0.005, 0.08, 0.01, 0.1, 0.02, 0.1, 0.005, 0.07]
    shares += [0.01, 0.05, 0.02, 0.06, 0.005, 0.05, 0.01, 0.05]  # there, away, there, ...
    begin = 0.0
    away = 0
    for number, share in enumerate(shares):
        end = begin + share if number < len(shares) - 1 else 1.0
        first, last = (round(edge * len(player.points)) for edge in (begin, end))
        if number % 2:
            target.translator.down()
            away += 1
        elif number:
            target.translator.up()
        for start in range(first, last, 500):
            rig.buffer.append(player.points[start : min(start + 500, last)])
            # A year in seconds would overrun the memory before the disk.
            if (start - first) % 5000 == 0:
                assert rig.buffer.flush()
        if number % 2 == 0:
            until(lambda: rig.buffer.flush() and rig.drained(), 120.0)
        begin = end
    books = rig.buffer.books().total
    rig.close()
    assert away == 10
    assert (books.dropped, books.set_aside) == (0, 0)
    assert (books.read, books.delivered) == (len(player.points), len(player.points))
    site = player.points[0].tags["site"]
    stored = InfluxSource(target.engine.url, target.bucket, "", site)
    for by in (By.DAY, By.MONTH):
        shown = _shown(case, by)
        found = report(counter_values(stored, cuts(shown, PRICES, ZONE), {}), shown, PRICES, ZONE)
        assert found == _rows(case, by)
