"""The dashboard "Home": now, today, this month, this year. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana.frame import HOME, QUALITY, SOLAR, TARIFFS, dashboard, events, variables
from logger.grafana.frame import PHASES as PHASE_BOARD
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    LIVE,
    LOAD,
    OWN,
    SELL,
    SUN,
    Json,
    bars,
    coloured,
    curves,
    limits,
    link,
    row,
    stat,
    target,
)  # fmt: skip
from logger.grafana.query import (
    GRID,
    PHASES,
    RANGE,
    SITE,
    SUM,
    TOTAL,
    counted,
    grown,
    priced,
    where,
)  # fmt: skip

NO_PV = "no PV meter"
_SILENT, _NO_FLOW = "no reading for 5 minutes", "no PV reading"
_FLOWS = "from the site's flows: load = grid + PV (import positive, export negative)"


def _now(settings: DashboardOptions) -> list[Json]:
    total = "\"phase\" = 'total'"
    power = (
        f'SELECT mean("active_power") FROM "power" {where(RANGE, SITE, GRID, total)} '
        "GROUP BY time($__interval) fill(none)"
    )
    low, high = settings.events.voltage_low, settings.events.voltage_high

    def flow(field: str) -> str:
        return (
            f'SELECT mean("{field}") FROM "site" {where(RANGE, SITE)} '
            "GROUP BY time($__interval) fill(none)"
        )

    return [
        stat(
            "Grid",
            "Active power at the grid meter: positive is drawn from the grid, negative is fed "
            "into it.",
            [target(power, "Grid", source=LIVE)],
            unit="watt", last="5m", interval="5s", graph="area", empty=_SILENT, width=4,
            height=4, thresholds=limits((0, BUY), base=SELL), links=[link("Phases", PHASE_BOARD)],
        ),
        stat(
            "PV",
            f"Power of all PV meters, {_FLOWS}.",
            [target(flow("pv_power"), "PV")],
            unit="watt", last="5m", interval="5s", graph="area", empty=_NO_FLOW, width=4, height=4,
            thresholds=limits(base=SUN), links=[link("PV self-consumption", SOLAR)],
        ),
        stat(
            "Load",
            f"What the site consumes, {_FLOWS}.",
            [target(flow("load_power"), "Load")],
            unit="watt", last="5m", interval="5s", graph="area", empty=_NO_FLOW, width=4, height=4,
            thresholds=limits(base=LOAD), links=[link("PV self-consumption", SOLAR)],
        ),
        stat(
            "Tariff",
            "The tariff that the grid meter counts in now.",
            [
                target(
                    f'SELECT last("tariff") FROM "meter" {where(RANGE, SITE, GRID)}', "Tariff"
                )
            ],
            last="6h", empty="unknown", width=3, height=4, thresholds=limits(base="text"),
            defaults={
                "mappings": [
                    {
                        "type": "value",
                        "options": {
                            str(number): {"text": f"T{number}", "index": number - 1}
                            for number in (1, 2, 3, 4)
                        },
                    }
                ]
            },
            links=[link("Energy and tariffs", TARIFFS)],
        ),
        stat(
            "Voltage",
            f"Latest voltage of each phase to neutral. Red above {high:g} V, blue below {low:g} V. "
            "Indication, not an EN 50160 measurement.",
            [
                target(
                    f'SELECT last("voltage") FROM "power" {where(RANGE, SITE, GRID, PHASES)} '
                    'GROUP BY "phase"',
                    "$tag_phase",
                    source=LIVE,
                )
            ],
            unit="volt", decimals=1, last="5m", empty=_SILENT, names=True, width=6, height=4,
            thresholds=limits(
                (low, "green"), (settings.alerts.voltage_warning, "orange"), (high, "red"),
                base="blue",
            ),
            links=[link("Voltage and frequency", QUALITY)],
        ),
        stat(
            "Frequency",
            "Latest grid frequency. Indication, not an EN 50160 measurement.",
            [
                target(
                    f'SELECT last("frequency") FROM "power" {where(RANGE, SITE, GRID, total)}',
                    "Frequency",
                    source=LIVE,
                )
            ],
            unit="hertz", decimals=2, last="5m", empty=_SILENT, width=3, height=4,
            thresholds=limits(
                (settings.events.frequency_low, "orange"), (49.8, "green"), (50.2, "orange"),
                (settings.events.frequency_high, "red"), base="red",
            ),
            links=[link("Voltage and frequency", QUALITY)],
        ),
    ]  # fmt: skip


def _site(field: str, times: str = "") -> str:
    return f'SELECT ({grown(field)}){times} FROM "site" {where(RANGE, SITE)}'


def _sums(settings: DashboardOptions) -> list[Json]:
    found = []
    for title, last in (("Today", "now/d"), ("This month", "now/M"), ("This year", "now/y")):
        found.append(
            stat(
                f"{title} so far",
                "Imported and exported are the grid meter's counters. Produced, self-consumed and "
                "consumed are the site's counters: self-consumed = produced - exported, "
                "consumed = imported + self-consumed + discharged - charged.",
                [
                    target(counted("active_import", SITE, GRID, TOTAL), "Imported"),
                    target(counted("active_export", SITE, GRID, TOTAL), "Exported"),
                    target(_site("pv_energy"), "Produced"),
                    target(_site("self_consumed"), "Self-consumed"),
                    target(_site("load_energy"), "Consumed"),
                ],
                unit="kwatth", decimals=1, last=last, names=True, rows=True, width=8, height=7,
                **SUM, empty="nothing counted yet",
                overrides=[
                    coloured("Imported", BUY), coloured("Exported", SELL),
                    coloured("Produced", SUN), coloured("Self-consumed", OWN),
                    coloured("Consumed", LOAD),
                ],
                links=[link("Energy and tariffs", TARIFFS)],
            )
        )  # fmt: skip
    if settings.buy is None:
        return found
    for title, last in (("Today", "now/d"), ("This month", "now/M"), ("This year", "now/y")):
        found.append(
            stat(
                f"Money, {title.lower()}",
                "Cost = imported energy of each tariff x its price. Feed-in = exported energy x "
                "feed-in price. Saved = self-consumed energy x price T1 (what it would have cost "
                "by day). Prices are the newest ones of the configuration, without standing "
                "charges.",
                [
                    target(priced(SITE, GRID, signs="buy"), "Cost"),
                    target(priced(SITE, GRID, signs="sell"), "Feed-in"),
                    target(_site("self_consumed", " * ${price_t1:raw}"), "Saved"),
                ],
                unit=settings.money, decimals=2, last=last, names=True, rows=True, width=8, **SUM,
                height=5, empty="nothing counted yet",
                overrides=[
                    coloured("Cost", BUY), coloured("Feed-in", SELL), coloured("Saved", OWN),
                ],
            )
        )  # fmt: skip
    return found


def _charts() -> list[Json]:
    total = "\"phase\" = 'total'"
    flow = (
        f'SELECT mean("%s") FROM "site" {where(RANGE, SITE)} GROUP BY time($__interval) fill(null)'
    )
    return [
        curves(
            "Power",
            f"Means over the range shown. PV and load {_FLOWS}; negative grid power is export.",
            [
                target(flow % "pv_power", "PV"),
                target(flow % "load_power", "Load"),
                target(
                    f'SELECT mean("active_power") FROM "power_1m" '
                    f"{where(RANGE, SITE, GRID, total)} GROUP BY time($__interval) fill(null)",
                    "Grid",
                ),
            ],
            unit="watt", interval="1m", points=720, fill=12, width=12, height=9, legend=(),
            overrides=[
                coloured("PV", SUN), coloured("Load", LOAD), coloured("Grid", BUY),
            ],
            links=[link("Phases", PHASE_BOARD)],
        ),
        bars(
            "The last 31 days",
            "Energy of each day of the site: consumed = self-consumed + imported; exported below "
            "the line. A day after an outage holds what was counted meanwhile.",
            [
                target(
                    f'SELECT difference(last("self_consumed")) FROM "site" '
                    f"{where(RANGE, SITE)} GROUP BY time(1d) fill(none) tz('${{tz:raw}}')",
                    "Self-consumed",
                ),
                target(
                    f'SELECT non_negative_difference(last("active_import")) FROM "energy" '
                    f"{where(RANGE, SITE, GRID, TOTAL)} GROUP BY time(1d) fill(none) "
                    "tz('${tz:raw}')",
                    "Imported",
                ),
                target(
                    f'SELECT -1 * non_negative_difference(last("active_export")) FROM "energy" '
                    f"{where(RANGE, SITE, GRID, TOTAL)} GROUP BY time(1d) fill(none) "
                    "tz('${tz:raw}')",
                    "Exported",
                ),
            ],
            unit="kwatth", decimals=1, last="31d", interval="1d", width=12, height=9, legend=(),
            overrides=[
                coloured("Self-consumed", OWN), coloured("Imported", BUY),
                coloured("Exported", SELL),
            ],
            links=[link("Energy and tariffs", TARIFFS)],
        ),
    ]  # fmt: skip


def home(settings: DashboardOptions) -> Json:
    """Return the dashboard."""
    sums = _sums(settings)
    return dashboard(
        HOME,
        "The installation at a glance.",
        [row("Now"), *_now(settings), *_charts(), row("Energy and money"), *sums],
        settings,
        names=variables(settings, prices="hidden"),
        start="now/d",
        refresh="30s",
        marks=events(shown=False),
    )
