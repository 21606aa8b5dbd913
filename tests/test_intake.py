"""The way of readings into the buffer goes on while the state is written to a slow disk."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from logger.derive.clock import Clock, Machine
from logger.derive.intake import SAVE_EVERY_MS, Intake
from logger.derive.pipeline import Derive
from logger.points.line import Point
from logger.store.parked import Parked
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
        intake.accept(part, clock.offset_ms)
    at_s[0] += SAVE_EVERY_MS / 1000 + 1
    file.slow.set()
    refresh = threading.Thread(target=intake.refresh, daemon=True)
    refresh.start()
    assert file.writing.wait(PATIENCE_S)
    before = len(store.points)
    given = (fast(T0 + 700_000), clock.offset_ms)
    passed = threading.Thread(target=intake.accept, args=given, daemon=True)
    passed.start()
    passed.join(PATIENCE_S)
    waited = passed.is_alive()
    file.done.set()
    refresh.join(PATIENCE_S)
    assert not waited, "a reading waited for the disk"
    assert len(store.points) > before
    assert file.load() is not None


class Shelved(Kept):
    """A store that keeps readings without a time, too."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf: list[Parked] = []

    def park(self, one: Parked) -> bool:
        self.shelf.append(replace(one, id=len(self.shelf) + 1))
        return True

    def parked(self, after: int, limit: int) -> list[Parked]:
        return self.shelf[after : after + limit]


@pytest.mark.parametrize("during", [False, True], ids=["held", "being read"])
@pytest.mark.parametrize(
    ("trusted", "waiting"),
    [(False, False), (False, True), (True, False)],
    ids=["not set", "not set, others wait", "a step"],
)
def test_what_was_held_while_the_clock_was_set_has_its_right_time(
    tmp_path: Path, trusted: bool, waiting: bool, during: bool
) -> None:
    """A reading is stamped when it is taken, and handed on when it is believed."""
    behind_s, mono = 60.0, [500.0]
    right = [False]

    def wall() -> float:
        return T0 / 1000 + mono[0] - behind_s * (not right[0])

    machine = Machine(wall=wall, mono=lambda: mono[0], kept=lambda: trusted, boot=lambda: "boot")
    clock = Clock(machine, stamped_ms=T0 + 400_000, not_before_ms=0)
    if not trusted:  # begun by this clock, the run would be older than what is kept
        clock.learn(T0 + 499_000)
    assert clock.trusted == trusted
    store = Shelved()
    intake = Intake(Derive([info()], "home"), clock, store, StateFile(tmp_path / "s.json"), "boot")
    intake.open(None, 0)
    if waiting:
        intake.accept(fast(clock.now_ms()), clock.offset_ms)
    mono[0] += 5
    offset_ms = clock.offset_ms
    taken = fast(clock.now_ms())
    right[0] = True
    for _ in range(4):  # a step has to last for a second
        mono[0] += 1
        intake.refresh()
    assert clock.trusted
    if during:  # its answers came when the clock was right already
        taken = replace(taken, taken_ms=clock.now_ms() - 3700)
    intake.accept(taken, offset_ms)
    intake.refresh()
    times = [point.time_ms for point in store.points if point.measurement == "power"]
    assert times[-1] == T0 + 505_300  # such readings are taken 0.3 s after they are due
    assert min(times) >= T0 + 440_000
