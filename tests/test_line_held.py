"""What was read is held until another master would have been noticed, and read again if so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from logger.bus import WATCH_S, Bus
from logger.domain.errors import RefusedError
from logger.domain.quantity import SERIAL, Quantity
from logger.latest.latest import SITE
from logger.meter.reading import Reading
from logger.meter.session import MeterReader
from logger.meter.state import StateStore
from logger.models import Job, load
from logger.models.plan import Block
from logger.runtime.app import App
from logger.simulate import VirtualMeter
from logger.simulate.writing import Refusal
from tests.gateways import asked, refused
from tests.lines import Script, ScriptedLine, answer_to, bus_config, meter_config, seal
from tests.readers import NOW, NOW_MS, Clock, fixed_meter, real_meter, truth
from tests.running import wait_until
from tests.share_rig import bus, config_of
from tests.test_line_first_moments import FAST, RIGHT, SLOW, ours, theirs, wrong

LATE_S = 10 * WATCH_S  # the first moments on the line are over


def reader_of(
    line: ScriptedLine,
    clock: Clock,
    model: str = "pro380",
    states: StateStore | None = None,
    *,
    busy: bool = True,
) -> MeterReader:
    """Return a reader as a running logger has it; `busy` tells that the next job waits."""
    meter = meter_config(1, model)
    one = Bus(bus_config(line.port, meter, timeout=4.0), clock)
    one.sharing.watch.seconds, one.sharing.watch.wanted = WATCH_S, lambda: busy
    one.sharing.watch.begin()
    clock.now += LATE_S
    return MeterReader(one, meter, load(model), lambda: NOW_MS, states=states, clock=clock)


def test_our_answer_left_over_is_found_though_the_next_job_begins_at_once() -> None:
    left: list[bytes] = []

    def script(request: bytes) -> Iterator[bytes]:
        if asked(request) == FAST and len(line.requests) == 1:
            left.append(ours(request))
            yield theirs(request, FAST)
        else:
            yield b"".join(left) + ours(request)  # at once, however slow this machine is
            left.clear()

    clock, taken, words = Clock(), list[Reading](), list[Block]()
    with ScriptedLine(script) as line:
        reader = reader_of(line, clock)
        reader.tell(lambda block, _words, _at: words.append(block))
        reader.hand_on(reader.read(Job.FAST, NOW_MS), taken.append)
        assert (taken, words, reader.last_good) == ([], [], None)
        reader.hand_on(reader.read(Job.SLOW, NOW_MS), taken.append)
        reader._bus.close()
    first, second = taken
    assert not first.values
    assert "another master" in str(first.failures[-1].error)
    assert second.values
    assert not wrong(second)
    assert reader.wants() == (Job.FAST,)
    assert Job.FAST not in reader.last_of
    assert (reader.reads, reader.errors) == (1, 1)
    assert words == [SLOW]


def test_a_question_that_a_gateway_lost_is_found_out_by_the_next_one_of_the_other() -> None:
    """Where each value takes a question as short as those of others."""
    meter = fixed_meter("pro380-legacy")
    right = truth(meter)
    block, other = Block(0x2068, 2), Block(0x206C, 2)

    def held(request: bytes, place: Block) -> bytes:
        return answer_to(request, meter.read_words(place.address, place.count, NOW))

    def script(request: bytes) -> Iterator[bytes]:
        place = asked(request)
        lost = place == block and not begins  # the gateway had the other's at that moment
        again = bool(begins) and len(line.requests) == begins + 1  # the other asks again
        yield held(request, other) * again + held(request, other if lost else place)

    clock, taken, begins = Clock(), list[Reading](), 0
    with ScriptedLine(script) as line:
        reader = reader_of(line, clock, "pro380-legacy")
        reader.hand_on(reader.read(Job.FAST, NOW_MS), taken.append)
        assert taken == []
        begins = len(line.requests)
        clock.now += 1.0
        for _ in range(2):
            reader.hand_on(reader.read(Job.FAST, NOW_MS), taken.append)
            clock.now += WATCH_S
        reader.hand_on(reader.read(Job.FAST, NOW_MS), taken.append)
        reader._bus.close()
    assert not taken[0].values
    assert all(one.values for one in taken[1:])
    assert not any(right[k] != v for one in taken for k, v in one.values.items())
    assert len(taken) == 4  # closing the line lets go of the last one


def test_somebody_elses_request_spoils_an_answer_of_its_length() -> None:
    """On the same wires ours may be lost, so that theirs is the only answer."""

    def script(request: bytes) -> Iterator[bytes]:
        if asked(request) == FAST and len(line.requests) == 1:
            foreign = seal(1, 3, *(FAST.address + 2).to_bytes(2, "big"), 0, FAST.count)
            yield foreign + theirs(request, FAST)
        else:
            yield ours(request)

    clock = Clock()
    with ScriptedLine(script) as line:
        reader = reader_of(line, clock)
        reading = reader.read(Job.FAST, NOW_MS)
        reader._bus.close()
    assert reading.values
    assert not wrong(reading)


def test_who_is_not_believed_is_not_taken_for_the_meter(tmp_path: Path) -> None:
    """Its serial number is not kept, nor is there news of a new meter."""
    states, clock, taken = StateStore(tmp_path), Clock(), list[Reading]()
    lying, stray = True, 0

    def script(request: bytes) -> Iterator[bytes]:
        nonlocal stray
        answer = right(request)
        if asked(request) == number and lying:
            words = held_words(request)
            words[register.address - number.address] ^= 0x0011
            answer = answer_to(request, words)
        yield (answer_to(request, [0] * stray) if stray else b"") + answer
        stray = 0

    register = load("pro380").by_quantity[SERIAL]
    with ScriptedLine(script) as line:
        reader = reader_of(line, clock, states=states)
        (number,) = (one for one in reader.blocks(Job.IDENTITY) if one.holds(register))
        reader.hand_on(reader.read(Job.IDENTITY, NOW_MS), taken.append)
        lying, stray = False, number.count  # the other asks again
        reader.hand_on(reader.read(Job.FAST, NOW_MS), taken.append)
        assert states.load("m1") is None
        reader.hand_on(reader.read(Job.IDENTITY, NOW_MS), taken.append)
        reader._bus.close()
    known = states.load("m1")
    assert known is not None
    assert known.serial == RIGHT[SERIAL]
    assert [bool(one.values) for one in taken] == [False, True, True]


@pytest.mark.parametrize("young", [True, False])
def test_a_question_out_of_turn_is_not_answered_with_what_may_be_somebody_elses(
    young: bool,
) -> None:
    block, now = Block(0x500C, 6), True

    def script(request: bytes) -> Iterator[bytes]:
        yield theirs(request, block) * now + ours(request)

    clock, words = Clock(), list[Block]()
    with ScriptedLine(script) as line:
        reader = reader_of(line, clock)
        reader.tell(lambda block, _words, _at: words.append(block))
        if young:
            reader._bus.sharing.watch.seconds = 3 * LATE_S
            reader._bus.sharing.watch._until = None
        with pytest.raises(RefusedError) as refused:
            reader.fetch(block, 2.0)
        assert refused.value.code == 6
        assert words == []
        assert len(line.requests) == (0 if young else 1)
        clock.now, now = clock.now + 3 * LATE_S, False
        assert list(reader.fetch(block, 2.0)) == list(held_words(seal(1, 3, 0x50, 0x0C, 0, 6)))
        assert words
        reader._bus.close()


def right(request: bytes) -> bytes:
    """Return what the meter answers or refuses."""
    try:
        return ours(request)
    except Refusal as refusal:
        return refused(request, refusal.code)


def held_words(request: bytes) -> list[int]:
    place = asked(request)
    meter = fixed_meter("pro380")
    return list(meter.read_words(place.address, place.count, NOW))


def test_a_running_logger_reads_again_what_it_did_not_believe(tmp_path: Path) -> None:
    """An hour before the turn of the job would come."""
    begun, repeated = False, False

    def script(request: bytes) -> Iterator[bytes]:
        nonlocal begun, repeated
        if asked(request) == SLOW and not begun:
            begun = True
            yield theirs(request, SLOW)  # ours was lost
            return
        again = asked(request) == FAST and begun and not repeated  # the other asks again
        repeated |= again
        yield theirs(request, SLOW) * again + right(request)

    clock, readings = Clock(), list[Reading]()
    with ScriptedLine(script) as line:
        meters = [{"name": "m1", "model": "pro380", "address": 1}]
        line_config = bus("line", f"socket://127.0.0.1:{line.port}", meters, timeout=4.0)
        intervals = {"fast": 0.5, "slow": 3600.0, "identity": 3600.0}
        app = App(config_of(tmp_path, [line_config], None, intervals), readings.append)
        app.buses[0].sharing.watch._clock = clock  # the first moments last until told
        app.start()

        def slow() -> list[Reading]:
            return [one for one in list(readings) if one.job is Job.SLOW]

        try:
            wait_until(lambda: repeated)
            assert not readings
            clock.now += 2 * WATCH_S
            wait_until(lambda: not app.refresh() and any(one.values for one in slow()))
        finally:
            app.stop()
    assert not slow()[0].values
    assert not any(map(wrong, readings))


@pytest.mark.parametrize("job", [Job.FAST, Job.SLOW])
def test_a_site_has_its_load_though_one_meter_is_held_for_longer_than_an_interval(
    tmp_path: Path, job: Job
) -> None:
    """A legacy PRO380 at the grid, whose short questions are held for 1.25 s."""
    grid, roof = real_meter("pro380-legacy"), real_meter()
    flow = Quantity("load_power" if job is Job.FAST else "load_energy")

    def script(meter: VirtualMeter) -> Script:
        def answered(request: bytes) -> Iterator[bytes]:
            place = asked(request)
            try:
                yield answer_to(request, meter.read_words(place.address, place.count, NOW))
            except Refusal as refusal:
                yield refused(request, refusal.code)

        return answered

    with ScriptedLine(script(grid)) as one, ScriptedLine(script(roof)) as two:
        buses = [
            bus(name, f"socket://127.0.0.1:{line.port}", [meter], timeout=4.0)
            for name, line, meter in (
                ("a", one, {"name": "house", "model": "pro380-legacy", "address": 1}),
                ("b", two, {"name": "roof", "model": "pro380", "address": 1}),
            )
        ]
        for made, role in zip(buses, ("grid", "pv"), strict=True):
            made["meter"][0]["role"] = role
        intervals = {"fast": 3600.0, "slow": 3600.0, "identity": 3600.0, str(job): 1.0}
        for made in buses:
            made["baudrate"] = 115200
        app = App(config_of(tmp_path, buses, None, intervals))
        app.start()
        try:
            wait_until(lambda: not app.refresh() and app.latest.value(SITE, flow) is not None)
        finally:
            app.stop()


def test_the_model_is_not_judged_by_an_answer_to_somebody_else_in_the_first_moments() -> None:
    """A product code of a GROW, where a PRO380 has none: nothing of it would be logged."""
    code, said = Block(0x4025, 1), 0

    def script(request: bytes) -> Iterator[bytes]:
        nonlocal said
        theirs = asked(request) == code and not said
        said += theirs
        yield answer_to(request, [0x0701]) if theirs else right(request)

    clock, taken = Clock(), list[Reading]()
    with ScriptedLine(script) as line:
        reader = reader_of(line, clock)
        watch = reader._bus.sharing.watch
        watch.seconds, watch._until = 0.2, None
        reader.hand_on(reader.read(Job.IDENTITY, NOW_MS), taken.append)
        assert said
        assert reader.wrong is None
        clock.now += LATE_S
        reader.hand_on(reader.read(Job.FAST, NOW_MS), taken.append)
        reader._bus.close()
        assert not reader._bus.sharing._marks  # nothing of it is waited for any more
    assert [bool(one.values) for one in taken] == [True, True]


def test_a_line_closed_in_its_first_moments_does_not_speak_of_another_master() -> None:
    taken = list[Reading]()
    with ScriptedLine(lambda request: [right(request)]) as line:
        reader = reader_of(line, Clock())
        reader._bus.sharing.watch._until = None
        reader.hand_on(reader.read(Job.FAST, NOW_MS), taken.append)
        assert taken == []
        reader._bus.close()
    (reading,) = taken
    assert not reading.values
    assert "closed before it was known" in str(reading.failures[-1].error)
    assert "another master" not in str(reader.error)
