"""The delivery of a backlog alone: into a real engine beside curl, and with a slow medium.

No logger reads meanwhile: no commit but those of the delivery's own marks, which is when the
most of them wait. The buffer's process says itself when nothing waits any more, at the commit
that makes it so.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.benchmark.backlog import fill, posted_by_curl
from tests.benchmark.figure import Figure, Result
from tests.benchmark.rig import DISK, ROOT
from tests.engines import VictoriaServer

_SYNC_MS = 200


@dataclass(frozen=True, slots=True)
class _Drain:
    """What the delivery of a buffer took; sizes in MiB."""

    lines: int
    drained_s: float
    cpu_s: float
    before_mib: float
    most_mib: float
    wakes: Mapping[str, int]

    @property
    def grown(self) -> float:
        return self.most_mib - self.before_mib

    @property
    def idle_wakes(self) -> float:
        """How often a second each thread of the lane without points was woken, on the mean."""
        idle = [times for name, times in self.wakes.items() if name.endswith("main")]
        return sum(idle) / len(idle) / self.drained_s


def drain(short: bool) -> Result:
    """Deliver copies of one buffer: bodies kept, into the engine, and with slow flushes."""
    lines, repeats = (20_000, 1) if short else (1_000_000, 3)
    with tempfile.TemporaryDirectory(dir=DISK) as name:
        place = Path(name)
        master, kept = place / "master.sqlite", place / "bodies"
        kept.mkdir()
        fill(master, lines)
        with _keeper(kept) as url:
            _drained(place, master, url)
        files = sorted(kept.iterdir())
        slow = _slow(place)
        with _keeper(None) as url:
            slowly = [_drained(place, master, url, slow) for _ in range(repeats)]
        runs, curls = [], []
        for number in range(repeats):
            with VictoriaServer(place / f"logger{number}") as engine:
                runs.append(_drained(place, master, engine.url))
            with VictoriaServer(place / f"curl{number}") as engine:
                url = f"{engine.url}/api/v2/write?precision=ms&bucket="
                curls.append(posted_by_curl(files, url, place))
    what = f"{runs[0].lines:,} lines into victoria-metrics"
    return Result(
        [
            Figure(
                name="drain_ratio",
                text=f"{what}: rate against curl posting the same bodies",
                unit="%",
                runs=[100 * took / run.drained_s for run, took in zip(runs, curls, strict=True)],
                at_least=45,
                raw={"curl_s": curls, "logger_s": [run.drained_s for run in runs]},
            ),
            Figure(
                name="drain_cpu",
                text=f"{what}: processor time a line",
                unit="µs",
                runs=[1e6 * run.cpu_s / run.lines for run in runs],
            ),
            Figure(
                name="drain_memory",
                text=f"{what}: memory growth",
                unit="MiB",
                runs=[run.grown for run in runs],
                at_most=30,
            ),
            Figure(
                name="drain_memory_slow",
                text=f"the same where each flush takes {_SYNC_MS} ms more: memory growth",
                unit="MiB",
                runs=[run.grown for run in slowly],
                at_most=30,
                raw={"seconds": [run.drained_s for run in slowly]},
            ),
            Figure(
                name="drain_wakes",
                text=f"{what}: wake-ups a second of a thread that has nothing to send",
                unit="1/s",
                runs=[run.idle_wakes for run in runs],
                at_most=10,
            ),
        ]
    )


def _drained(place: Path, master: Path, url: str, more: Mapping[str, str] | None = None) -> _Drain:
    """Deliver a copy of `master` in a process of its own."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        path = Path(name) / "buffer.sqlite"
        for end in ("", ".journal"):
            shutil.copy(f"{master}{end}", f"{path}{end}")
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmark.drainer", str(path), url],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **(more or {})},
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return _Drain(**told)


def _slow(place: Path) -> dict[str, str]:
    """Return the environment of a process whose flushes take longer."""
    library, source = place / "slow_sync.so", Path(__file__).with_name("slow_sync.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SLOW_SYNC_MS": str(_SYNC_MS)}


@contextmanager
def _keeper(kept: Path | None) -> Iterator[str]:
    """Yield the address of a server that takes everything, and keeps it as files."""
    numbers = count()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bucket = parse_qs(urlsplit(self.path).query)["bucket"][0]
            if kept is not None:
                (kept / f"{next(numbers):06}-{bucket}.gz").write_bytes(body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
