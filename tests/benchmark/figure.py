"""What a measurement gives: a figure with its limit, its runs and its raw materials."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Series:
    """Something over time, for a plot: `lines` by label, each a list of (x, y)."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure: the median of `runs`, and what it was promised to be.

    `at_most` or `at_least` is the promise in the same unit; a figure without one is raw
    material that is worth a line of its own. `raw` holds what it was computed from.
    """

    name: str
    text: str
    unit: str
    runs: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept; None when there is none."""
        if self.at_most is not None:
            return self.value <= self.at_most
        if self.at_least is not None:
            return self.value >= self.at_least
        return None

    @property
    def promise(self) -> str:
        """The promise as text."""
        if self.at_most is not None:
            return "0" if self.at_most == 0 else f"<= {self.at_most:g}"
        return f">= {self.at_least:g}" if self.at_least is not None else ""

    def as_json(self) -> dict[str, Any]:
        """Return everything, for the JSON file."""
        return {**asdict(self), "value": self.value, "met": self.met}


@dataclass(slots=True)
class Result:
    """What one part of the benchmark found."""

    figures: list[Figure] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of `values` lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 1) - 1).__int__()]


def shown(number: float) -> str:
    """Return a number with four significant digits and no exponent."""
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [("figure", "measured", "promised", "kept", "runs")]
    for one in figures:
        kept = {True: "yes", False: "NO", None: ""}[one.met]
        runs = " ".join(shown(run) for run in one.runs) if len(one.runs) > 1 else ""
        unit = f" {one.unit}" if one.unit else ""
        promise = f"{one.promise}{unit if one.promise else ''}"
        rows.append((one.text, f"{shown(one.value)}{unit}", promise, kept, runs))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def put_between(path: Path, name: str, text: str) -> None:
    """Replace what stands between the marks `name` and `end of name` in a document.

    Raises ValueError when the document has no such marks.
    """
    document = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, found, rest = document.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path} has no marks {begin.strip()} and {end}")
    path.write_text(f"{head}{begin}\n{text.strip()}\n\n{end}{tail}", encoding="utf-8")
