"""Alert rules about what meters measure: voltage, frequency, phases, demand. Pure."""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from dataclasses import dataclass

from logger.domain.limits import QUARTER_MS
from logger.grafana.flow import FLOW
from logger.grafana.frame import HOME, PHASES, QUALITY
from logger.grafana.options import DashboardOptions
from logger.grafana.rule import TIME, Rules, ask, place, reduce, step, threshold, value
from logger.grafana.voltages import BETWEEN, TO_NEUTRAL, VoltageKind

_WEEK = 7 * 86400


@dataclass(frozen=True, slots=True)
class _Voltages:
    """Voltages with common limits: those to neutral, or those between phases."""

    kind: VoltageKind
    uid: str
    title: str


_VOLTAGES = (
    _Voltages(TO_NEUTRAL, "voltage", "Voltage"),
    _Voltages(BETWEEN, "line-voltage", "Voltage between phases"),
)


def _voltage(rules: Rules, settings: DashboardOptions, of: _Voltages) -> None:
    factor = of.kind.factor
    low, high = settings.events.voltage_low * factor, settings.events.voltage_high * factor
    warning = settings.alerts.voltage_warning * factor
    low, high, warning = round(low, 1), round(high, 1), round(warning, 1)
    # A window is stamped with its beginning and comes when it is over.
    query = (
        f'SELECT mean("mean") FROM "quality_voltage" WHERE {TIME} AND "valid" = true '
        f'AND {of.kind.phases} GROUP BY time(10m), "site", "meter", "phase" fill(none)'
    )
    read = [ask("A", query, 1300), reduce("B", "A")]
    where, claim = place("phase"), "Indication, not an EN 50160 measurement."
    mean = f"{value()} V (mean of ten minutes)"
    gone = f"{where}: no data any more, last {mean}"
    highest = f"{of.kind.name}, highest ten-minute means"
    rules.add(
        f"{of.uid}-high",
        f"{of.title} too high",
        [*read, threshold("C", "B", "gt", high)],
        f"{where}: voltage too high, {mean}, limit {high:g} V",
        f"{where}: no longer above {high:g} V, last {mean}",
        gone,
        "Inverters switch off at this voltage. A chart of the ten-minute means beside the feed-in "
        f"is on the linked dashboard. {claim}",
        (QUALITY, highest),
        severity="critical",
    )
    rules.add(
        f"{of.uid}-warning",
        f"{of.title} nearly too high",
        [*read, threshold("C", "B", "within_range", warning, high)],
        f"{where}: voltage nearly too high, {mean}, warning from {warning:g} V, limit {high:g} V",
        f"{where}: no longer between {warning:g} and {high:g} V, last {mean}",
        gone,
        f"An early warning: feed-in lifts the voltage. {claim}",
        (QUALITY, highest),
    )
    rules.add(
        f"{of.uid}-low",
        f"{of.title} too low",
        [*read, threshold("C", "B", "lt", low)],
        f"{where}: voltage too low, {mean}, limit {low:g} V",
        f"{where}: no longer below {low:g} V, last {mean}",
        gone,
        claim,
        (QUALITY, f"{of.kind.name}, lowest ten-minute means"),
        severity="critical",
    )


def _frequency(rules: Rules, settings: DashboardOptions) -> None:
    low, high = settings.events.frequency_low, settings.events.frequency_high
    hertz = f"{value(form='%.2f')} Hz (mean of a minute)"
    rules.add(
        "frequency",
        "Frequency outside its limits",
        [
            ask(
                "A",
                f'SELECT mean("mean") FROM "quality_frequency" WHERE {TIME} AND "valid" = true '
                'GROUP BY time(1m), "site", "meter" fill(none)',
                300,
            ),
            reduce("B", "A"),
            threshold("C", "B", "outside_range", low, high),
        ],
        f"{place()}: frequency outside its limits, {hertz}, limits {low:g} to {high:g} Hz",
        f"{place()}: no longer outside {low:g} to {high:g} Hz, last {hertz}",
        f"{place()}: no data any more, last {hertz}",
        "Indication, not an EN 50160 measurement.",
        (QUALITY, "Frequency"),
        wait="1m",
    )


def _phases(rules: Rules, settings: DashboardOptions) -> None:
    gone = settings.events.phase_lost_below
    of_phase = (
        f'FROM "power_1m" WHERE {TIME} AND "phase" =~ /^L[123]$/ GROUP BY "site", "meter", "phase"'
    )
    # A phase that never had voltage is not connected, and nothing is lost.
    rules.add(
        "phase-lost",
        "Phase lost",
        [
            ask("A", f'SELECT last("voltage") {of_phase}', 300),
            ask("D", f'SELECT max("voltage") {of_phase}', _WEEK),
            reduce("B", "A"),
            reduce("E", "D"),
            step("C", "math", f"$B < {gone:g} && $E > {gone:g}"),
        ],
        f"{place('phase')}: the phase is lost, {value()} V, limit {gone:g} V",
        f"{place('phase')}: no longer below {gone:g} V, last {value()} V",
        f"{place('phase')}: no data any more, last {value()} V",
        "A fuse, a loose terminal, or the grid. The meter itself still answers.",
        rules.first((PHASES, TO_NEUTRAL.name), (PHASES, BETWEEN.name)),
        wait="1m",
        severity="critical",
    )


def _demand(rules: Rules, settings: DashboardOptions) -> None:
    limit = settings.events.demand_high
    shown = "[events] demand_high" if limit is None else f"{limit:g} kW"
    over = f"{place()}: no longer about to pass {shown}"
    # The logger foresees it; without a limit in its configuration there is no such event.
    rules.add(
        "demand-high",
        "Demand about to be too high",
        [
            ask(
                "A",
                f'SELECT last("extreme") FROM "event" WHERE {TIME} AND "kind" = \'demand_high\' '
                'AND "state" = \'begin\' GROUP BY "site", "meter"',
                QUARTER_MS // 1000,
            ),
            reduce("B", "A"),
            threshold("C", "B", "gt", 0),
        ],
        f"{place()}: the quarter hour comes to {value(form='%.2f')} kW if the power "
        f"stays, limit {shown}",
        over,
        over,  # what was foreseen is forgotten after a quarter hour
        "Netted import, before the limit is passed: switch something off until the quarter hour "
        "is over. inepro-logger report demand lists the highest.",
        rules.first((HOME, FLOW), (HOME, "Grid")),
    )


def measured(rules: Rules, settings: DashboardOptions) -> None:
    """Add the rules whose panel is on a dashboard of this configuration."""
    for voltages in _VOLTAGES:
        _voltage(rules, settings, voltages)
    _frequency(rules, settings)
    _phases(rules, settings)
    _demand(rules, settings)
