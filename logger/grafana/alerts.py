"""Alert rules as Grafana 9.4 to 13 provision them. Pure.

They look at the newest minutes by time stamp, so points delivered late fire nothing; an
engine that does not answer is one alert of its own, not one of every rule.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Sequence

from logger.domain.limits import QUARTER_MS
from logger.grafana.frame import HEALTH, HOME, PHASES, QUALITY, TARIFFS
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import Json
from logger.grafana.rule import Rules, ask, reduce, step, threshold

FOLDER, GROUP = "Energy alerts", "inepro-logger"
_WEEK = 7 * 86400
_TIME = "$timeFilter"


def _place(phase: bool = True) -> str:
    name = "{{ $labels.site }}: {{ $labels.meter }}"
    return f"{name} {{{{ $labels.phase }}}}" if phase else name


def _value(ref: str = "B", form: str = "%.1f") -> str:
    return f'{{{{ printf "{form}" $values.{ref}.Value }}}}'


def _voltage(rules: Rules, settings: DashboardOptions) -> None:
    low, high = settings.events.voltage_low, settings.events.voltage_high
    warning = settings.alerts.voltage_warning
    # A window is stamped with its beginning and comes when it is over.
    query = (
        f'SELECT mean("mean") FROM "quality_voltage" WHERE {_TIME} AND "valid" = true '
        'AND "phase" =~ /^L[123]$/ GROUP BY time(10m), "site", "meter", "phase" fill(none)'
    )
    read = [ask("A", query, 1300), reduce("B", "A")]
    panel = (QUALITY, "Highest ten-minute means")
    rules.add(
        "voltage-high",
        "Voltage too high",
        [*read, threshold("C", "B", "gt", high)],
        f"{_place()}: voltage {_value()} V is above {high:g} V (mean of ten minutes)",
        "Inverters switch off at this voltage. A chart of the ten-minute means beside the feed-in "
        "is on the linked dashboard. Indication, not an EN 50160 measurement.",
        panel,
        severity="critical",
    )
    rules.add(
        "voltage-warning",
        "Voltage nearly too high",
        [*read, threshold("C", "B", "within_range", warning, high)],
        f"{_place()}: voltage {_value()} V is above {warning:g} V (mean of ten minutes), the "
        f"limit is {high:g} V",
        "An early warning: feed-in lifts the voltage. Indication, not an EN 50160 measurement.",
        panel,
    )
    rules.add(
        "voltage-low", "Voltage too low",
        [*read, threshold("C", "B", "lt", low)],
        f"{_place()}: voltage {_value()} V is below {low:g} V (mean of ten minutes)",
        "Indication, not an EN 50160 measurement.",
        (QUALITY, "Lowest ten-minute means"), severity="critical",
    )  # fmt: skip


def _grid(rules: Rules, settings: DashboardOptions) -> None:
    low, high = settings.events.frequency_low, settings.events.frequency_high
    rules.add(
        "frequency",
        "Frequency outside its limits",
        [
            ask(
                "A",
                f'SELECT mean("mean") FROM "quality_frequency" WHERE {_TIME} AND "valid" = true '
                'GROUP BY time(1m), "site", "meter" fill(none)',
                300,
            ),
            reduce("B", "A"),
            threshold("C", "B", "outside_range", low, high),
        ],
        f"{_place(phase=False)}: frequency {_value(form='%.2f')} Hz, limits {low:g} to {high:g} Hz",
        "A mean of one minute. Indication, not an EN 50160 measurement.",
        (QUALITY, "Frequency"),
        wait="1m",
    )
    gone = settings.events.phase_lost_below
    of_phase = (
        f'FROM "power_1m" WHERE {_TIME} AND "phase" =~ /^L[123]$/ GROUP BY "site", "meter", "phase"'
    )
    # A phase that never had voltage is not connected, and nothing is lost.
    rules.add(
        "phase-lost", "Phase lost",
        [
            ask("A", f'SELECT last("voltage") {of_phase}', 300),
            ask("D", f'SELECT max("voltage") {of_phase}', _WEEK),
            reduce("B", "A"),
            reduce("E", "D"),
            step("C", "math", f"$B < {gone:g} && $E > {gone:g}"),
        ],
        f"{_place()}: voltage {_value()} V is below {gone:g} V, the phase is lost",
        "A fuse, a loose terminal, or the grid. The meter itself still answers.",
        (PHASES, "Voltage"), wait="1m", severity="critical",
    )  # fmt: skip


def _life(rules: Rules, settings: DashboardOptions) -> None:
    quiet = settings.alerts.silent_after
    minutes = f"{quiet / 60:g} minutes"
    of_meter = f'FROM "logger" WHERE {_TIME} AND "meter" != \'\' GROUP BY "site", "bus", "meter"'
    # The logger reports on a silent meter too: its count of answers stands still.
    rules.add(
        "meter-silent",
        "Meter silent",
        [
            ask("A", f'SELECT spread("reads") {of_meter}', quiet),
            ask("D", f'SELECT count("reads") {of_meter}', quiet),
            reduce("B", "A"),
            reduce("E", "D"),
            step("C", "math", "$B < 1 && $E >= 3"),
        ],
        f"{_place(phase=False)} on bus {{{{ $labels.bus }}}}: no answer for {minutes} (limit 1 "
        f"answer, seen {_value(form='%.0f')})",
        "The logger runs and asks, the meter does not answer: supply, cable, address, or the "
        "adapter. Try: inepro-logger read METER.",
        (HEALTH, "Answered requests"),
        wait="2m",
        severity="critical",
    )
    rules.add(
        "no-data",
        "No data at all",
        [
            ask("A", f'SELECT count("reads") FROM "logger" WHERE {_TIME}', quiet),
            reduce("B", "A"),
            threshold("C", "B", "lt", 1),
        ],
        f"nothing has come from the logger for {minutes}, or InfluxDB does not answer",
        "Either the logger is down, or InfluxDB is, or the way between them. A running logger "
        "keeps every point in its buffer and delivers it later: inepro-logger status.",
        (HEALTH, "Oldest waiting"),
        wait="5m",
        severity="critical",
        missing="Alerting",
        broken="Alerting",
    )
    age = settings.alerts.buffer_age
    buffer = f'FROM "logger" WHERE {_TIME} AND "bus" = \'\' AND "meter" = \'\''
    rules.add(
        "buffer-waiting",
        "Points wait too long",
        [
            ask("A", f'SELECT last("buffer_oldest_s") {buffer} GROUP BY "site"', 600),
            reduce("B", "A"),
            threshold("C", "B", "gt", age),
        ],
        f"{{{{ $labels.site }}}}: the oldest point has waited {_value(form='%.0f')} s, limit "
        f"{age:g} s",
        "Points reach InfluxDB, but not all of them: one of the buckets or its token may be "
        "missing, or the line is slower than the backlog. Try: inepro-logger buffer status.",
        (HEALTH, "Points waiting"),
        wait="10m",
    )
    rules.add(
        "set-aside",
        "Points set aside",
        [
            ask(
                "A",
                f'SELECT non_negative_difference(last("set_aside")) {buffer} '
                'GROUP BY time(5m), "site" fill(none)',
                3600,
            ),
            reduce("B", "A", "sum"),
            threshold("C", "B", "gt", 0),
        ],
        f"{{{{ $labels.site }}}}: InfluxDB refused {_value(form='%.0f')} points within the hour, "
        "limit 0",
        "They are kept, with InfluxDB's reason: inepro-logger buffer set-aside list.",
        (HEALTH, "Set aside"),
    )
    rules.add(
        "counter-reset", "Counter reset",
        [
            ask(
                "A",
                f'SELECT count("text") FROM "event" WHERE {_TIME} '
                'AND "kind" =~ /^(counter_reset|meter_swapped)$/ GROUP BY "site", "meter", "kind"',
                3600,
            ),
            reduce("B", "A"),
            threshold("C", "B", "gt", 0),
        ],
        f"{_place(phase=False)}: {{{{ $labels.kind }}}}, {_value(form='%.0f')} within the hour, "
        "limit 0",
        "Counters went on from other values. Sums over the site go on without a jump; those of "
        "the meter itself begin anew.",
        (TARIFFS, "Counters"),
    )  # fmt: skip


def _demand(rules: Rules, settings: DashboardOptions) -> None:
    limit = settings.events.demand_high
    shown = "[events] demand_high" if limit is None else f"{limit:g} kW"
    # The logger foresees it; without a limit in its configuration there is no such event.
    rules.add(
        "demand-high",
        "Demand about to be too high",
        [
            ask(
                "A",
                f'SELECT last("extreme") FROM "event" WHERE {_TIME} AND "kind" = \'demand_high\' '
                'AND "state" = \'begin\' GROUP BY "site", "meter"',
                QUARTER_MS // 1000,
            ),
            reduce("B", "A"),
            threshold("C", "B", "gt", 0),
        ],
        f"{_place(phase=False)}: the quarter hour comes to {_value(form='%.2f')} kW if the power "
        f"stays, limit {shown}",
        "Netted import, before the limit is passed: switch something off until the quarter hour "
        "is over. inepro-logger report demand lists the highest.",
        (HOME, "Grid"),
    )


def rules(settings: DashboardOptions, dashboards: Sequence[Json]) -> Json:
    """Return the file of alert rules; each is linked to a panel of `dashboards`."""
    panels = {
        (dashboard["uid"], panel["title"]): panel["id"]
        for dashboard in dashboards
        for panel in dashboard["panels"]
    }
    found = Rules(panels)
    _voltage(found, settings)
    _grid(found, settings)
    _demand(found, settings)
    _life(found, settings)
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": FOLDER,
        "interval": "1m",
        "rules": found.made,
    }
    return {"apiVersion": 1, "groups": [group]}
