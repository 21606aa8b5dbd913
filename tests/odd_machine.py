"""Runs the logger on a machine whose clock is as a test says.

As a program: FILE, then a command line of `run`. FILE holds what the test may change at
any time: how far the wall clock is behind, whether the kernel calls it synchronised,
whether the database server has a clock of its own, and which boot this is.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from logger.bus.elapsed import elapsed
from logger.config import load_config
from logger.derive.clock import Machine
from logger.runtime import logs
from logger.runtime.app import App
from logger.runtime.daemon import serve


@dataclass(frozen=True, slots=True)
class Oddity:
    """What is odd about the machine."""

    behind_s: float = 0.0
    kept: bool = False
    server_elsewhere: bool = False
    started_s: float = 0.0  # when it was started, by the uptime of the real machine
    boot: str = "this"


class OddMachine:
    """The machine as a test sees it."""

    def __init__(self, file: Path, **what: Any) -> None:
        self._file = file
        self._now = Oddity()
        self.set(**what)

    @property
    def under(self) -> list[str]:
        """The command that runs a logger on this machine."""
        return [sys.executable, "-m", "tests.odd_machine", str(self._file)]

    def set(self, **what: Any) -> None:
        """Change it, at once and as a whole."""
        self._now = replace(self._now, **what)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self._now)), encoding="utf-8")
        fresh.replace(self._file)


def _main(file: Path, words: list[str]) -> None:
    def now() -> Oddity:
        return Oddity(**json.loads(file.read_text(encoding="utf-8")))

    machine = Machine(
        wall=lambda: time.time() - now().behind_s,
        mono=lambda: elapsed() - now().started_s,
        boot=lambda: now().boot,
        kept=lambda: now().kept,
        elsewhere=lambda _peer, _own: now().server_elsewhere,
    )
    logs.set_up("json", logging.INFO)
    serve(App(load_config(Path(words[words.index("--config") + 1])), machine=machine))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2:])
