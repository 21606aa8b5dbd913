"""How long commands take to start."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmark.figure import Figure, Result
from tests.benchmark.line import LineProcess
from tests.benchmark.rig import ROOT, Logger, Plan


def starts(short: bool) -> Result:
    """Time `--help`, and `run` until its first request is on the line."""
    repeats = 1 if short else 10
    helped, bare, first = [], [], []
    for _ in range(repeats):
        helped.append(_timed("-m", "logger", "--help"))
        bare.append(_timed("-c", "pass"))
        first.append(_first_request())
    return Result(
        [
            Figure(
                name="start_help",
                text="`inepro-logger --help`",
                unit="s",
                runs=helped,
                at_most=0.3,
                raw={"python_alone_s": bare},
            ),
            Figure(
                name="start_run",
                text="`inepro-logger run` to the first request on the line",
                unit="s",
                runs=first,
                at_most=1.0,
            ),
        ]
    )


def _timed(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - began


def _first_request() -> float:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with LineProcess(place, [[1]]) as line:
            plan = Plan(ports=line.ports, lines=[[1]], fast_s=1.0)
            with Logger(plan.write(place)) as logger:
                logger.state()
                time.sleep(1.5)
                logger.stop()
            notes = line.stop()
    return notes[0].at - logger.started
