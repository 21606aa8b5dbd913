"""A simulated day of one meter read every second: nothing may grow."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from tests.benchmark import virtual
from tests.benchmark.clockfile import Time
from tests.benchmark.figure import Figure, Result, Series
from tests.benchmark.line import LineProcess
from tests.benchmark.rig import DISK, Plan, Sample, Watch

START = 1_795_046_400.0  # 2026-11-19 00:00 UTC


def day(short: bool) -> Result:
    """Run a day, or an hour, as fast as it goes; compare its end with its first tenth."""
    seconds = 3600 if short else 86_400
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        place = Path(name)
        clock = Time(place / "time", START)
        with LineProcess(place, [[1]], paced=False, delay_s=0.0, clock=clock.path) as line:
            plan = Plan(ports=line.ports, lines=[[1]], fast_s=1.0)
            log = place / "logger.log"
            process = virtual.start(plan.write(place), clock, START + seconds, log)
            watch = Watch(process.pid)
            process.wait()
            samples = watch.stop()
            notes = line.stop()
            if process.returncode != 0:
                raise RuntimeError(log.read_text()[-3000:])
    fast = sum(note.register == 0x5002 for note in notes)
    if fast < seconds - 2:
        raise RuntimeError(f"{fast} of {seconds} readings")
    return _result(samples, seconds, fast)


def _result(samples: list[Sample], seconds: int, fast: int) -> Result:
    # The loop's own start is not the day: the first twentieth is left out.
    whole = samples[len(samples) // 20 : -2]
    tenth = max(1, len(whole) // 10)
    grown = {
        name: statistics.median(getattr(one, name) for one in whole[-tenth:])
        - statistics.median(getattr(one, name) for one in whole[:tenth])
        for name in ("memory_mib", "threads", "files")
    }
    what = "a day" if seconds == 86_400 else f"{seconds} s"
    return Result(
        [
            Figure(
                name="day_memory",
                text=f"one meter every second for {what} of virtual time: memory growth",
                unit="MiB",
                runs=[grown["memory_mib"]],
                at_most=2,
                raw={"readings": fast, "most": max(one.memory_mib for one in whole)},
            ),
            Figure(
                name="day_threads",
                text="the same: more threads at the end",
                unit="",
                runs=[grown["threads"]],
                at_most=0,
                raw={"threads": whole[-1].threads},
            ),
            Figure(
                name="day_files",
                text="the same: more open files at the end",
                unit="",
                runs=[grown["files"]],
                at_most=0,
                raw={"files": whole[-1].files},
            ),
        ],
        [
            Series(
                f"Memory over {what} of virtual time",
                "share of the run",
                "resident memory [MiB]",
                {"logger": [(n / len(samples), one.memory_mib) for n, one in enumerate(samples)]},
            )
        ],
    )
