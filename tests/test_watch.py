"""Threads that end, hang or oversleep in a running logger: seen, told, started again."""

from __future__ import annotations

import contextlib
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from logger.delivery.progress import Progress
from logger.domain.errors import StatusError
from logger.runtime.status import ask
from logger.runtime.watch import Part, Watch
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from logger.store.verify import verify
from tests.engines.process import free_port
from tests.running import RunningLogger, wait_until
from tests.scripted import ScriptedServer

PATIENCE_S = 300.0
NOON = 1_782_037_800.0  # 2026-06-21 10:30 UTC

CONFIG = """\
[site]
name = "home"
[intervals]
fast = "1s"
slow = "2s"
[[bus]]
name = "line"
port = "socket://127.0.0.1:{line}"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"
[influxdb]
url = "{url}"
org = "home"
bucket = "energy"
fast_bucket = "live"
token_file = "token"
timeout = "500ms"
[buffer]
path = "buffer.sqlite"
commit_interval = "0.2s"
[metrics]
port = {metrics}
"""

# What ends, a pattern of the thread's name, and what a new start must set going again.
RESTARTED = {
    "bus": "bus line",
    "health": "health",
    "buffer": "the buffer",
    "deliver": "(deliver|backlog)-",  # both write, and both wait: whoever comes first ends
    "backlog": "backlog-",
    "idle": "(deliver|backlog)-",
    "status": "status",
    "metrics": "metrics",
}
# What ends the process, and the reason that is given.
FATAL = {
    "end schedule": "the thread of the schedule: ended",
    "again end bus": "the thread of bus line: ended 6 times in 10 minutes",
    "again end buffer": "the thread of the buffer: ended 6 times in 10 minutes",
    "hang schedule": "the thread of the schedule: no sign of life",
    "hang bus": "the thread of bus line: no sign of life",
    "sleep bus": "the thread of bus line: no sign of life",
    "hang buffer": "the thread of the buffer: no sign of life",
    "hang deliver": "the thread of deliver-",
    "hang idle": "the thread of deliver-",
    "starve rows": " points: points wait and none is delivered",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A virtual line, a server that takes everything, and a configuration for both."""

    directory: Path
    server: ScriptedServer

    @property
    def config(self) -> Path:
        return self.directory / "logger.toml"

    @property
    def trigger(self) -> Path:
        return self.directory / "trigger"

    def logger(self, fault: str, **env: str) -> RunningLogger:
        program = [sys.executable, "-m", "tests.dying", fault, str(self.trigger)]
        return RunningLogger(self.config, env=env, program=program)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    site = virtual_site(7, start=NOON)
    line = VirtualLine(site.meters, clock=VirtualClock(NOON), paced=False)
    with line, ScriptedServer() as server:
        (tmp_path / "token").write_text("the-token")
        text = CONFIG.format(line=line.start_tcp(), url=server.url, metrics=free_port())
        (tmp_path / "logger.toml").write_text(text)
        yield Place(tmp_path, server)


def _counts(state: dict[str, Any]) -> dict[str, int]:
    """Return what grows as long as everything goes on."""
    return {
        "readings": state["readings"],
        "requests": state["buses"][0]["requests"],
        "main": state["delivery"]["main"]["delivered"],
        "fast": state["delivery"]["fast"]["delivered"],
    }


def _going_on(place: Place) -> None:
    """Wait until everything goes on."""
    first = wait_until(lambda: _answer(place), PATIENCE_S)
    wait_until(lambda: _beyond(place, _counts(first)), PATIENCE_S)


def _answer(place: Place) -> dict[str, Any] | None:
    """Return what `status --json` prints; the socket is faster to ask than the command."""
    with contextlib.suppress(StatusError):
        return ask(place.directory / "buffer.sqlite")
    return None


def _beyond(place: Place, before: dict[str, int]) -> bool:
    state = _answer(place)
    return state is not None and all(_counts(state)[name] > before[name] for name in before)


def _balanced(place: Place) -> None:
    report = verify(place.directory / "buffer.sqlite")
    assert report.problems == ()
    assert report.books is not None
    assert report.books.balanced


@pytest.mark.parametrize("fault", RESTARTED)
def test_a_thread_that_ended_is_started_again_and_told(place: Place, fault: str) -> None:
    with place.logger(f"end {fault}") as logger:
        _going_on(place)
        wait_until(lambda: logger.status()["exit"] == 0)
        place.trigger.touch()
        logger.wait_for("ended; it is started again")
        _going_on(place)
        state = logger.status()
        assert state["exit"] == 1
        assert not state["healthy"]
        told = [one for one in state["problems"] if one.startswith("the thread of ")]
        assert told  # a lane's thread each, where there are several
        assert all(re.match(f"the thread of {RESTARTED[fault]}", one) for one in told), told
        assert all("was started again" in problem for problem in told)
        # Nothing that the thread had in hand is left lying.
        wait_until(lambda: _waiting(place) < 60, PATIENCE_S)
    _balanced(place)


@pytest.mark.parametrize("fault", FATAL)
def test_what_cannot_go_on_ends_the_process(place: Place, fault: str) -> None:
    logger = place.logger(fault)
    logger.start()
    try:
        _going_on(place)
        place.trigger.touch()
        assert logger.process.wait(PATIENCE_S) == 1
    finally:
        logger.kill()
    assert [text for text in logger.messages() if FATAL[fault] in text], logger.messages()
    place.trigger.unlink(missing_ok=True)
    if not fault.startswith("end"):
        return
    with place.logger(fault):  # as the service manager does
        _going_on(place)
    _balanced(place)


@pytest.mark.parametrize(
    "fault", ["hang bus", "hang deliver", "hang buffer", "hang main", "starve rows"]
)
def test_a_thread_that_hangs_is_told_before_the_process_ends(place: Place, fault: str) -> None:
    with place.logger(fault, DYING_END_S="3600") as logger:  # time enough to be asked
        _going_on(place)
        place.trigger.touch()
        state = wait_until(lambda: _unwell(place), PATIENCE_S)
        assert not state["healthy"]  # what the exit code of `status` is made of
        logger.kill()


def _waiting(place: Place) -> int:
    state = _answer(place)
    return state["buffer"]["waiting"] if state is not None else 1_000_000


def _unwell(place: Place) -> dict[str, Any] | None:
    state = _answer(place)
    signs = ("no sign of life", "none is delivered")
    told = state is not None and any(
        sign in problem for problem in state["problems"] for sign in signs
    )
    return state if told else None


def test_a_lane_stands_still_only_while_it_could_get_on() -> None:
    lane = Progress()

    def late(moved: int, now: float, can: bool = True) -> float:
        return lane.late_s(moved, can=can, may_take_s=100.0, now=now)

    assert late(0, 0.0, can=False) == 0.0  # nothing waits, or the server is away
    assert late(0, 500.0) == 0.0  # from now on
    assert late(0, 560.0) == -40.0
    assert late(0, 630.0) == 30.0
    assert late(1, 631.0) == 0.0
    assert late(1, 740.0) == 9.0
    assert late(1, 741.0, can=False) == 0.0
    assert late(1, 742.0) == 0.0


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_process_that_was_stopped_for_long_does_not_end_itself() -> None:
    clock = Clock()
    late = [0.0]
    watch = Watch([Part("bus", lambda: late[0])], clock=clock)
    assert watch.refresh() == ""
    clock.now += 500.0
    late[0] = 500.0  # every thread is late after that
    assert watch.refresh() == ""
    assert watch.problems() == []
    for _ in range(60):
        clock.now += 1.0
        late[0] += 1.0
        reason = watch.refresh()
    assert "bus: no sign of life" in reason


def test_different_tasks_one_after_another_are_no_hang() -> None:
    clock = Clock()
    late = [0.0]
    watch = Watch([Part("bus", lambda: late[0])], clock=clock)
    for turn in range(300):
        clock.now += 1.0
        late[0] = turn % 3 + 0.1
        assert watch.refresh() == ""
        assert watch.problems() == []


def test_a_new_start_is_a_problem_for_ten_minutes() -> None:
    clock = Clock()
    late = [math.inf]
    watch = Watch([Part("bus", lambda: late[0], lambda: late.__setitem__(0, 0.0))], clock=clock)
    assert "bus: ended" in watch.problems()
    assert watch.refresh() == ""
    clock.now += 30.0
    assert watch.refresh() == ""
    assert watch.problems() == ["bus: ended 30 s ago and was started again"]
    clock.now += 600.0
    assert watch.refresh() == ""
    assert watch.problems() == []
