"""The first answer to another master, before there was any sign of one: never a value of ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from logger.bus import WATCH_S, Bus, bus_of
from logger.bus.hints import no_answer
from logger.cli import app
from logger.meter.reading import Reading
from logger.meter.session import MeterReader
from logger.models import Job, load
from logger.models.plan import Block, plans
from logger.runtime.bell import Bell
from logger.runtime.schedule import Schedule
from logger.runtime.task import Task
from tests.configs import configuration
from tests.gateways import asked
from tests.lines import ScriptedLine, answer_to, bus_config, meter_config
from tests.readers import NOW, NOW_MS, Clock, fixed_meter, truth
from tests.running import PATIENCE_S, wait_until

METER = fixed_meter("pro380")
RIGHT = truth(METER)
(FAST,) = plans(load("pro380"))[Job.FAST]
(SLOW,) = plans(load("pro380"))[Job.SLOW]


def ours(request: bytes) -> bytes:
    place = asked(request)
    return answer_to(request, METER.read_words(place.address, place.count, NOW))


def theirs(request: bytes, block: Block) -> bytes:
    """Return the answer to somebody else, as long as ours to `block`: values like those,
    each at the place of the next."""
    words = METER.read_words(block.address, block.count, NOW)
    return answer_to(request, [*words[2:], *words[:2]])


def line_of(line: ScriptedLine, bus: Bus | None = None, clock: Clock | None = None) -> MeterReader:
    config = bus_config(line.port, meter_config(), timeout=4.0)
    bus = bus or Bus(config, clock or time.monotonic)
    meter = bus.config.meter[0]
    return MeterReader(bus, meter, load("pro380"), lambda: NOW_MS, clock=clock or time.monotonic)


def wrong(reading: Reading) -> dict[object, object]:
    return {k: v for k, v in reading.values.items() if RIGHT[k] != v}


def test_what_was_read_first_is_held_until_others_would_have_been_heard() -> None:
    """The gateway loses our question over that of the other, so that no trace is left of
    it; a second later the other asks again."""
    clock, taken = Clock(), list[Reading]()

    def script(request: bytes) -> Iterator[bytes]:
        if asked(request) == SLOW:
            yield theirs(request, SLOW)
        elif asked(request) == FAST:
            yield theirs(request, SLOW) + ours(request)
        else:
            yield ours(request)

    with ScriptedLine(script) as line:
        reader = line_of(line, clock=clock)
        watch = reader._bus.sharing.watch
        watch.seconds, watch.wanted = WATCH_S, lambda: True
        first = reader.read(Job.SLOW, NOW_MS)
        assert wrong(first)  # nobody can know it yet
        reader.hand_on(first, taken.append)
        assert taken == []
        for _ in range(3):
            clock.now += 0.6
            reader.hand_on(reader.read(Job.FAST, NOW_MS), taken.append)
        reader._bus.close()
    assert [one.job for one in taken] == [Job.SLOW, Job.FAST, Job.FAST, Job.FAST]
    assert not any(map(wrong, taken))
    assert not taken[0].values
    assert "another master" in str(taken[0].failures[-1].error)
    assert all(one.values for one in taken[1:])


def test_a_command_listens_before_it_believes_its_first_answer() -> None:
    copies = iter([True])

    def script(request: bytes) -> Iterator[bytes | float]:
        if asked(request) == FAST and next(copies, False):
            yield theirs(request, FAST)
            yield 0.02
            yield theirs(request, FAST)
        else:
            yield ours(request)

    with ScriptedLine(script) as line:
        bus = bus_of(bus_config(line.port, meter_config(), timeout=4.0))
        reading = line_of(line, bus).read(Job.FAST, NOW_MS)
        bus.close()
    assert reading.values
    assert not wrong(reading)


def test_a_setting_is_written_though_the_other_has_an_answer_that_says_it_is_set(
    tmp_path: Path,
) -> None:
    """The gateway loses our first question over that of the other, who asks again a moment
    later for a register that holds what ours is to be set to."""
    lcd, held, lost = 0x4010, [0x20], iter([True])

    def script(request: bytes) -> Iterator[bytes | float]:
        if request[1] == 6:
            held[0] = int.from_bytes(request[4:6], "big")
            yield request
        elif asked(request) == Block(lcd, 1) and next(lost, False):
            yield answer_to(request, [0x11])
            yield 0.3
            yield answer_to(request, [0x11])
        elif asked(request) == Block(lcd, 1):
            yield answer_to(request, held)
        else:
            yield ours(request)

    file = tmp_path / "logger.toml"
    with ScriptedLine(script) as line:
        port = f"socket://127.0.0.1:{line.port}"
        file.write_text(configuration(("house", "load"), port=port), encoding="utf-8")
        arguments = ["settings", "set", "house", "lcd_cycle_time", "11", "--yes"]
        done = CliRunner().invoke(app, [*arguments, "--config", str(file)])
    assert "LCD cycle time is 20 s, will be 11 s" in done.output, (done.output, done.exception)
    assert "Done: it was 20 s, it is 11 s" in done.output
    assert held == [0x11]


@pytest.mark.parametrize("scheme", ["tcp", "socket"])
def test_answers_with_numbers_need_no_watching(scheme: str) -> None:
    bus = bus_of(bus_config(f"{scheme}://127.0.0.1:1", meter_config()))
    assert bus.sharing.watch.seconds == (0.0 if scheme == "tcp" else WATCH_S)


def test_a_master_that_begins_later_is_found_out_while_nothing_waits_for_the_line() -> None:
    """Its first answer comes in the place of ours, which is then left over."""
    copied = False

    def script(request: bytes) -> Iterator[bytes | float]:
        nonlocal copied
        begins = asked(request) == FAST and len(line.requests) > 3 and not copied
        yield 0.5
        if begins:
            copied = True
            yield theirs(request, FAST)
            yield 0.01
        yield ours(request)

    with ScriptedLine(script) as line:
        reader = line_of(line)
        reader._bus.sharing.watch.wanted = lambda: False
        readings = [reader.read(Job.FAST, NOW_MS) for _ in range(5)]
        reader._bus.close()
    assert copied
    assert all(one.values for one in readings)
    assert not any(map(wrong, readings))


def test_nothing_is_listened_to_while_a_job_waits_for_the_line() -> None:
    with ScriptedLine(lambda request: [ours(request)]) as line:
        reader = line_of(line)
        watch = reader._bus.sharing.watch
        looks = 0

        def wanted() -> bool:
            nonlocal looks
            looks += 1
            return True

        watch.wanted = wanted
        for _ in range(3):
            assert reader.read(Job.FAST, NOW_MS).values
        reader._bus.close()
        assert looks == 3  # one a job, and none was listened for
        assert len(line.requests) == 3


def test_a_quiet_line_wakes_nobody_until_something_waits_for_it() -> None:
    """What would be heard is waited for, not looked for again and again."""
    looks, heard, done = 0, list[bool](), threading.Event()

    def script(request: bytes) -> Iterator[bytes | float]:
        yield 0.2  # so long, and more, it is listened to behind the answer
        yield ours(request)

    with ScriptedLine(script) as line:
        reader = line_of(line)
        watch = reader._bus.sharing.watch
        bell = Bell()
        schedule = Schedule(
            [Task("far", "bus line", 1e9, lambda _due: None)],
            {"bus line": lambda: heard.append(watch.listen_on(1e6))},
            {"bus line": bell},
        )

        def wanted() -> bool:
            nonlocal looks
            looks += 1
            return schedule.wanted("bus line")

        watch.wanted, watch.bell = wanted, bell.fileno()
        assert reader.read(Job.FAST, NOW_MS).values
        assert looks <= 2
        looks = 0
        schedule.start()
        schedule.lend("bus line", lambda: None)
        wait_until(lambda: looks > 0)
        schedule.lend("bus line", done.set)  # the line is listened to for days
        assert done.wait(PATIENCE_S)
        schedule.stop(PATIENCE_S)
        reader._bus.close()
    assert heard[0] is False


def test_the_time_of_a_job_is_without_what_was_listened_for() -> None:
    clock = Clock()

    def wait(seconds: float, _bell: int | None) -> bool:
        clock.now += seconds
        return False

    with ScriptedLine(lambda request: [ours(request)]) as line:
        reader = line_of(line, clock=clock)
        watch = reader._bus.sharing.watch
        watch.wanted, watch._wait = lambda: False, wait
        reading = reader.read(Job.FAST, NOW_MS)
        reader._bus.close()
    assert reading.values
    assert clock.now > Clock().now
    assert reading.elapsed_ms == 0


def test_an_answer_that_may_be_a_late_one_is_not_told_as_another_masters() -> None:
    """Shortly after a question got none: the timeout is named, too."""

    def script(request: bytes) -> Iterator[bytes]:
        if asked(request) != FAST:
            yield ours(request)
        elif sum(asked(one) == FAST for one in line.requests) > 1:
            yield ours(request) + theirs(request, FAST)

    with ScriptedLine(script) as line:
        bus = Bus(bus_config(line.port, meter_config(), timeout=2.0))
        bus.sharing.watch.wanted = lambda: False
        reading = line_of(line, bus).read(Job.FAST, NOW_MS)
        bus.close()
    assert not reading.values
    error = reading.failures[-1].error
    assert "an answer came late, or was one to another master's question" in str(error)
    assert "raise the timeout" in str(error)


def test_a_line_without_parity_is_told_as_one_says_it() -> None:
    config = bus_config("rfc2217://127.0.0.1:2217", meter_config(), parity="none")
    assert "baud with no parity" in no_answer(config, 1)
