"""Plots of a result, PNG and SVG. The only importer of matplotlib."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.benchmark.figure import Series


def draw(series: Iterable[Series], directory: Path) -> list[Path]:
    """Write each series as PNG and SVG into `directory`; return the files.

    Raises ImportError without matplotlib.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # The same data give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "benchmark"
    found = []
    directory.mkdir(parents=True, exist_ok=True)
    for one in series:
        figure, axes = pyplot.subplots(figsize=(8, 3.5), layout="constrained")
        for label, points in one.lines.items():
            x, y = zip(*points, strict=True) if points else ((), ())
            dense = len(points) > 200 and "late" in one.title.lower()
            if dense:
                axes.plot(x, y, label=label, marker=".", markersize=2, linestyle="")
            else:
                axes.plot(x, y, label=label)
        axes.set(title=one.title, xlabel=one.x, ylabel=one.y)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        if len(one.lines) > 1:
            axes.legend()
        name = re.sub(r"[^a-z0-9]+", "-", one.title.lower()).strip("-")[:60].strip("-")
        for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            file = directory / f"{name}.{ending}"
            figure.savefig(file, dpi=110, metadata=metadata)
            found.append(file)
        pyplot.close(figure)
    return found
