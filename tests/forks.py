"""Many commands of the logger, each in a process of its own that starts with everything
imported: `python -m tests.forks` takes a list of them as JSON and gives what they printed."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import logger
from tests.running import ROOT


@dataclass(frozen=True)
class Call:
    """One command; one that is `endless` is ended when it has printed something."""

    arguments: list[str]
    directory: str
    environment: dict[str, str]
    endless: bool = False


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code (negative: the signal that ended it)."""

    output: str
    errors: str
    code: int


def run(calls: Sequence[Call]) -> list[Result]:
    """Run commands one after the other."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.forks"],
        input=json.dumps([asdict(call) for call in calls]),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [Result(**one) for one in json.loads(done.stdout)]


def _main() -> None:
    for module in ("influxdb_client.service.write_service", "rich.progress", "rich.table"):
        importlib.import_module(module)
    for room in logger.__path__:  # most of the time of a command is what it loads
        for file in sorted(Path(room).rglob("*.py")):
            name = ".".join(("logger", *file.relative_to(room).with_suffix("").parts))
            if not name.endswith("__main__"):
                importlib.import_module(name.removesuffix(".__init__"))
    calls = [Call(**one) for one in json.loads(sys.stdin.read())]
    json.dump([asdict(_run(call)) for call in calls], sys.stdout)


def _run(call: Call) -> Result:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = os.fork()
        if not process:
            _become(call, output.fileno(), errors.fileno())
        code = _wait(process, call, (output.fileno(), errors.fileno()))
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode(errors="backslashreplace"))
    return Result(texts[0], texts[1], code)


def _wait(process: int, call: Call, files: Sequence[int]) -> int:
    """Return the exit code of a process."""
    while call.endless:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if any(os.fstat(file).st_size for file in files):
            os.kill(process, signal.SIGTERM)
        time.sleep(0.05)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _become(call: Call, output: int, errors: int) -> None:
    """Be the command, in a process made for it; never returns."""
    from logger.cli import main

    code: object = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.chdir(call.directory)
        os.environ.clear()
        os.environ.update(call.environment)
        sys.argv = ["inepro-logger", *call.arguments]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        kind, error, trace = sys.exc_info()
        assert kind is not None
        assert error is not None
        sys.excepthook(kind, error, trace)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 1)


def files_below(directory: Path) -> list[Path]:
    """Return all files in a directory, those in directories below included."""
    return [path for path in sorted(directory.rglob("*")) if path.is_file()]


if __name__ == "__main__":
    _main()
