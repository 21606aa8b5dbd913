"""Grafana's evaluation of an alert rule, as far as our rules use it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tests.grafana_queries import Range, expand

Labels = tuple[tuple[str, str], ...]
Series = dict[Labels, list[float]]
Ask = Callable[[str], Sequence[dict[str, Any]]]


def fires(rule: dict[str, Any], ask: Ask, now_ms: int) -> dict[Labels, float]:
    """Return labels and value (step B) of every series for which `rule` holds at `now_ms`.

    `ask` runs InfluxQL and returns series with tags and rows. A rule that treats missing
    data as an alert fires with the label `missing`.
    """
    asked: dict[str, Series] = {}
    numbers: dict[str, dict[Labels, float]] = {}
    for step in rule["data"]:
        model, ref = step["model"], step["refId"]
        if step["datasourceUid"] != "__expr__":
            span = step["relativeTimeRange"]
            range_ = Range(now_ms - 1000 * span["from"], now_ms - 1000 * span["to"])
            asked[ref] = _series(ask(expand(model["query"], range_, 60_000, {})))
            continue
        kind, of = model["type"], model["expression"]
        if kind == "reduce":
            numbers[ref] = {
                labels: {"last": lambda v: v[-1], "sum": sum}[model["reducer"]](values)
                for labels, values in asked[of].items()
                if values
            }
        elif kind == "threshold":
            holds = _condition(model["conditions"][0]["evaluator"])
            numbers[ref] = {labels: float(holds(v)) for labels, v in numbers[of].items()}
        else:
            numbers[ref] = _math(of, numbers)
    if not any(asked.values()) and rule["noDataState"] == "Alerting":
        return {(("missing", "yes"),): 0.0}
    result = numbers[rule["condition"]]
    return {labels: numbers["B"][labels] for labels, value in result.items() if value}


def _series(answer: Sequence[dict[str, Any]]) -> Series:
    found: Series = {}
    for series in answer:
        (name,) = set(series["rows"][0]) - {"time"}
        labels = tuple(sorted((k, v) for k, v in series["tags"].items() if v))
        found[labels] = [row[name] for row in series["rows"] if row[name] is not None]
    return found


def _condition(evaluator: dict[str, Any]) -> Callable[[float], bool]:
    low, high = (evaluator["params"] * 2)[:2]
    return {
        "gt": lambda v: v > low,
        "lt": lambda v: v < low,
        "within_range": lambda v: low < v < high,
        "outside_range": lambda v: v < low or v > high,
    }[evaluator["type"]]


def _math(expression: str, numbers: dict[str, dict[Labels, float]]) -> dict[Labels, float]:
    """Return the value of "$B < 100 && $E > 100" for labels that all its steps have."""
    parts = [re.fullmatch(r"\$(\w) (<|>|>=) ([\d.]+)", p) for p in expression.split(" && ")]
    refs = [part[1] for part in parts if part]
    assert len(refs) == len(parts), expression
    found = {}
    # Labels meet where those of one step are among those of the other.
    first = max((numbers[ref] for ref in refs), key=lambda n: max(map(len, n), default=0))
    for labels in first:
        values = {}
        for ref in refs:
            own = [value for key, value in numbers[ref].items() if set(key) <= set(labels)]
            values[ref] = own[0] if len(own) == 1 else None
        if any(value is None for value in values.values()):
            continue
        good = True
        for part in parts:
            assert part
            value, limit = values[part[1]], float(part[3])
            assert value is not None
            good &= {"<": value < limit, ">": value > limit, ">=": value >= limit}[part[2]]
        found[labels] = float(good)
    return found
