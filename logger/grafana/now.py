"""What the installation does now: a tile for each flow, and for the grid. Pure.

These tiles ask for the last minutes by the clock of the database, whatever range is shown.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.domain.wiring import LINE_PHASES, voltage_factor
from logger.grafana.frame import HEALTH, QUALITY, SOLAR, TARIFFS
from logger.grafana.frame import PHASES as PHASE_BOARD
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import (
    BUY,
    CHARGE,
    DISCHARGE,
    LIVE,
    LOAD,
    MISSING,
    SELL,
    SUN,
    WIDTH,
    Json,
    limits,
    link,
    stat,
    target,
)  # fmt: skip
from logger.grafana.query import ALL_PHASES, GRID, LATELY, LINES, PHASES, SITE, role, where

_SILENT = "no reading for 5 minutes"


def _power(of: str, sign: str = "") -> str:
    """Return the newest power of all meters of a role, together."""
    inner = (
        f'SELECT {sign}last("active_power") AS "p" FROM "power" '
        f'{where(LATELY, SITE, role(of), ALL_PHASES)} GROUP BY "meter"'
    )
    return f'SELECT round(sum("p")) AS "W" FROM ({inner}) {where(LATELY)}'


def _load() -> str:
    return f'SELECT round(last("load_power")) AS "W" FROM "site" {where(LATELY, SITE)}'


def flows(settings: DashboardOptions) -> list[Json]:
    """Return a tile for the power of each role that there is."""
    phases: list[Json]
    solar: list[Json]
    phases, solar = [link("Phases", PHASE_BOARD)], []
    if settings.has("pv"):
        solar = [link("PV self-consumption", SOLAR)]
    text = {
        "Grid": "Active power at the grid meter: positive is drawn from the grid, negative is fed "
        "into it.",
        "PV": "Power of all PV meters together.",
        "Battery": "Power of all batteries together: positive charges, negative discharges.",
        "Load": "What the site consumes: grid + PV - what goes into a battery.",
        "Measured loads": "Power of all meters of the role load together.",
    }
    found: list[tuple[str, Json, Json, list[Json]]] = []
    if settings.live("grid"):
        found.append(("Grid", target(_power("grid"), "Grid", source=LIVE),
                      limits((0, BUY), base=SELL), phases))  # fmt: skip
    if settings.live("pv"):
        produced = target(_power("pv", "-1 * "), "PV", source=LIVE)
        found.append(("PV", produced, limits(base=SUN), solar))
    if settings.live("battery"):
        battery = target(_power("battery"), "Battery", source=LIVE)
        found.append(("Battery", battery, limits((0, CHARGE), base=DISCHARGE), solar))
    if settings.flow_powers:
        found.append(("Load", target(_load(), "Load"), limits(base=LOAD), solar))
    elif settings.live("load"):
        loads = target(_power("load"), "Measured loads", source=LIVE)
        found.append(("Measured loads", loads, limits(base=LOAD), phases))
    well = link("Logger and meters", HEALTH)
    return [
        stat(
            title, f"{text[title]} The newest reading within five minutes.", [asked],
            unit="watt", empty=_SILENT, missing=MISSING, width=WIDTH // len(found), height=4,
            thresholds=colour, links=[*links, well],
        )
        for title, asked, colour, links in found
    ]  # fmt: skip


def grid(settings: DashboardOptions) -> list[Json]:
    """Return tiles for tariff, voltages and frequency at the grid meter."""
    low, high = settings.events.voltage_low, settings.events.voltage_high
    found = []
    if settings.live("grid", name="tariff"):
        found.append(
            stat(
                "Tariff",
                "The tariff that the grid meter counts in now.",
                [
                    target(
                        f'SELECT last("tariff") FROM "meter" '
                        f"{where('time > now() - 6h', SITE, GRID)}",
                        "Tariff",
                    )
                ],
                empty="not told for 6 hours", missing=MISSING, thresholds=limits(base="text"),
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
            )
        )  # fmt: skip
    live = settings.live("grid", name="voltage")
    if live and settings.phase_voltages("grid"):
        found.append(_voltages("Voltage", PHASES, (low, high), settings))
    if live and settings.line_voltages("grid"):
        factor = voltage_factor(LINE_PHASES[0])
        edges = (low * factor, high * factor)
        found.append(_voltages("Voltage between phases", LINES, edges, settings))
    if settings.live("grid", name="frequency"):
        found.append(
            stat(
                "Frequency",
                "Latest grid frequency. Indication, not an EN 50160 measurement.",
                [
                    target(
                        f'SELECT last("frequency") FROM "power" '
                        f"{where(LATELY, SITE, GRID, ALL_PHASES)}",
                        "Frequency",
                        source=LIVE,
                    )
                ],
                unit="hertz", decimals=2, empty=_SILENT, missing=MISSING,
                thresholds=limits(
                    (settings.events.frequency_low, "orange"), (49.8, "green"), (50.2, "orange"),
                    (settings.events.frequency_high, "red"), base="red",
                ),
                links=[link("Voltage and frequency", QUALITY)],
            )
        )  # fmt: skip
    if not settings.has("grid"):
        return []
    for one in found:
        one["links"].append(link("Logger and meters", HEALTH))
        one["gridPos"] |= {"w": WIDTH // len(found), "h": 4}
    return found


def _voltages(
    title: str, phases: str, edges: tuple[float, float], settings: DashboardOptions
) -> Json:
    low, high = edges
    warning = settings.alerts.voltage_warning * high / settings.events.voltage_high
    return stat(
        title,
        f"Latest voltage of each phase. Red above {high:.4g} V, blue below {low:.4g} V. "
        "Indication, not an EN 50160 measurement.",
        [
            target(
                f'SELECT last("voltage") FROM "power" {where(LATELY, SITE, GRID, phases)} '
                'GROUP BY "phase"',
                "$tag_phase",
                source=LIVE,
            )
        ],
        unit="suffix:V", decimals=1, empty=_SILENT, missing=MISSING, names=True,
        thresholds=limits((low, "green"), (warning, "orange"), (high, "red"), base="blue"),
        links=[link("Voltage and frequency", QUALITY)],
    )  # fmt: skip
