"""`python -m tests.benchmark`: measures, prints a table, writes JSON and plots."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmark import machine
from tests.benchmark.figure import Figure, Result, Series, put_between, table
from tests.benchmark.rig import DISK

# What can be measured: the module and function that do it, about how long (short, full).
PARTS: dict[str, tuple[str, str]] = {
    "starts": ("starts", "starts"),
    "line": ("timing", "efficiency"),
    "second": ("timing", "one_meter"),
    "sixty": ("crowd", "sixty"),
    "thousand": ("crowd", "thousand"),
    "tenthousand": ("crowd", "ten_thousand"),
    "buffer": ("storing", "commits"),
    "wear": ("wear", "wear"),
    "kept": ("wear", "kept"),
    "backlog": ("backlog", "backlog"),
    "drain": ("drain", "drain"),
    "day": ("day", "day"),
    "outputs": ("outputs", "outputs"),
    "reports": ("reports", "reports"),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.add_argument("--short", action="store_true", help="everything once and briefly")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="just this part")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"), help="directory")
    parser.add_argument("--docs", type=Path, help="put table and machine into this document")
    parser.add_argument("--no-plots", action="store_true", help="without matplotlib")
    return parser.parse_args()


def measure(name: str, short: bool) -> Result:
    """Run one part."""
    module, function = PARTS[name]
    part: Callable[[bool], Result] = getattr(
        importlib.import_module(f"tests.benchmark.{module}"), function
    )
    return part(short)


def main() -> int:
    """Measure and report; the exit code is 1 when a part broke, never for being slow."""
    options = _arguments()
    figures: list[Figure] = []
    series: list[Series] = []
    broken: dict[str, str] = {}
    parts: dict[str, Any] = {}
    place = options.out.resolve()
    place.mkdir(parents=True, exist_ok=True)
    about = machine.describe(DISK)
    for name in options.only or PARTS:
        print(f"{name} ...", end="", flush=True, file=sys.stderr)
        began = time.monotonic()
        try:
            result = measure(name, options.short)
        except Exception as err:  # noqa: BLE001 - the other parts are worth measuring
            broken[name] = repr(err)
            print(f" broken: {err!r}", file=sys.stderr)
            continue
        took = time.monotonic() - began
        print(f" {took:.0f} s", file=sys.stderr)
        parts[name] = {"seconds": round(took, 1), "short": options.short}
        figures += result.figures
        series += result.series
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": about,
        "parts": parts,
        "broken": broken,
        "figures": [figure.as_json() for figure in figures],
        "series": [asdict(one) for one in series],
    }
    (place / "benchmark.json").write_text(json.dumps(report, indent=1, default=str) + "\n")
    text = table(figures)
    (place / "benchmark.md").write_text(text + "\n")
    print(text)
    if options.docs:
        when = datetime.now(UTC).date()
        put_between(options.docs, "benchmark", f"{when}, {machine.sentence(about)}.\n\n{text}")
    if not options.no_plots:
        from tests.benchmark import plot

        plot.draw(series, place)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
