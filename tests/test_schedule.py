"""When tasks run: on multiples of their interval, the most urgent first, never queued up."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from hypothesis import given
from hypothesis import strategies as st

from logger.runtime.schedule import Schedule, _Multiples, _Worker
from logger.runtime.task import Task

T0 = datetime(2026, 6, 21, 10, 30, 0, 123456, tzinfo=UTC)
PATIENCE_S = 300.0
NEVER_S = 1e9  # its multiples are in 2001 and 2033


class Turns:
    """Collects the turns of tasks and lets a test wait for a number of them."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self._changed = threading.Condition()

    def of(self, name: str) -> list[int]:
        return [due for other, due in self.seen if other == name]

    def take(self, name: str, due_ms: int) -> None:
        with self._changed:
            self.seen.append((name, due_ms))
            self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= count, PATIENCE_S)

    def wait_for(self, name: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.of(name), PATIENCE_S)


def test_fires_on_multiples_of_the_wall_clock() -> None:
    turns = Turns()
    task = Task("fast", "bus", 0.05, lambda due: turns.take("fast", due))
    schedule = Schedule([task])
    schedule.start()
    turns.wait(5)
    assert schedule.stop(PATIENCE_S)
    assert [due % 50 for due in turns.of("fast")] == [0] * len(turns.seen)
    gaps = {b - a for a, b in pairwise(turns.of("fast"))}
    assert all(gap % 50 == 0 for gap in gaps)


def test_the_most_urgent_task_goes_first_and_none_is_queued_twice() -> None:
    turns = Turns()
    gate = threading.Event()
    hold = threading.Event()

    def block(due: int) -> None:
        turns.take("identity", due)
        hold.set()
        assert gate.wait(PATIENCE_S)

    tasks = [
        Task("identity", "bus", NEVER_S, block, at_start=True),
        Task("slow", "bus", 2 * NEVER_S, lambda due: turns.take("slow", due), at_start=True),
        Task("fast", "bus", 0.05, lambda due: turns.take("fast", due)),
        Task("other", "elsewhere", 0.05, lambda due: turns.take("other", due)),
    ]
    schedule = Schedule(tasks)
    schedule.start()
    assert hold.wait(PATIENCE_S)
    before = turns.of("fast")  # none, but for one that was due while all this was started
    turns.wait(len(turns.seen) + 24)  # the other bus goes on meanwhile
    assert turns.of("fast") == before
    gate.set()
    turns.wait_for("slow")
    schedule.stop(PATIENCE_S)
    names = [name for name, _ in turns.seen if name != "other"]
    held = names[names.index("identity") : names.index("slow")]
    assert held[1] == "fast"  # it has the earlier deadline
    assert held.count("fast") < 12
    assert tasks[2].missed >= 1  # turns that passed while the line was busy are counted


def test_missed_turns_are_counted_exactly() -> None:
    task = Task("t", "bus", 5, lambda due: None)
    due = T0
    for jump in (0, 5, 5, 20, 5):
        due += timedelta(seconds=jump)
        task.begins(due)
    assert task.missed == 3
    task.forget()
    task.begins(due + timedelta(days=1))
    assert task.missed == 3


def test_a_turn_out_of_turn_stands_for_the_multiple_before_it() -> None:
    task = Task("t", "bus", 60, lambda due: None)
    minute = T0.replace(second=0, microsecond=0)
    task.begins(minute + timedelta(seconds=25))  # the start
    task.begins(minute + timedelta(seconds=120))
    assert task.missed == 1  # that of the full minute after the start
    task.begins(minute + timedelta(seconds=170))  # asked for
    task.begins(minute + timedelta(seconds=180))
    assert task.missed == 1


class Bench:
    """A worker that is told by hand what is due; a first task holds it until `let_go`."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.worker = _Worker()
        self._gate, self._held = threading.Event(), threading.Event()
        self.worker.start(BackgroundScheduler(), "bus")

    def task(self, name: str, interval_s: float = 2) -> Task:
        return Task(name, "bus", interval_s, lambda due: self.turns.take(name, due))

    def submit(self, task: Task, second: float) -> None:
        job = SimpleNamespace(args=(task,))
        self.worker.submit_job(job, [BEGIN + timedelta(seconds=second)])

    def hold(self, name: str = "hold") -> Task:
        def run(due: int) -> None:
            self.turns.take(name, due)
            self._held.set()
            assert self._gate.wait(PATIENCE_S)

        task = Task(name, "bus", 2, run)
        self.submit(task, 0)
        assert self._held.wait(PATIENCE_S)
        return task

    def let_go(self, turns: int) -> list[tuple[str, int]]:
        self._gate.set()
        self.turns.wait(turns)
        self.worker.shutdown()
        start = round(BEGIN.timestamp() * 1000)
        return [(name, (due - start) // 1000) for name, due in self.turns.seen]


BEGIN = datetime(2026, 6, 21, 10, 30, tzinfo=UTC)


def test_a_turn_waits_while_the_one_before_is_running() -> None:
    bench = Bench()
    task = bench.hold("late")
    bench.submit(task, 2)
    assert bench.let_go(2) == [("late", 0), ("late", 2)]
    assert task.missed == 0


def test_a_turn_that_has_not_begun_when_the_next_is_due_is_missed() -> None:
    bench = Bench()
    bench.hold()
    late, prompt = bench.task("late"), bench.task("prompt")
    bench.submit(late, 0)
    for second in (2, 4):
        bench.submit(prompt, second)
        bench.submit(late, second)
    # What was passed over keeps its place before what came later.
    assert bench.let_go(3) == [("hold", 0), ("late", 4), ("prompt", 4)]
    assert (late.missed, prompt.missed) == (2, 1)


def test_after_a_step_of_the_clock_nothing_waits_for_the_old_time() -> None:
    bench = Bench()
    bench.hold()
    now_s = (datetime.now(UTC) - BEGIN).total_seconds()
    bench.submit(bench.task("tomorrow"), now_s + 86_400)
    bench.worker.clock_stepped()
    bench.submit(bench.task("later", 3600), now_s)
    found = bench.let_go(3)
    assert [name for name, _ in found] == ["hold", "tomorrow", "later"]
    assert found[1][1] < now_s + 3600  # it is due by the new time


def test_a_fault_in_a_task_does_not_end_its_bus(caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns()

    def faulty(due: int) -> None:
        turns.take("faulty", due)
        raise RuntimeError("a bug")

    schedule = Schedule([Task("faulty", "bus", 0.05, faulty)])
    schedule.start()
    turns.wait(3)
    schedule.stop(PATIENCE_S)
    assert "faulty failed" in caplog.text


def test_a_task_that_hangs_is_named() -> None:
    gate, inside = threading.Event(), threading.Event()

    def hang(due: int) -> None:
        inside.set()
        gate.wait(PATIENCE_S)

    schedule = Schedule([Task("hanging", "bus", NEVER_S, hang, at_start=True)])
    schedule.start()
    assert inside.wait(PATIENCE_S)
    assert schedule.doing("bus") == "hanging"
    assert 0 < schedule.workers()["bus"]() < 3600
    assert not schedule.stop(0.01)
    gate.set()
    assert schedule.stop(PATIENCE_S)


@given(
    st.sampled_from([0.05, 0.1, 1, 5, 7, 60, 900, 3600]),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda d: d.replace(tzinfo=UTC)),  # noqa: DTZ001
)
def test_next_turn_is_the_next_multiple(interval: float, now: datetime) -> None:
    trigger = _Multiples(interval)
    step = timedelta(seconds=interval)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    due = trigger.get_next_fire_time(None, now)
    assert (due - epoch) % step == timedelta(0)
    assert now <= due < now + step
    after = trigger.get_next_fire_time(due, due)
    assert after - due == step
    # A clock set back by a day does not stop the readings for a day.
    back = due - timedelta(days=1)
    assert trigger.get_next_fire_time(due, back) - back < step


def test_what_is_lent_runs_when_no_task_waits_and_its_fault_ends_nothing() -> None:
    turns = Turns()
    gate, hold = threading.Event(), threading.Event()

    def block(due: int) -> None:
        hold.set()
        assert gate.wait(PATIENCE_S)
        turns.take("first", due)

    def fail() -> None:
        turns.take("fails", 0)
        raise RuntimeError("what is lent fails")

    tasks = [
        Task("first", "bus", NEVER_S, block, at_start=True),
        Task("second", "bus", NEVER_S, lambda due: turns.take("second", due), at_start=True),
    ]
    schedule = Schedule(tasks)
    schedule.start()
    assert hold.wait(PATIENCE_S)
    schedule.lend("bus", fail)
    schedule.lend("bus", lambda: turns.take("lent", 0))
    schedule.soon("second")  # due after those were lent, and before them all the same
    gate.set()
    turns.wait(4)
    schedule.stop(PATIENCE_S)
    names = [name for name, _ in turns.seen]
    assert names[:1] == ["first"]
    assert names.index("second") < names.index("fails") < names.index("lent")
    assert [task.missed for task in tasks] == [0, 0]


def test_all_tasks_of_a_round_have_their_turn_at_the_same_moment_and_in_their_order() -> None:
    turns = Turns()
    names = [f"meter {number}" for number in range(50)]
    tasks = [Task(one, "bus", 1, partial(turns.take, one)) for one in names]
    schedule = Schedule(tasks)
    schedule.start()
    turns.wait(100)
    schedule.stop(PATIENCE_S)
    first, second = turns.seen[:50], turns.seen[50:100]
    assert [name for name, _ in first] == [name for name, _ in second] == names
    assert {due for _, due in first} == {first[0][1]}
    assert {due for _, due in second} == {second[0][1]}
    later = second[0][1] - first[0][1]
    assert later >= 1000
    assert later % 1000 == 0
