"""Alert rules about use: energy of the day, fuses, PV, power factor. Pure.

Those that have no limit in the configuration are there, paused.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from logger.grafana.flow import FLOW
from logger.grafana.frame import HOME, PHASES, TARIFFS
from logger.grafana.options import DashboardOptions
from logger.grafana.query import GRID, POWERS, TOTAL, role
from logger.grafana.rule import TIME, Rules, ask, place, reduce, step, threshold, value

_DAY = 86400
_SUN_S = 2 * 3600
_DARK_W = 20
# For rules that are off: nothing is above the one or below the other.
_NEVER_ABOVE, _NEVER_BELOW = 1e9, 0.0
_WHOLE = "\"phase\" = 'total'"


def _day_energy(rules: Rules, settings: DashboardOptions) -> None:
    limit = settings.alerts.day_energy
    of = GRID if settings.has("grid") else role("load")
    counters = (
        f'SELECT last("active_import") AS "v" FROM "energy" WHERE {TIME} AND {of} AND {TOTAL} '
        f'GROUP BY time(15m, {settings.settle}), "site", "meter" fill(none)'
    )
    risen = (
        f'SELECT non_negative_difference("v") AS "d" FROM ({counters}) WHERE {TIME} '
        'GROUP BY "site", "meter"'
    )
    query = (
        f'SELECT sum("d") AS "kWh" FROM ({risen}) WHERE {TIME} '
        f'GROUP BY time(1d), "site", "meter" fill(none) tz(\'{settings.zone}\')'
    )
    shown = "[alerts] day_energy" if limit is None else f"{limit:g} kWh"
    rules.add(
        "day-energy",
        "Use of the day above its limit",
        [
            ask("A", query, 2 * _DAY),
            reduce("B", "A"),
            threshold("C", "B", "gt", _NEVER_ABOVE if limit is None else limit),
        ],
        f"{place()}: {value()} kWh drawn since midnight, limit {shown}",
        f"{place()}: no longer above {shown}, {value()} kWh drawn since midnight",
        f"{place()}: no data any more, last {value()} kWh drawn since midnight",
        "What drew it, and when, is on the linked dashboard and on Meters and loads.",
        (TARIFFS, "Import by day"),
        paused=limit is None,
    )


def _fuse(rules: Rules, settings: DashboardOptions) -> None:
    fuse, share = settings.alerts.fuse, settings.alerts.fuse_share
    near = _NEVER_ABOVE if fuse is None else round(fuse * share, 2)
    shown = "[alerts] fuse" if fuse is None else f"{near:g} A of {fuse:g} A"
    mean = (
        f'SELECT mean("current") AS "a" FROM "power_1m" WHERE {TIME} AND {GRID} AND {POWERS} '
        'GROUP BY "site", "meter", "phase"'
    )
    query = f'SELECT abs("a") AS "A" FROM ({mean}) GROUP BY "site", "meter", "phase"'
    amps = f"{value()} A (mean of ten minutes)"
    rules.add(
        "fuse",
        "Phase near its fuse",
        [
            ask("A", query, 600),
            reduce("B", "A"),
            threshold("C", "B", "gt", near),
        ],
        f"{place('phase')}: near its fuse, {amps}, limit {shown}",
        f"{place('phase')}: no longer above {shown}, last {amps}",
        f"{place('phase')}: no data any more, last {amps}",
        "Fuses carry more than their rating for a while, and then do not. Switch something off, "
        "or move it to another phase.",
        (PHASES, "Current"),
        severity="critical",
        paused=fuse is None,
    )


def _pv(rules: Rules, settings: DashboardOptions) -> None:
    least = settings.alerts.pv_silent_above
    of_pv = f"{role('pv')} AND {_WHOLE}"
    produced = 'SELECT -1 * mean("active_power") AS "W" FROM "power_1m" WHERE'
    group = 'GROUP BY "site", "meter"'
    before = ", ".join(
        f"({produced} {TIME} AND time > now() - {days * 24 + 2}h AND time <= now() - {days * 24}h "
        f"AND {of_pv} {group})"
        for days in (1, 2, 3)
    )
    rules.add(
        "pv-silent",
        "PV silent on a bright day",
        [
            ask("A", f"{produced} {TIME} AND {of_pv} {group}", _SUN_S),
            ask("D", f'SELECT max("W") AS "best" FROM {before} WHERE {TIME} {group}', 4 * _DAY),
            reduce("B", "A"),
            reduce("E", "D"),
            step("C", "math", f"$B < {_DARK_W} && $E > {least or _NEVER_ABOVE:.0f}"),
        ],
        f"{place()}: {value(form='%.0f')} W (mean of two hours), limit {_DARK_W} W; the same hours "
        f"gave {value('E', '%.0f')} W on one of the last three days",
        f"{place()}: produces again, or the sun is down: {value(form='%.0f')} W",
        f"{place()}: no data any more, last {value(form='%.0f')} W (mean of two hours)",
        "The meter answers, the inverter does not feed in: look at its display, its fuse and the "
        "grid voltage. Snow on the panels looks the same.",
        rules.first((HOME, FLOW), (HOME, "PV")),
        wait="30m",
        paused=not least,
    )


def _power_factor(rules: Rules, settings: DashboardOptions) -> None:
    limit, above = settings.alerts.power_factor, settings.alerts.power_factor_above
    shown = "[alerts] power_factor" if limit is None else f"{limit:g}"
    means = (
        'SELECT mean("active_power") AS "p", mean("reactive_power") AS "q" FROM "power_1m" '
        f'WHERE {TIME} AND {GRID} AND {_WHOLE} GROUP BY "site", "meter"'
    )
    query = (
        f'SELECT "p" / sqrt("p" * "p" + "q" * "q") AS "factor" FROM ({means}) '
        f'WHERE "p" > {above:g} GROUP BY "site", "meter"'
    )
    factor = f"{value(form='%.2f')} (over an hour)"
    rules.add(
        "power-factor",
        "Power factor too low",
        [
            ask("A", query, 3600),
            reduce("B", "A"),
            threshold("C", "B", "lt", _NEVER_BELOW if limit is None else limit),
        ],
        f"{place()}: power factor {factor}, limit {shown}",
        f"{place()}: no longer below {shown}, last {factor}",
        f"{place()}: no data above {above:g} W any more, last {factor}",
        "Motors and transformers without load, or capacitors that are switched off or too large. "
        "Meters and loads has the power factor of each meter.",
        (PHASES, "Power factor"),
        wait="15m",
        paused=limit is None,
    )


def uses(rules: Rules, settings: DashboardOptions) -> None:
    """Add the rules whose panel is on a dashboard of this configuration."""
    _day_energy(rules, settings)
    _fuse(rules, settings)
    if settings.live("pv"):
        _pv(rules, settings)
    else:
        rules.leave_out("pv-silent")
    _power_factor(rules, settings)
