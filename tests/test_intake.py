"""The way of readings into the buffer goes on while the state is written to a slow disk."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logger.derive import Derive
from logger.derive.clock import Clock, Machine
from logger.derive.intake import SAVE_EVERY_MS, Intake
from logger.points.line import Point
from logger.store.statefile import StateFile
from tests.derive_rig import T0, fast, identity, info, slow
from tests.running import PATIENCE_S


class Kept:
    """A store that keeps what it takes."""

    def __init__(self) -> None:
        self.points: list[Point] = []

    def append(self, points: Sequence[Point], released: int = 0) -> None:
        self.points += points

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the store is asked for {name}")


class SlowFile(StateFile):
    """A state file whose disk takes its time once it is `slow`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.slow = threading.Event()
        self.writing, self.done = threading.Event(), threading.Event()

    def save(self, state: dict[str, Any]) -> bool:
        if self.slow.is_set():
            self.writing.set()
            self.done.wait()
        return super().save(state)


def test_readings_pass_while_the_state_is_on_its_way_to_the_disk(tmp_path: Path) -> None:
    at_s = [T0 / 1000]
    machine = Machine(wall=lambda: at_s[0], mono=lambda: at_s[0], kept=lambda: True)
    clock = Clock(machine, not_before_ms=T0)
    store, file = Kept(), SlowFile(tmp_path / "derived.json")
    intake = Intake(Derive([info()], "home"), clock, store, file, "boot")
    intake.open(None, 0)
    for part in (identity(T0), slow(T0, 10.0, 1.0), fast(T0)):
        intake.accept(part)
    at_s[0] += SAVE_EVERY_MS / 1000 + 1
    file.slow.set()
    refresh = threading.Thread(target=intake.refresh, daemon=True)
    refresh.start()
    assert file.writing.wait(PATIENCE_S)
    before = len(store.points)
    passed = threading.Thread(target=intake.accept, args=(fast(T0 + 700_000),), daemon=True)
    passed.start()
    passed.join(PATIENCE_S)
    waited = passed.is_alive()
    file.done.set()
    refresh.join(PATIENCE_S)
    assert not waited, "a reading waited for the disk"
    assert len(store.points) > before
    assert file.load() is not None
