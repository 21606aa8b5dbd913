"""Alert rules as Grafana 9.4 to 13 provision them. Pure.

They look at the newest minutes by time stamp, so points delivered late fire nothing; an
engine that does not answer is one alert of its own, not one of every rule.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logger.grafana.frame import HEALTH, PHASES, QUALITY, TARIFFS
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import Json
from logger.grafana.rule import Rules, ask, reduce, step, threshold
from logger.grafana.voltages import BETWEEN, TO_NEUTRAL, Kind

FOLDER, GROUP = "Energy alerts", "inepro-logger"
_DAY, _WEEK, _MONTH = 86400, 7 * 86400, 30 * 86400
_TIME = "$timeFilter"


def _place(*more: str) -> str:
    return "{{ $labels.site }}: {{ $labels.meter }}" + "".join(
        f" {{{{ $labels.{name} }}}}" for name in more
    )


def _value(ref: str = "B", form: str = "%.1f") -> str:
    return f'{{{{ printf "{form}" $values.{ref}.Value }}}}'


@dataclass(frozen=True, slots=True)
class _Voltages:
    """Voltages with common limits: those to neutral, or those between phases."""

    kind: Kind
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
        f'SELECT mean("mean") FROM "quality_voltage" WHERE {_TIME} AND "valid" = true '
        f'AND {of.kind.phases} GROUP BY time(10m), "site", "meter", "phase" fill(none)'
    )
    read = [ask("A", query, 1300), reduce("B", "A")]
    place, claim = _place("phase"), "Indication, not an EN 50160 measurement."
    mean = f"{_value()} V (mean of ten minutes)"
    highest = f"{of.kind.name}, highest ten-minute means"
    rules.add(
        f"{of.uid}-high",
        f"{of.title} too high",
        [*read, threshold("C", "B", "gt", high)],
        f"{place}: voltage too high, {mean}, limit {high:g} V",
        f"{place}: no longer above {high:g} V, last {mean}",
        "Inverters switch off at this voltage. A chart of the ten-minute means beside the feed-in "
        f"is on the linked dashboard. {claim}",
        (QUALITY, highest),
        severity="critical",
    )
    rules.add(
        f"{of.uid}-warning",
        f"{of.title} nearly too high",
        [*read, threshold("C", "B", "within_range", warning, high)],
        f"{place}: voltage nearly too high, {mean}, warning from {warning:g} V, limit {high:g} V",
        f"{place}: no longer between {warning:g} and {high:g} V, last {mean}",
        f"An early warning: feed-in lifts the voltage. {claim}",
        (QUALITY, highest),
    )
    rules.add(
        f"{of.uid}-low",
        f"{of.title} too low",
        [*read, threshold("C", "B", "lt", low)],
        f"{place}: voltage too low, {mean}, limit {low:g} V",
        f"{place}: no longer below {low:g} V, last {mean}",
        claim,
        (QUALITY, f"{of.kind.name}, lowest ten-minute means"),
        severity="critical",
    )


def _frequency(rules: Rules, settings: DashboardOptions) -> None:
    low, high = settings.events.frequency_low, settings.events.frequency_high
    hertz = f"{_value(form='%.2f')} Hz (mean of a minute)"
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
        f"{_place()}: frequency outside its limits, {hertz}, limits {low:g} to {high:g} Hz",
        f"{_place()}: no longer outside {low:g} to {high:g} Hz, last {hertz}",
        "Indication, not an EN 50160 measurement.",
        (QUALITY, "Frequency"),
        wait="1m",
    )


def _phases(rules: Rules, settings: DashboardOptions, panel: tuple[str, str]) -> None:
    gone = settings.events.phase_lost_below
    of_phase = (
        f'FROM "power_1m" WHERE {_TIME} AND "phase" =~ /^L[123]$/ GROUP BY "site", "meter", "phase"'
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
        f"{_place('phase')}: the phase is lost, {_value()} V, limit {gone:g} V",
        f"{_place('phase')}: no longer below {gone:g} V, last {_value()} V",
        "A fuse, a loose terminal, or the grid. The meter itself still answers.",
        panel,
        wait="1m",
        severity="critical",
    )


def _recent(function: str, field: str, conditions: str, by: str, seconds: float) -> str:
    """Return a function of what came in the last `seconds`, for each that sent anything within
    the range of the rule: 0 for one of which nothing came, which would not be there at all."""
    known, came = (
        f'SELECT {each} AS "n" FROM "logger" WHERE {conditions} AND {time} GROUP BY {by}'
        for each, time in (
            (f'0.0 * count("{field}")', _TIME),
            (f'1.0 * {function}("{field}")', f"time > now() - {int(seconds)}s AND time <= now()"),
        )
    )
    return f'SELECT sum("n") AS "n" FROM ({known}), ({came}) GROUP BY {by}'


def _life(rules: Rules, settings: DashboardOptions) -> None:
    quiet = settings.alerts.silent_after
    minutes = f"{quiet / 60:g} minutes"
    own, of_meter = "\"bus\" = '' AND \"meter\" = ''", "\"meter\" != ''"
    alive = _recent("count", "buffer_points", own, '"site"', quiet)
    answers = _recent("spread", "reads", of_meter, '"site", "bus", "meter"', quiet)
    # The logger reports on a silent meter too: its count of answers stands still.
    rules.add(
        "meter-silent",
        "Meter silent",
        [
            ask("A", answers, _DAY),
            ask("D", alive, _DAY),
            reduce("B", "A"),
            reduce("E", "D"),
            step("C", "math", "$B < 1 && $E >= 3"),
        ],
        f"{_place()} on bus {{{{ $labels.bus }}}}: no answer for {minutes} (answers: "
        f"{_value(form='%.0f')}, limit 1)",
        f"{_place()} on bus {{{{ $labels.bus }}}}: answers again, or is not asked any more",
        "The logger runs, the meter does not answer: supply, cable, address, or the adapter. "
        "Try: inepro-logger read METER. A meter that was taken out of the configuration is told "
        "of for a day.",
        (HEALTH, "Answered requests"),
        wait="2m",
        severity="critical",
    )
    rules.add(
        "no-data",
        "No data at all",
        [
            ask("A", alive, _MONTH),
            reduce("B", "A"),
            threshold("C", "B", "lt", 1),
        ],
        "{{ if $labels.site }}{{ $labels.site }}{{ else }}all sites{{ end }}: nothing has come "
        f"from the logger for {minutes}, or InfluxDB does not answer",
        "{{ if $labels.site }}{{ $labels.site }}{{ else }}all sites{{ end }}: data comes again",
        "Either the logger is down, or InfluxDB is, or the way between them. A running logger "
        "keeps every point in its buffer and delivers it later: inepro-logger status. A site "
        "without data for 30 days is forgotten.",
        (HEALTH, "Oldest waiting"),
        wait="5m",
        severity="critical",
        missing="Alerting",
        broken="Alerting",
    )


def _delivery(rules: Rules, settings: DashboardOptions) -> None:
    age = settings.alerts.buffer_age
    buffer = f'FROM "logger" WHERE {_TIME} AND "bus" = \'\' AND "meter" = \'\''
    waited = f"{{{{ $labels.site }}}}: the oldest point has waited {_value(form='%.0f')} s"
    rules.add(
        "buffer-waiting",
        "Points wait too long",
        [
            ask("A", f'SELECT last("buffer_oldest_s") {buffer} GROUP BY "site"', 600),
            reduce("B", "A"),
            threshold("C", "B", "gt", age),
        ],
        f"{waited}, limit {age:g} s",
        f"{waited}, no longer more than {age:g} s",
        "Points reach InfluxDB, but not all of them: one of the buckets or its token may be "
        "missing, or the line is slower than the backlog. Try: inepro-logger buffer status.",
        (HEALTH, "Points waiting"),
        wait="10m",
    )
    refused = f'SELECT last("set_aside") AS "v" {buffer} GROUP BY time(5m), "site" fill(none)'
    rules.add(
        "set-aside",
        "Points set aside",
        [
            ask(
                "A",
                f'SELECT non_negative_difference("v") AS "d" FROM ({refused}) WHERE {_TIME} '
                'GROUP BY "site"',
                3600,
            ),
            reduce("B", "A", "sum"),
            threshold("C", "B", "gt", 0),
        ],
        f"{{{{ $labels.site }}}}: InfluxDB refused {_value(form='%.0f')} points within the hour, "
        "limit 0",
        "{{ $labels.site }}: no point was refused within the last hour",
        "They are kept, with InfluxDB's reason: inepro-logger buffer set-aside list.",
        (HEALTH, "Set aside"),
    )
    rules.add(
        "counter-reset",
        "Counter reset",
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
        f"{_place('kind')}: {_value(form='%.0f')} within the hour, limit 0",
        f"{_place('kind')}: none within the last hour",
        "Counters went on from other values. Sums over the site go on without a jump; those of "
        "the meter itself begin anew.",
        (TARIFFS, "Counters"),
    )


def rules(settings: DashboardOptions, dashboards: Sequence[Json]) -> Json:
    """Return the file of alert rules; each is linked to a panel of `dashboards`."""
    panels = {
        (dashboard["uid"], panel["title"]): panel["id"]
        for dashboard in dashboards
        for panel in dashboard["panels"]
    }
    found = Rules(panels)
    for voltages in _VOLTAGES:
        if (QUALITY, f"{voltages.kind.name}, highest ten-minute means") in panels:
            _voltage(found, settings, voltages)
    if (QUALITY, "Frequency") in panels:
        _frequency(found, settings)
    for kind in (TO_NEUTRAL, BETWEEN):
        if (PHASES, kind.name) in panels:
            _phases(found, settings, (PHASES, kind.name))
            break
    _life(found, settings)
    _delivery(found, settings)
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": FOLDER,
        "interval": "1m",
        "rules": found.made,
    }
    return {"apiVersion": 1, "groups": [group]}
