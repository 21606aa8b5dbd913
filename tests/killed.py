"""Commands that are killed at some step of their work, and then given again.

`python -m tests.killed` takes a list of [arguments, directory, share] as JSON. Each command
runs in a copy of `directory` and is killed (SIGKILL) when it has done that share of its steps:
statements of SQL, flushes and renames. The copy is kept as it was left, DIRECTORY-killed; in
another one, DIRECTORY-again, the command is given once more. Prints the exit codes.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from logger.store.database import Database
from tests.running import ROOT

Call = tuple[Sequence[str], Path, float]


def run(calls: Sequence[Call]) -> list[tuple[int, int]]:
    """Return the exit codes of the command that was killed and of the one given again."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed"],
        input=json.dumps([(list(words), str(place), share) for words, place, share in calls]),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [(first, again) for first, again in json.loads(done.stdout.splitlines()[-1])]


def _count(step: Callable[[], None]) -> None:
    """Let `step` come before each step of the work."""
    for owner, name in ((Database, "run"), (Database, "many"), (os, "fsync"), (Path, "replace")):
        original = getattr(owner, name)

        def counted(*values: Any, original: Any = original) -> Any:
            step()
            return original(*values)

        setattr(owner, name, counted)


def _child(words: Sequence[str], place: Path, kill_at: int) -> int:
    """Run a command in a process of its own; return its exit code."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    from logger.cli import main

    steps, code = 0, 1

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        _count(step)
        os.chdir(place)
        os.dup2(2, 1)
        sys.argv = ["inepro-logger", *words]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        if not kill_at:
            (place / "steps").write_text(str(steps), encoding="ascii")
        sys.stderr.flush()
        os._exit(code)


def _main() -> None:
    for module in (
        "logger.cli.buffer",
        "logger.cli.priceimport",
        "logger.cli.prices",
        "logger.config",
        "logger.prices.reading",
        "logger.report.costs",
        "logger.report.stored",
        "logger.transfer.importing",
        "rich.progress",
    ):
        importlib.import_module(module)  # once for all commands
    codes, steps = [], dict[tuple[str, ...], int]()
    for words, name, share in json.loads(sys.stdin.read()):
        place, key = Path(name), tuple(words)
        killed, again = (
            place.with_name(f"{place.name}-killed"),
            place.with_name(f"{place.name}-again"),
        )
        if key not in steps:
            shutil.copytree(place, again)
            _child(words, again, 0)
            steps[key] = int((again / "steps").read_text(encoding="ascii"))
            shutil.rmtree(again)
        shutil.copytree(place, killed)
        first = _child(words, killed, 1 + int(share * steps[key]))
        shutil.copytree(killed, again)
        codes.append((first, _child(words, again, -1)))
    print(json.dumps(codes))


if __name__ == "__main__":
    _main()
