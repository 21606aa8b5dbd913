"""The parts of an alert rule: a query, a reduction, a condition. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from logger.grafana.panels import ENERGY, Json

_EXPRESSION: Json = {"type": "__expr__", "uid": "__expr__"}

TIME = "$timeFilter"


def place(*more: str) -> str:
    """Return how a message names the series: its site, its meter, and `more` of its tags."""
    return "{{ $labels.site }}: {{ $labels.meter }}" + "".join(
        f" {{{{ $labels.{name} }}}}" for name in more
    )


def value(ref: str = "B", form: str = "%.1f") -> str:
    """Return the value of a step as a message shows it."""
    return f'{{{{ printf "{form}" $values.{ref}.Value }}}}'


def ask(ref: str, query: str, seconds: float) -> Json:
    return {
        "refId": ref,
        "relativeTimeRange": {"from": int(seconds), "to": 0},
        "datasourceUid": ENERGY["uid"],
        "model": {
            "refId": ref,
            "datasource": ENERGY,
            "rawQuery": True,
            "resultFormat": "time_series",
            "query": query,
            "intervalMs": 60000,
            "maxDataPoints": 43200,
        },
    }


def step(ref: str, kind: str, expression: str, **more: Any) -> Json:
    return {
        "refId": ref,
        "datasourceUid": "__expr__",
        "model": {
            "refId": ref,
            "type": kind,
            "expression": expression,
            "datasource": _EXPRESSION,
            **more,
        },
    }


def reduce(ref: str, of: str, reducer: str = "last") -> Json:
    return step(ref, "reduce", of, reducer=reducer, settings={"mode": "dropNN"})


def threshold(ref: str, of: str, kind: str, *values: float) -> Json:
    condition = {"evaluator": {"type": kind, "params": list(values)}}
    return step(ref, "threshold", of, conditions=[condition])


class Rules:
    """Collects rules; `panels` finds the number of a dashboard's panel by its title."""

    def __init__(self, panels: Mapping[tuple[str, str], int]) -> None:
        self._panels = panels
        self.made: list[Json] = []
        self.left_out: list[str] = []

    def first(self, *panels: tuple[str, str]) -> tuple[str, str]:
        """Return the first of some panels that a dashboard has, the last if none has any."""
        return next((one for one in panels if one in self._panels), panels[-1])

    def leave_out(self, uid: str) -> None:
        """Have Grafana remove a rule that another configuration made."""
        self.left_out.append(f"inepro-{uid}")

    def add(
        self,
        uid: str,
        title: str,
        data: Sequence[Json],
        text: str,
        over: str,
        gone: str,
        help_: str,
        panel: tuple[str, str],
        *,
        wait: str = "0s",
        severity: str = "warning",
        missing: str = "OK",
        broken: str = "OK",
        paused: bool = False,
    ) -> None:
        """Add a rule that fires when its last step is not zero, after `wait`; without its
        panel, which is then on no dashboard of this configuration, it is left out.

        `text` is told while it fires, `over` when it does no longer, and `gone` when there is
        no data to tell it by; Grafana puts the newest value into each, and keeps the last one of
        a series that is not there any more.
        """
        if panel not in self._panels:
            self.leave_out(uid)
            return
        self.made.append(
            {
                "uid": f"inepro-{uid}",
                "title": title,
                "condition": data[-1]["refId"],
                "data": list(data),
                "for": wait,
                "noDataState": missing,
                "execErrState": broken,
                "dashboardUid": panel[0],
                "panelId": self._panels[panel],
                "annotations": {
                    "summary": text,
                    "over": over,
                    "gone": gone,
                    "description": help_,
                    "__dashboardUid__": panel[0],
                    "__panelId__": str(self._panels[panel]),
                },
                "labels": {"severity": severity, "source": "inepro-logger"},
                "isPaused": paused,
            }
        )
