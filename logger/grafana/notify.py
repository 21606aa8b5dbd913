"""Where alerts go: contact points by environment, one root policy, the message. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from logger.grafana.options import DashboardOptions
from logger.grafana.panels import Json

NAME = "inepro-logger"
EMAIL, WEBHOOK, NTFY = "ALERT_EMAIL", "ALERT_WEBHOOK_URL", "ALERT_NTFY_URL"
TELEGRAM = ("ALERT_TELEGRAM_TOKEN", "ALERT_TELEGRAM_CHAT")
_UIDS = tuple(f"inepro-{kind}" for kind in ("email", "webhook", "ntfy", "telegram"))

_TITLE = '{{ template "inepro.title" . }}'
_MESSAGE = '{{ template "inepro.message" . }}'
# So many alerts of one kind are told one by one; more are named in one line, with the first in
# full: a voltage is wrong at all meters at once, and a message of Telegram ends at 4096 letters.
_FEW = 5
# What a text holds that Grafana has not filled in, or filled in without the labels and values: it
# has none for a rule whose query found nothing.
_UNFILLED = "[{][{]|%!|no value"
TEMPLATE = """\
{{ define "inepro.title" -}}
{{ if not .Alerts.Firing }}Over: {{ end }}{{ .CommonLabels.alertname }}
{{- end }}

{{ define "inepro.link" -}}
{{ if .PanelURL }}{{ .PanelURL }}
{{- if .Labels.site }}&var-site={{ urlquery .Labels.site }}{{ end }}
{{- if .Labels.meter }}&var-meter={{ urlquery .Labels.meter }}{{ end }}{{ end }}
{{- end }}

{{ define "inepro.one" -}}
{{ if .Annotations.summary }}{{ .Annotations.summary }}{{ else }}{{ .Labels.alertname }}{{ end }}
alert raised {{ .StartsAt.Local.Format "2006-01-02 15:04 MST" }}
{{ .Annotations.description }}
{{ template "inepro.link" . }}
{{- end }}

{{ define "inepro.at" -}}
{{ .Labels.alertname }}{{ if .Labels.site }}, {{ .Labels.site }}
{{- if .Labels.meter }}: {{ .Labels.meter }}
{{- if .Labels.phase }} {{ .Labels.phase }}{{ end }}{{ end }}{{ end }}
{{- end }}

{{ define "inepro.end" -}}
{{ if not .Annotations.over -}}
{{ .Labels.alertname }}
{{- else if or (eq .Annotations.grafana_state_reason "MissingSeries" "NoData")
  (match "UNFILLED" .Annotations.over) -}}
{{ if or (not .Annotations.gone) (match "UNFILLED" .Annotations.gone) -}}
{{ template "inepro.at" . }}: no data any more
{{- else }}{{ .Annotations.gone }}{{ end }}
{{- else if eq .Annotations.grafana_state_reason "Error" -}}
{{ template "inepro.at" . }}: not known, InfluxDB did not answer
{{- else if .Annotations.grafana_state_reason -}}
{{ template "inepro.at" . }}: not known, the rule was changed, paused or removed
{{- else }}{{ .Annotations.over }}{{ end }}
{{- end }}

{{ define "inepro.over" -}}
over: {{ template "inepro.end" . }}
{{ if .StartsAt.Before .EndsAt -}}
alert raised {{ .StartsAt.Local.Format "2006-01-02 15:04" }}
{{ end -}}
over since {{ .EndsAt.Local.Format "2006-01-02 15:04 MST" }}
{{ template "inepro.link" . }}
{{- end }}

{{ define "inepro.place" -}}
{{ if .Labels.meter }}{{ .Labels.meter }}
{{- if .Labels.phase }} {{ .Labels.phase }}{{ end }}{{ else }}{{ .Labels.site }}{{ end }}
{{- end }}

{{ define "inepro.message" -}}
{{ if gt (len .Alerts.Firing) FEW -}}
{{ len .Alerts.Firing }} at once:
{{- range .Alerts.Firing }} {{ template "inepro.place" . }},{{ end }} of which the first:
{{ template "inepro.one" (index .Alerts.Firing 0) }}

{{ else }}{{ range .Alerts.Firing -}}
{{ template "inepro.one" . }}

{{ end }}{{ end -}}
{{ if gt (len .Alerts.Resolved) FEW -}}
over at {{ len .Alerts.Resolved }} places:
{{- range .Alerts.Resolved }} {{ template "inepro.place" . }},{{ end }} of which the first:
{{ template "inepro.over" (index .Alerts.Resolved 0) }}

{{ else }}{{ range .Alerts.Resolved -}}
{{ template "inepro.over" . }}

{{ end }}{{ end -}}
{{- end }}
""".replace("FEW", str(_FEW)).replace("UNFILLED", _UNFILLED)


def literal(text: str) -> str:
    """Return `text` so that it reads the same after Grafana has expanded variables in it."""
    return text.replace("$", "$$")


def _receivers(given: Mapping[str, str]) -> list[Json]:
    """Return a receiver for each variable that is set. Values stay in the environment of
    Grafana, which puts them in: no secret is written to a file.

    A name without braces, because Grafana expands what it put in for `${NAME}` once more
    and loses each `$` of it. The chat stands here itself: it is no secret, and Grafana
    makes a number of digits that come from a variable, then refuses the number
    (grafana/grafana#63085, #69950).
    """
    found: list[Json] = []

    def add(uid: str, kind: str, settings: Json) -> None:
        found.append({"uid": f"inepro-{uid}", "type": kind, "settings": settings})

    if given.get(EMAIL):
        add("email", "email", _email(f"${EMAIL}"))
    if given.get(WEBHOOK):
        add("webhook", "webhook", _webhook(f"${WEBHOOK}"))
    if given.get(NTFY):
        # ntfy knows Grafana's messages by this template.
        further = "&" if "?" in given[NTFY] else "?"
        add("ntfy", "webhook", _webhook(f"${NTFY}{further}template=grafana"))
    if all(given.get(name) for name in TELEGRAM):
        token, chat = TELEGRAM
        parts = {"bottoken": f"${token}", "chatid": literal(given[chat]), "message": _MESSAGE}
        # As it is written: read as HTML, Telegram refuses a message of the meter "Boiler <2 kW".
        add("telegram", "telegram", {**parts, "parse_mode": "None"})
    if not found:
        # Without any: alerts stand in Grafana. A contact point must name somebody.
        add("email", "email", _email("root@localhost"))
    return found


def _email(addresses: str) -> Json:
    return {
        "addresses": addresses,
        "singleEmail": True,
        "subject": _TITLE,
        "message": _MESSAGE,
    }


def _webhook(url: str) -> Json:
    return {"url": url, "httpMethod": "POST", "title": _TITLE, "message": _MESSAGE}


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}m" if whole % 60 == 0 else f"{whole}s"


def notifications(settings: DashboardOptions, given: Mapping[str, str]) -> Json:
    """Return contact point, root policy and message template."""
    receivers = _receivers(given)
    unused = [uid for uid in _UIDS if uid not in {one["uid"] for one in receivers}]
    return {
        "apiVersion": 1,
        "contactPoints": [{"orgId": 1, "name": NAME, "receivers": receivers}],
        # Of a contact point that is there Grafana adds and changes receivers only: one that is
        # not in the file any more would get messages for ever.
        "deleteContactPoints": [{"orgId": 1, "uid": uid} for uid in unused],
        "policies": [
            {
                "orgId": 1,
                "receiver": NAME,
                "group_by": ["grafana_folder", "alertname", "site"],
                "group_wait": "30s",
                "group_interval": "5m",
                "repeat_interval": _duration(settings.alerts.repeat),
            }
        ],
        "templates": [{"orgId": 1, "name": "inepro", "template": TEMPLATE}],
    }
