"""`python -m tests.benchmark.peers`: this logger and others, side by side on equal lines.

Each program reads one PRO380 every second from a paced line of its own, all at the same
time; then each is killed and started again. What is not installed is left out, and named.
A reading is a request for the total active power that came to the line.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tests.benchmark import machine
from tests.benchmark.contender import CONTENDERS, Contender
from tests.benchmark.figure import percentile, put_between, shown
from tests.benchmark.line import LineProcess, Note
from tests.benchmark.rig import DISK, Sample, cpu_share

_POWER = 0x5012
_HEAD = (
    *("program", "seconds without a reading", "late, median", "late, 99 %"),
    *("processor", "memory", "without a reading around a kill"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How one program did: seconds of `seconds` without a reading, milliseconds after the
    full second, percent of one core, MiB, and the longest pause around the kill, seconds."""

    title: str
    seconds: int
    missed: int
    late_ms: float | None
    latest_ms: float | None
    cpu: float
    memory_mib: float
    gap_s: float


def judged(
    title: str,
    times: Sequence[float],
    window: tuple[float, float],
    killed: float,
    samples: Sequence[Sample],
) -> Row:
    """Return the row of a program that read at `times`, was measured in the `window`, and
    killed at `killed`; epoch seconds. One that read nothing in it is not said to be late."""
    first, last = (int(moment) for moment in window)
    inside = [at for at in times if first <= at < last]
    late = [1000 * (at % 1.0) for at in inside]
    gap = max((b - a for a, b in pairwise(times) if b >= killed), default=0.0)
    return Row(
        title=title,
        seconds=last - first,
        missed=last - first - len({int(at) for at in inside}),
        late_ms=statistics.median(late) if late else None,
        latest_ms=percentile(late, 0.99) if late else None,
        cpu=cpu_share(samples),
        memory_mib=max(one.memory_mib for one in samples),
        gap_s=gap,
    )


def compare(kinds: Sequence[type[Contender]], seconds: float) -> list[Row]:
    """Let programs of these kinds read for so long, all at once; then kill each."""
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        place = Path(name)
        with LineProcess(place, [[1]] * len(kinds)) as line:
            runs = [
                kind(place / f"{number}", port)
                for number, (kind, port) in enumerate(zip(kinds, line.ports, strict=True))
            ]
            try:
                with ThreadPoolExecutor(len(runs)) as pool:
                    list(pool.map(Contender.start, runs))
                    for run in runs:
                        run.steady()
                    began = time.time() + 1
                    time.sleep(1 + seconds)
                    ended = killed = time.time()
                    samples = [run.kill() for run in runs]
                    list(pool.map(Contender.start, runs))
            finally:
                for run in runs:
                    run.kill()
            notes = line.stop()
    return [
        judged(run.title, _read(notes, number), (began, ended), killed, samples[number])
        for number, run in enumerate(runs)
    ]


def _read(notes: Sequence[Note], line: int) -> list[float]:
    """Return when the total active power was asked for on a line."""
    return [
        note.at
        for note in notes
        if note.line == line and note.register <= _POWER < note.register + note.count
    ]


def table(rows: Sequence[Row], missing: Sequence[str]) -> str:
    """Return the rows as a table of Markdown, and what was not run."""
    lines = [_HEAD, tuple("---" for _ in _HEAD)]
    lines += [
        (
            row.title,
            f"{row.missed} of {row.seconds}",
            *("–" if one is None else f"{shown(one)} ms" for one in (row.late_ms, row.latest_ms)),
            f"{shown(row.cpu)} %",
            f"{shown(row.memory_mib)} MiB",
            f"{shown(row.gap_s)} s",
        )
        for row in rows
    ]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    if missing:
        text += f"\n\nNot installed, so not run: {', '.join(missing)}."
    return text


def main() -> int:
    """Compare and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.peers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long all read")
    parser.add_argument("--docs", type=Path, help="put the table into this document")
    options = parser.parse_args()
    there = [kind for kind in CONTENDERS if kind.found()]
    missing = [kind.title for kind in CONTENDERS if not kind.found()]
    text = table(compare(there, options.seconds), missing)
    print(text)
    if options.docs:
        when, about = datetime.now(UTC).date(), machine.sentence(machine.describe(DISK))
        put_between(options.docs, "peers", f"{when}, {options.seconds:g} s, {about}.\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
