"""Alert rules and contact points without a Grafana: what makes it refuse to start."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest

from logger.config.alerts import Alerts
from logger.config.derive import Events
from logger.grafana import DashboardOptions, dashboards
from logger.grafana.alerts import rules
from logger.grafana.build import DASHBOARD_FOLDER
from logger.grafana.notify import EMAIL, NTFY, TELEGRAM, WEBHOOK, notifications
from tests.go_template import Templates
from tests.grafana_queries import Json, unknown_names

BOARDS = dashboards(DashboardOptions())
VARIABLES = (EMAIL, WEBHOOK, NTFY, *TELEGRAM)
(GROUP,) = rules(DashboardOptions(), list(BOARDS.values()))["groups"]
RULES = {rule["title"]: rule for rule in GROUP["rules"]}


@pytest.fixture(params=list(RULES.values()), ids=list(RULES))
def rule(request: pytest.FixtureRequest) -> Json:
    found: Json = request.param
    return found


def test_every_alert_that_was_promised_is_there() -> None:
    assert set(RULES) == {
        "Voltage too high", "Voltage nearly too high", "Voltage too low",
        "Voltage between phases too high", "Voltage between phases nearly too high",
        "Voltage between phases too low",
        "Frequency outside its limits", "Phase lost", "Meter silent", "No data at all",
        "Points wait too long", "Points set aside", "Counter reset",
        "Demand about to be too high", "Use of the day above its limit", "Phase near its fuse",
        "PV silent on a bright day", "Power factor too low",
    }  # fmt: skip


def test_alerts_without_a_limit_are_paused_and_hold_never() -> None:
    off = {"Use of the day above its limit", "Phase near its fuse", "Power factor too low"}
    assert {title for title, rule in RULES.items() if rule["isPaused"]} == off
    alerts = Alerts(day_energy=30.0, fuse=25.0, power_factor=0.85, pv_silent_above=0.0)
    (group,) = rules(DashboardOptions(alerts=alerts), list(BOARDS.values()))["groups"]
    paused = {rule["title"] for rule in group["rules"] if rule["isPaused"]}
    assert paused == {"PV silent on a bright day"}
    limits = {
        rule["title"]: rule["data"][-1]["model"]["conditions"][0]["evaluator"]["params"]
        for rule in group["rules"]
        if rule["title"] in off
    }
    assert list(limits.values()) == [[30.0], [22.5], [0.85]]


def test_the_folder_is_no_dashboard() -> None:
    """9.4 looks a folder up among dashboards; newer ones split its title at slashes."""
    titles = {board["title"] for board in BOARDS.values()} | {DASHBOARD_FOLDER}
    assert GROUP["folder"] not in titles
    assert "/" not in GROUP["folder"] + DASHBOARD_FOLDER
    assert GROUP["interval"] == "1m"


def test_a_rule_is_accepted_by_every_grafana(rule: Json) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", rule["uid"])
    assert rule["for"]
    assert rule["noDataState"] in {"OK", "Alerting"}
    assert rule["execErrState"] in {"OK", "Alerting"}
    refs = [step["refId"] for step in rule["data"]]
    assert len(set(refs)) == len(refs)
    assert rule["condition"] in refs
    for step in rule["data"]:
        model = step["model"]
        assert model["refId"] == step["refId"]
        if step["datasourceUid"] == "__expr__":
            used = re.findall(r"\$(\w)", model["expression"]) or [model["expression"]]
            assert set(used) <= set(refs)
            assert model["type"] in {"reduce", "threshold", "math"}
        else:
            span = step["relativeTimeRange"]
            assert isinstance(span["from"], int)
            assert span["from"] > span["to"] == 0


def test_dollars_stand_where_they_are_not_expanded(rule: Json) -> None:
    assert "$" not in json.dumps(rule["labels"]) + rule["title"] + rule["uid"]
    for text in rule["annotations"].values():
        assert "$$" not in text
        assert "${" not in text


def test_a_query_of_a_rule_needs_no_dashboard(rule: Json) -> None:
    for step in rule["data"]:
        if step["datasourceUid"] == "__expr__":
            continue
        query = step["model"]["query"]
        assert step["datasourceUid"] == "inepro-energy"
        assert step["model"]["resultFormat"] == "time_series"
        assert set(re.findall(r"\$\w+", query)) == {"$timeFilter"}
        assert unknown_names(query) == set()
        assert ";" not in query
        assert "fill(null)" not in query


def test_the_text_names_place_value_and_limit(rule: Json) -> None:
    text = rule["annotations"]["summary"]
    if rule["title"] == "No data at all":
        assert "10 minutes" in text
        return
    assert "{{ $labels.site }}" in text
    assert "$values.B.Value" in text
    assert "limit" in text
    over = rule["annotations"]["over"]
    assert "{{ $labels.site }}" in over
    # What is over is not told as if it still were so.
    assert re.search(r"no longer|again|none within|no point", over)
    assert not re.search(r"too (high|low)|no answer|is lost|refused \d", over)
    groups = re.findall(r'GROUP BY (?:time\([^)]*\),? ?)?((?:"\w+"(?:, )?)*)', _queries(rule))
    for label in ("meter", "phase"):
        grouped = any(f'"{label}"' in group for group in groups)
        assert (f"{{{{ $labels.{label} }}}}" in text) == grouped, label


def _queries(rule: Json) -> str:
    return " ".join(step["model"].get("query", "") for step in rule["data"])


def test_a_rule_is_linked_to_its_panel(rule: Json) -> None:
    (board,) = [b for b in BOARDS.values() if b["uid"] == rule["dashboardUid"]]
    assert rule["panelId"] in {panel["id"] for panel in board["panels"]}
    assert rule["annotations"]["__dashboardUid__"] == rule["dashboardUid"]
    assert rule["annotations"]["__panelId__"] == str(rule["panelId"])


def test_limits_come_from_one_place() -> None:
    events = Events(
        voltage_high=248.5, frequency_low=49.25, phase_lost_below=90.0, demand_high=6.25
    )
    own = Alerts(voltage_warning=244.5, silent_after=1260.0, buffer_age=1980.0, repeat=5400.0)
    made = rules(DashboardOptions(events=events, alerts=own), list(BOARDS.values()))
    found = {rule["title"]: json.dumps(rule) for rule in made["groups"][0]["rules"]}
    assert '"params": [248.5]' in found["Voltage too high"]
    assert "limit 248.5 V" in found["Voltage too high"]
    assert '"params": [244.5, 248.5]' in found["Voltage nearly too high"]
    assert '"params": [49.25, 50.5]' in found["Frequency outside its limits"]
    assert "$B < 90 && $E > 90" in found["Phase lost"]
    assert "limit 6.25 kW" in found["Demand about to be too high"]
    assert "now() - 1260s" in found["Meter silent"]
    assert "now() - 1260s" in found["No data at all"]
    assert "for 21 minutes" in found["No data at all"]
    assert '"params": [1980.0]' in found["Points wait too long"]
    policy = notifications(DashboardOptions(alerts=own), {})["policies"][0]
    assert policy["repeat_interval"] == "90m"


@pytest.mark.parametrize(
    "names", [c for n in range(len(VARIABLES) + 1) for c in itertools.combinations(VARIABLES, n)]
)
def test_any_environment_gives_contact_points_that_load(names: tuple[str, ...]) -> None:
    made = notifications(DashboardOptions(), {name: f"value of {name}" for name in names})
    (point,) = made["contactPoints"]
    (policy,) = made["policies"]
    assert policy["receiver"] == point["name"]
    assert not {"matchers", "object_matchers"} & set(policy)
    uids = [receiver["uid"] for receiver in point["receivers"]]
    assert len(set(uids)) == len(uids) >= 1
    wanted = len(set(names) - set(TELEGRAM)) + (set(TELEGRAM) <= set(names))
    assert len(uids) == max(wanted, 1)
    text = json.dumps(point)
    for name in re.findall(r"\$(\w+)", text):
        assert name in names  # an empty one would stop Grafana
    secret = set(names) - {TELEGRAM[1]}
    assert not any(f"value of {name}" in text for name in secret)  # secrets stay outside


def _defined(text: str) -> dict[str, str]:
    """Return the templates of a file by name."""
    parts = re.split(r'\{\{ define "([\w.]+)" -\}\}', text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_message_says_what_where_and_when() -> None:
    (template,) = notifications(DashboardOptions(), {})["templates"]
    text: Any = template["template"]
    found = _defined(text)
    assert ".Annotations.summary" in found["inepro.one"]
    assert "alert raised {{ .StartsAt" in found["inepro.one"]
    assert ".Annotations.over" in found["inepro.end"]
    assert ".Annotations.summary" not in found["inepro.end"] + found["inepro.over"]
    assert "over since {{ .EndsAt" in found["inepro.over"]
    # A restarted Grafana does not know when an alert was raised that ends at once.
    assert "{{ if .StartsAt.Before .EndsAt -}}\nalert raised" in found["inepro.over"]
    for name in ("inepro.one", "inepro.over"):
        assert '{{ template "inepro.link" . }}' in found[name]
    assert "&var-site={{ urlquery .Labels.site }}" in text  # else the first site is opened
    assert "&var-meter={{ urlquery .Labels.meter }}" in text
    for name in re.findall(r'template "([\w.]+)"', text):
        assert name in found
    assert len(re.findall(r"\{\{-? (?:define|if|range|with) ", text)) == text.count("{{ end") + (
        text.count("{{- end")
    )
    assert text.count("{{") == text.count("}}")
    assert "$" not in text


def test_a_text_that_was_not_filled_in_is_never_sent(rule: Json) -> None:
    """A restarted Grafana has the alerts of before with the texts of their rules as they are
    written, until it has measured them again. What is not measured any more stays so."""
    place = {"site": "home", "meter": "grid", "phase": "L2"}
    for reason in ("", "MissingSeries", "NoData"):
        (first, *_) = _told(rule, {**rule["annotations"]}, reason, place).splitlines()
        assert first == f"over: {rule['title']}, home: grid L2: no data any more"


def test_a_text_without_its_values_is_never_sent() -> None:
    """So Grafana writes for a rule whose query found nothing at all."""
    place = {"site": "home", "meter": "grid"}
    rule = RULES["Power factor too low"]
    for text in ("[no value]: [no value]: no longer below 0.9", "home: last %!f(<nil>)"):
        texts = {"over": text, "gone": text}
        (first, *_) = _told(rule, texts, "NoData", place).splitlines()
        assert first == "over: Power factor too low, home: grid: no data any more"


def test_a_silence_of_a_minute_is_one_minute() -> None:
    alerts = Alerts.model_validate({"silent_after": "60s"})
    (group,) = rules(DashboardOptions(alerts=alerts), list(BOARDS.values()))["groups"]
    texts = {rule["title"]: rule["annotations"]["summary"] for rule in group["rules"]}
    assert "no answer for a minute (" in texts["Meter silent"]
    assert "from the logger for a minute, or" in texts["No data at all"]


def test_what_is_wrong_at_all_meters_at_once_is_one_message_that_names_them() -> None:
    """The voltage of a building of 60 meters is 180 alerts; Telegram takes 4096 letters."""
    made = notifications(DashboardOptions(), {})
    assert {"alertname", "site"} <= set(made["policies"][0]["group_by"])
    assert not {"meter", "phase"} & set(made["policies"][0]["group_by"])
    message = _defined(made["templates"][0]["template"])["inepro.message"]
    for state, one in (("Firing", "one"), ("Resolved", "over")):
        many = f"{{{{ if gt (len .Alerts.{state}) 5 -}}}}"
        names = f'range .Alerts.{state} }}}} {{{{ template "inepro.place" . }}}},{{{{ end }}}}'
        first = f'{{{{ template "inepro.{one}" (index .Alerts.{state} 0) }}}}'
        assert 0 <= message.index(many) < message.index(names) < message.index(first)


class _Moment:
    """Go's time.Time, as the template asks it."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.Local = self

    def Format(self, _layout: str) -> str:  # noqa: N802
        return f"moment {self.seconds}"

    def Before(self, other: _Moment) -> bool:  # noqa: N802
        return self.seconds < other.seconds


def _over(rule: Json, *, reason: str = "", place: Json, value: float) -> str:
    """Return the message that `rule` is over, with what Grafana puts into its texts."""
    values = {ref: {"Value": value} for ref in "BCE"}
    labels = {"alertname": rule["title"], **place}
    filled = {
        name: Templates(text).text(None, None, {"labels": labels, "values": values})
        for name, text in rule["annotations"].items()
    }
    return _told(rule, filled, reason, place)


def _told(rule: Json, filled: Json, reason: str, place: Json) -> str:
    if reason:
        filled["grafana_state_reason"] = reason
    alert = {
        "Labels": {"alertname": rule["title"], **place}, "Annotations": filled,
        "PanelURL": "http://pi/d?x=1", "StartsAt": _Moment(1), "EndsAt": _Moment(2),
    }  # fmt: skip
    alerts = {"Firing": [], "Resolved": [alert]}
    (template,) = notifications(DashboardOptions(), {})["templates"]
    return Templates(template["template"]).text("inepro.message", {"Alerts": alerts})


def test_what_is_not_measured_any_more_is_not_told_to_be_well_again() -> None:
    """Grafana ends the alert of a series that vanished with the texts it had while it fired."""
    rule = RULES["Voltage too low"]
    place = {"site": "home", "meter": "grid", "phase": "L2"}
    said = _over(rule, place=place, value=228.4).splitlines()
    assert said[0] == (
        "over: home: grid L2: no longer below 207 V, last 228.4 V (mean of ten minutes)"
    )
    assert said[1:3] == ["alert raised moment 1", "over since moment 2"]
    for reason in ("MissingSeries", "NoData"):
        said = _over(rule, reason=reason, place=place, value=203.1).splitlines()
        assert said[0] == (
            "over: home: grid L2: no data any more, last 203.1 V (mean of ten minutes)"
        )
    said = _over(rule, reason="Error", place=place, value=203.1).splitlines()
    assert said[0] == ("over: Voltage too low, home: grid L2: not known, InfluxDB did not answer")
    said = _over(rule, reason="Updated", place=place, value=203.1).splitlines()
    assert said[0] == (
        "over: Voltage too low, home: grid L2: not known, the rule was changed, paused or removed"
    )


# What these look for goes out of sight by itself; or there are no series while they fire.
ENDS_UNSEEN = {"Counter reset", "Demand about to be too high", "No data at all", "Meter silent"}


def test_a_series_that_vanished_is_told_with_its_place(rule: Json) -> None:
    place = {"site": "home", "meter": "grid", "phase": "L2", "bus": "serial", "kind": "reset"}
    (first, *_) = _over(rule, reason="MissingSeries", place=place, value=5.0).splitlines()
    assert first.startswith("over: home: ")
    if rule["title"] not in ENDS_UNSEEN:
        assert "no data" in first
        assert "no longer" not in first
        assert "again" not in first
    assert "{{" not in first


def test_a_silent_meter_of_a_logger_that_died_does_not_answer_again() -> None:
    place = {"site": "home", "meter": "grid", "bus": "serial"}
    told = [_over(RULES["Meter silent"], place=place, value=n) for n in (0.0, 5.0)]
    assert "answers again" not in told[0]
    assert told[1].startswith("over: home: grid on bus serial: answers again\n")


def test_all_sites_that_were_without_data_have_it_again() -> None:
    """While there is no series at all the alert has no site; when there is one it vanishes."""
    said = _over(RULES["No data at all"], reason="MissingSeries", place={}, value=0.0)
    assert said.startswith("over: all sites: data comes again\n")
