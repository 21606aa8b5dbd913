"""Figures of the medium: bytes that a device takes for each commit, deliveries included, and
those that a store keeps.

A file system of its own on a loop device, whose sectors the kernel counts (`stat` of the
device, Documentation/block/stat in the kernel's sources). That takes the rights of root.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import cycle, islice
from pathlib import Path

from logger.buffer import Buffer
from logger.delivery.outlet import BufferOutlet
from logger.domain.datamodel import Lane
from logger.points.line import Point
from logger.store.database import Database
from logger.store.rows import RowState, Settlement
from logger.store.tools import between
from tests.benchmark import virtual
from tests.benchmark.clockfile import Time
from tests.benchmark.day import START
from tests.benchmark.figure import Figure, Result
from tests.benchmark.line import LineProcess
from tests.benchmark.rig import DISK, MIB, Plan
from tests.benchmark.storing import samples

_SECTOR = 512
_SIZE = 256 * MIB
_PER = (1, 2, 10)  # readings a commit


class Device:
    """A file system of its own, and what its device has taken."""

    def __init__(self, place: Path, name: str) -> None:
        self.place = place
        self._stat = Path("/sys/block", name, "stat")

    def written(self) -> int:
        """Return the bytes that the device has taken, with all that was still to be written."""
        subprocess.run(["sync", "-f", str(self.place)], check=True)
        return int(self._stat.read_text(encoding="ascii").split()[6]) * _SECTOR


@contextmanager
def device() -> Iterator[Device]:
    """Yield a new ext4 file system on a loop device."""
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        image, place = Path(name) / "image", Path(name) / "place"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
        try:
            source = subprocess.run(
                ["findmnt", "-no", "SOURCE", str(place)], check=True, capture_output=True, text=True
            )
            yield Device(place, source.stdout.strip().removeprefix("/dev/"))
        finally:
            subprocess.run(["umount", str(place)], check=True)


def _now_ms() -> int:
    return int(time.time() * 1000)


def buffered(place: Path, readings: list[list[Point]], per: int) -> Iterator[None]:
    """Commit readings to a buffer, so many at a time, each with the marks of the last ones;
    yield when the file is there."""
    buffer = Buffer(place / "b.sqlite", commit_interval_s=3600.0, now_ms=_now_ms)
    buffer.open()
    yield
    outlet = BufferOutlet(buffer, Lane.FAST)
    for start in range(0, len(readings), per):
        if start:
            outlet.settle(Settlement(outlet.oldest(0, 10_000, 10**9)))
        for reading in readings[start : start + per]:
            buffer.append(reading)
        if not buffer.flush(60.0):
            raise RuntimeError(f"not committed: {buffer.state().problem}")
    outlet.close()
    buffer.close()


def appended(place: Path, readings: list[list[Point]], per: int) -> Iterator[None]:
    """Append the same lines to a plain file and flush it: the least that can be."""
    with (place / "lines").open("ab", buffering=0) as file:
        yield
        for start in range(0, len(readings), per):
            some = readings[start : start + per]
            file.write("".join(f"{point.line()}\n" for one in some for point in one).encode())
            os.fdatasync(file.fileno())


_WAYS: dict[str, tuple[str, Callable[[Path, list[list[Point]], int], Iterator[None]]]] = {
    "buffer": ("the buffer", buffered),
    "plain": ("a plain file, appended and flushed", appended),
}


def wear(short: bool) -> Result:
    """Count what the device takes for commits of one, two and ten readings."""
    commits = 100 if short else 1500
    different = samples()
    figures = []
    for name, (text, write) in _WAYS.items():
        for per in _PER:
            readings = list(islice(cycle(different), commits * per))
            with device() as medium:
                steps = write(medium.place, readings, per)
                next(steps)
                before = medium.written()
                for _ in steps:
                    raise RuntimeError("it was to write the readings")
                written = medium.written() - before
            figures.append(
                Figure(
                    name=f"wear_{name}_{per}",
                    text=f"medium: bytes to the device a reading, {text}, {per} a commit",
                    unit="bytes",
                    runs=[written / len(readings)],
                    raw={"written": written, "commits": commits, "a_commit": written / commits},
                )
            )
    return Result(figures)


def kept(short: bool) -> Result:
    """Let a logger without a database keep a day of one meter; count what it takes from its
    first quarter on: before, there is what an empty file takes as well."""
    seconds = 14_400 if short else 86_400
    sizes = []
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        place = Path(name)
        clock = Time(place / "time", START)
        with LineProcess(place, [[1]], paced=False, delay_s=0.0, clock=clock.path) as line:
            plan = Plan(ports=line.ports, lines=[[1]], fast_s=5.0)
            log = place / "logger.log"
            config = plan.write(place)
            for until in (seconds / 4, seconds):
                process = virtual.start(config, clock, START + until, log)
                if process.wait() != 0:
                    raise RuntimeError(log.read_text(encoding="utf-8")[-3000:])
                with closing(Database.open_readonly(place / "buffer.sqlite")) as database:
                    pages, free = database.size()
                    found = list(between(database, list(RowState), None, None))
                text = sum(len(line) + 1 for row in found for line in row.lines)
                sizes.append((pages - free, text))
    grown = sizes[1][0] - sizes[0][0]
    year = grown / (0.75 * seconds) * 86_400 * 365
    raw = {"grown": grown, "text": sizes[1][1] - sizes[0][1], "seconds": 0.75 * seconds}
    return Result(
        [
            Figure(
                name="kept_year",
                text="buffer that is the store: a year of one meter every 5 s, extrapolated",
                unit="MiB",
                runs=[year / MIB],
                at_most=1024,
                raw=raw,
            )
        ]
    )
