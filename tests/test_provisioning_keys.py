"""Every key of what provisions Grafana is one that it knows: others are dropped in silence."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from logger.grafana import Source, files
from logger.grafana.notify import EMAIL, NTFY, TELEGRAM, WEBHOOK
from tests.boards import EVERYTHING
from tests.test_panel_rules import parsed, unknown

ENVIRONMENT = {
    EMAIL: "me@example.org",
    WEBHOOK: "https://example.org/hook",
    NTFY: "https://ntfy.sh/topic",
    TELEGRAM[0]: "123456789:AAbb",
    TELEGRAM[1]: "-1001234567890",
}
PLACE = PurePosixPath("/etc/grafana/provisioning")
MADE: dict[str, Any] = {
    path: yaml.safe_load(text)
    for path, text in files(EVERYTHING, Source(), PLACE, ENVIRONMENT).items()
    if path.endswith(".yaml")
}
# What `pkg/services/provisioning` of grafana/grafana reads (datasources/types.go,
# dashboards/types.go, alerting/*_types.go of versions 11 to 13; `jsonData` is that of the data
# source, src/types.ts of grafana/grafana-influxdb-datasource 13.1.1, and headers of any).
KNOWN = {
    "datasources/inepro-logger.yaml": (
        "apiVersion prune deleteDatasources{orgId name} datasources{orgId version name type access "
        "url user database basicAuth basicAuthUser withCredentials isDefault correlations editable "
        "uid jsonData{version timeInterval httpMode dbName maxSeries httpHeaderName1} "
        "secureJsonData{password httpHeaderValue1}}"
    ),
    "dashboards/inepro-logger.yaml": (
        "apiVersion providers{name type orgId folder folderUid editable disableDeletion "
        "updateIntervalSeconds allowUiUpdates options{path foldersFromFilesStructure}}"
    ),
    "alerting/inepro-rules.yaml": (
        "apiVersion deleteRules{orgId uid} groups{orgId name folder interval rules{uid title "
        "condition data{refId queryType relativeTimeRange{from to} datasourceUid model} "
        "dashboardUid panelId noDataState execErrState for keepFiringFor annotations labels "
        "isPaused missing_series_evals_to_resolve notification_settings record}}"
    ),
    "alerting/inepro-notifications.yaml": (
        "apiVersion contactPoints{orgId name receivers{uid type settings disableResolveMessage}} "
        "deleteContactPoints{orgId uid} policies{orgId name receiver group_by group_wait "
        "group_interval repeat_interval} templates{orgId name template}"
    ),
}
# receivers/*/v1/config.go of grafana/alerting 783ce041 (6 August 2026).
SETTINGS = {
    "email": "addresses singleEmail subject message",
    "webhook": "url httpMethod maxAlerts title message",
    "telegram": "bottoken chatid message_thread_id message parse_mode disable_web_page_preview",
}
# pkg/expr of grafana/grafana, and pkg/influxdb/models of the data source.
_STEP = "refId type expression datasource{type uid} "
STEPS = {
    "math": _STEP,
    "reduce": _STEP + "reducer settings{mode}",
    "threshold": _STEP + "conditions{evaluator{type params}}",
    "query": "refId datasource{type uid} rawQuery resultFormat query intervalMs maxDataPoints",
}
REDUCERS = {"sum", "mean", "min", "max", "count", "last", "median"}
COMPARED = {"gt", "lt", "within_range", "outside_range"}  # the only four that 9 and 13 share


@pytest.mark.parametrize("path", KNOWN)
def test_grafana_knows_every_key_of_provisioning(path: str) -> None:
    assert MADE.keys() == KNOWN.keys()
    assert list(unknown(MADE[path], parsed(KNOWN[path]), path)) == []


def test_contact_points_have_the_settings_of_their_kind() -> None:
    (point,) = MADE["alerting/inepro-notifications.yaml"]["contactPoints"]
    assert {one["type"] for one in point["receivers"]} == SETTINGS.keys()
    for one in point["receivers"]:
        known = parsed(SETTINGS[one["type"]])
        assert list(unknown(one["settings"], known, one["type"])) == []
        for name, value in one["settings"].items():
            assert isinstance(value, bool if name == "singleEmail" else str), name
        assert one["settings"].get("parse_mode", "None") == "None"
        assert one["settings"].get("httpMethod", "POST") == "POST"


def test_steps_of_rules_are_those_of_grafanas_expressions() -> None:
    (group,) = MADE["alerting/inepro-rules.yaml"]["groups"]
    kinds = set()
    for rule in group["rules"]:
        for data in rule["data"]:
            model = data["model"]
            kind = model.get("type", "query")
            kinds.add(kind)
            assert list(unknown(model, parsed(STEPS[kind]), rule["title"])) == []
            if kind == "reduce":
                assert model["reducer"] in REDUCERS
                assert model["settings"] == {"mode": "dropNN"}
            if kind == "threshold":
                (condition,) = model["conditions"]  # 10 and later refuse more than one
                evaluator = condition["evaluator"]
                assert evaluator["type"] in COMPARED
                assert len(evaluator["params"]) == 1 + evaluator["type"].endswith("range")
    assert kinds == STEPS.keys()
