"""`python -m tests.compare_engines URL`: does another engine answer as InfluxDB does?

Writes a virtual month into Debian's InfluxDB, which it starts, and into the engine at URL
(databases `energy` and `live`, which it drops and makes anew), asks both every query of
every dashboard and rule, and compares the rows. Exit code 1: some differ; they are shown.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import urllib3

from logger.grafana import DashboardOptions, dashboards
from logger.grafana.alerts import rules
from tests.engines import InfluxServer
from tests.engines.influx import QueryError
from tests.grafana_queries import Range, expand, interval, panels, queries, shown, variables_of
from tests.test_dashboards_engine import OPTIONS, bucket
from tests.virtual_month import BUCKETS, END, START, ZONE, Month

NOW = END * 1000
Query = tuple[str, str, str]  # where it stands, its database, its text


class Remote(InfluxServer):
    """An engine that runs already and understands InfluxDB's /write and InfluxQL."""

    def __init__(self, url: str) -> None:
        self.base = url.rstrip("/")
        self.http = urllib3.PoolManager(retries=False, timeout=60.0)

    @property
    def url(self) -> str:
        return self.base


def asked(options: DashboardOptions) -> Iterator[Query]:
    """Yield each query of dashboards and rules as Grafana sends it."""
    boards = dashboards(options)
    for name, board in boards.items():
        values = variables_of(board, site="home", meter="grid")
        for panel in panels(board):
            range_ = shown(panel.get("timeFrom", board["time"]["from"]), NOW, ZONE)
            step = interval(range_, panel.get("maxDataPoints", 800), panel.get("interval", ""))
            for target in panel["targets"]:
                text = expand(target["query"], range_, step, values)
                yield f"{name}: {panel['title']}", bucket(target["datasource"]), text
        whole = Range(START * 1000, NOW)
        for text, source in queries({**board, "panels": []}):
            yield (
                f"{name}: variables and marks",
                bucket(source),
                expand(text, whole, 60_000, values),
            )
    for group in rules(options, list(boards.values()))["groups"]:
        for rule in group["rules"]:
            for part in rule["data"]:
                if text := part["model"].get("query", ""):
                    span = part["relativeTimeRange"]
                    range_ = Range(NOW - 1000 * span["from"], NOW - 1000 * span["to"])
                    yield f"rule: {rule['title']}", "energy", expand(text, range_, 60_000, {})


def answer(engine: InfluxServer, database: str, text: str) -> list[dict[str, Any]] | str:
    """Return the rows, sorted, or what the engine refused with."""
    try:
        rows = engine.rows(text, database)
    except QueryError as err:
        return str(err)
    return sorted(rows, key=lambda row: repr(sorted(row.items(), key=lambda item: item[0])))


def equal(one: Any, other: Any) -> bool:
    """Tell whether two answers are the same, sums of floats to the ninth digit."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def difference(one: Any, other: Any) -> str:
    """Return the first rows that differ, or what was refused."""
    if isinstance(one, str) or isinstance(other, str):
        return f"  InfluxDB: {str(one)[:500]}\n  other: {str(other)[:500]}"
    pairs = [pair for pair in zip_longest(one, other) if not equal(*pair)]
    shown_ = [f"  InfluxDB: {right}\n  other: {found}" for right, found in pairs[:2]]
    return "\n".join([f"  {len(pairs)} of {len(one)} rows", *shown_])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="such as http://127.0.0.1:8086")
    parser.add_argument("--settle", type=float, default=10.0, help="seconds until points are seen")
    given = parser.parse_args()
    other = Remote(given.url)
    for name in BUCKETS.values():
        other.query(f'DROP DATABASE "{name}"')
    with tempfile.TemporaryDirectory() as place, InfluxServer(Path(place)) as own:
        Month(own)
        Month(other)
        time.sleep(given.settle)
        differing = 0
        every = sorted(set(asked(OPTIONS)))
        for where, database, text in every:
            right, found = answer(own, database, text), answer(other, database, text)
            if not equal(right, found):
                differing += 1
                print(f"{where}\n  {text}\n{difference(right, found)}")
    print(f"{len(every) - differing} of {len(every)} queries have equal rows", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
