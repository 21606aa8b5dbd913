"""Alert rules as Grafana 9.5 to 13 provision them. Pure.

They look at the newest minutes by time stamp, so points delivered late fire nothing; an
engine that does not answer is one alert of its own, not one of every rule.
"""

# Queries are text for Grafana, made of our own names only.
# ruff: noqa: S608
from __future__ import annotations

from collections.abc import Sequence

from logger.derive.events import EventKind
from logger.grafana.frame import HEALTH, TARIFFS
from logger.grafana.measuredrules import measured
from logger.grafana.options import DashboardOptions
from logger.grafana.panels import Json
from logger.grafana.rule import TIME, Rules, ask, place, reduce, step, threshold, value
from logger.grafana.userules import uses

FOLDER, GROUP = "Energy alerts", "inepro-logger"
# What counters that went on from other values are told by.
_BROKEN = "|".join((EventKind.COUNTER_RESET, EventKind.METER_SWAPPED))
_DAY, _MONTH = 86400, 30 * 86400


def _recent(function: str, field: str, conditions: str, by: str, seconds: float) -> str:
    """Return a function of what came in the last `seconds`, for each that sent anything within
    the range of the rule: 0 for one of which nothing came, which would not be there at all."""
    known, came = (
        f'SELECT {each} AS "n" FROM "logger" WHERE {conditions} AND {time} GROUP BY {by}'
        for each, time in (
            (f'0.0 * count("{field}")', TIME),
            (f'1.0 * {function}("{field}")', f"time > now() - {int(seconds)}s AND time <= now()"),
        )
    )
    return f'SELECT sum("n") AS "n" FROM ({known}), ({came}) GROUP BY {by}'


def _life(rules: Rules, settings: DashboardOptions) -> None:
    quiet = settings.alerts.silent_after
    minutes = "a minute" if quiet == 60 else f"{quiet / 60:g} minutes"
    own, of_meter = "\"bus\" = '' AND \"meter\" = ''", "\"meter\" != ''"
    alive = _recent("count", "buffer_points", own, '"site"', quiet)
    answers = _recent("spread", "reads", of_meter, '"site", "bus", "meter"', quiet)
    asked = f"{place()} on bus {{{{ $labels.bus }}}}"
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
        f"{asked}: no answer for {minutes} (answers: {value(form='%.0f')}, limit 1)",
        f"{asked}: {{{{ if ge $values.B.Value 1.0 }}}}answers again{{{{ else }}}}not asked any "
        "more, or the logger does not run{{ end }}",
        f"{asked}: not asked any more",
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
        # What has no site is told while there are no series at all; they are there again.
        "{{ if $labels.site }}{{ $labels.site }}: not watched any more, after 30 days without "
        "data{{ else }}all sites: data comes again{{ end }}",
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
    buffer = f'FROM "logger" WHERE {TIME} AND "bus" = \'\' AND "meter" = \'\''
    waited = f"{{{{ $labels.site }}}}: the oldest point has waited {value(form='%.0f')} s"
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
        f"{waited}, then the logger sent no data any more",
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
                f'SELECT non_negative_difference("v") AS "d" FROM ({refused}) WHERE {TIME} '
                'GROUP BY "site"',
                3600,
            ),
            reduce("B", "A", "sum"),
            threshold("C", "B", "gt", 0),
        ],
        f"{{{{ $labels.site }}}}: InfluxDB refused {value(form='%.0f')} points within the hour, "
        "limit 0",
        "{{ $labels.site }}: no point was refused within the last hour",
        "{{ $labels.site }}: no data from the logger any more",
        "They are kept, with InfluxDB's reason: inepro-logger buffer set-aside list.",
        (HEALTH, "Set aside"),
    )
    none = f"{place('kind')}: none within the last hour"
    rules.add(
        "counter-reset",
        "Counter reset",
        [
            ask(
                "A",
                f'SELECT count("text") FROM "event" WHERE {TIME} '
                f'AND "kind" =~ /^({_BROKEN})$/ GROUP BY "site", "meter", "kind"',
                3600,
            ),
            reduce("B", "A"),
            threshold("C", "B", "gt", 0),
        ],
        f"{place('kind')}: {value(form='%.0f')} within the hour, limit 0",
        none,
        none,  # an event of before the hour is not looked at
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
    measured(found, settings)
    uses(found, settings)
    _life(found, settings)
    _delivery(found, settings)
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": FOLDER,
        "interval": "1m",
        "rules": found.made,
    }
    # What is only not in the file any more would stay in Grafana, and go on.
    unused = [{"orgId": 1, "uid": uid} for uid in found.left_out]
    return {"apiVersion": 1, "groups": [group], "deleteRules": unused}
