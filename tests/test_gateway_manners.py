"""Gateways that answer in another name, too early, or for every address alike."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from logger import models
from logger.bus import Bus
from logger.bus.belated import Belated
from logger.bus.elapsed import elapsed
from logger.bus.frames import Unsolicited
from logger.cli import app
from logger.config.load import load_config
from logger.domain.errors import (
    BusError,
    GarbledError,
    ModeError,
    PortError,
    RefusedError,
    SilentError,
)
from logger.meter.state import StateStore
from logger.models import Job
from logger.models.plan import Block
from logger.simulate.writing import Refusal
from logger.survey.check import check_bus
from logger.survey.finding import Finding
from logger.survey.scan import line_config, sweep
from tests.engines.process import free_port
from tests.gateways import Gateway, asked, refused, scene, whole
from tests.lines import (
    Script,
    answer_to,
    bus_config,
    honest,
    meter_config,
    scripted,
    seal,
    words_at,
)
from tests.readers import NOW, NOW_MS, Clock, real_meter
from tests.running import wait_until

SHORT, FAST = Block(0x4000, 2), Block(0x5002, 48)
METER = real_meter()


def meter(request: bytes) -> bytes:
    """Return what a PRO380 answers to an RTU frame, whatever its address."""
    place = asked(request)
    try:
        return answer_to(request, METER.read_words(place.address, place.count, NOW))
    except Refusal as refusal:
        return refused(request, refusal.code)


def over_tcp(answer: Callable[[bytes], bytes], unit: int | None = None) -> Script:
    """Answer Modbus TCP with the RTU frame that `answer` makes, in the name of `unit`."""

    def script(request: bytes) -> Iterator[bytes]:
        body = answer(seal(*request[6:]))[:-2]
        body = body[:1] + body[1:] if unit is None else bytes((unit,)) + body[1:]
        yield request[:4] + len(body).to_bytes(2, "big") + body

    return script


def configured(tmp_path: Path, port: str, *addresses: int, timeout: str = "5s") -> Path:
    file = tmp_path / "logger.toml"
    lines = ['[site]\nname = "home"\n[buffer]\npath = "b.sqlite"']
    lines += [f'[[bus]]\nname = "line"\nport = "{port}"\ntimeout = "{timeout}"']
    lines += [
        f'[[bus.meter]]\nname = "m{at}"\nmodel = "pro380"\naddress = {at}\nrole = "grid"'
        for at in addresses
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def checked(file: Path) -> list[Finding]:
    config = load_config(file)
    known = {name: models.load(name) for name in models.available()}
    (bus,) = config.bus
    return list(check_bus(config, bus, known, StateStore(file.parent / "states")))


# The name in which a gateway answers.


@pytest.mark.parametrize("unit", [0, 255])
def test_a_gateway_that_names_no_unit_is_read_from_the_first_question_on(unit: int) -> None:
    with scripted(over_tcp(honest, unit)) as line:
        bus = Bus(bus_config(f"tcp://127.0.0.1:{line.port}", timeout=5.0), Clock())
        assert bus.read(3, FAST) == words_at(FAST.address, FAST.count)
        assert len(line.requests) == 3  # one answer in no name may be anybody's
        assert len({request[:2] for request in line.requests}) == 3
        line.kick()
        assert bus.read(4, SHORT) == words_at(SHORT.address, SHORT.count)
        bus.close()


def test_a_gateway_that_names_no_unit_now_and_then_is_not_believed_then() -> None:
    units = iter((None, 0, 0, 0, 0))
    with scripted(lambda request: over_tcp(honest, next(units))(request)) as line:
        bus = Bus(bus_config(f"tcp://127.0.0.1:{line.port}", timeout=5.0), Clock())
        bus.read(1, FAST)
        for _ in range(4):
            with pytest.raises(GarbledError, match="in the name of unit 0, asked was 1"):
                bus.read(1, FAST)
        assert len(line.requests) == 5
        bus.close()


def test_a_write_is_not_sent_again_to_find_out_in_whose_name_a_gateway_answers() -> None:
    with scripted(over_tcp(lambda request: request, 0)) as line:
        bus = Bus(bus_config(f"tcp://127.0.0.1:{line.port}", timeout=5.0), Clock())
        with pytest.raises(GarbledError, match="in the name of unit 0"):
            bus.write(1, 0x4000, [7], 6)
        assert len(line.requests) == 1
        bus.close()


def test_check_names_the_unit_that_answers_in_place_of_the_meter(tmp_path: Path) -> None:
    with scripted(over_tcp(meter, 9)) as line:
        port = f"tcp://127.0.0.1:{line.port}"
        found = {one.about: one for one in checked(configured(tmp_path, port, 1))}
        assert "answers in the name of unit 9, asked was 1" in found["answer"].text
        assert "address = 9" in found["answer"].remedy
        with pytest.raises(GarbledError, match="in the name of unit 9"):
            sweep(line_config(port), [models.load("pro380")], range(10, 30), patience_s=5.0)


# One meter that answers at every address.


def test_one_meter_that_answers_at_two_addresses_is_found_out(tmp_path: Path) -> None:
    with scripted(over_tcp(meter)) as line:
        port = f"tcp://127.0.0.1:{line.port}"
        first, second = sweep(line_config(port), [models.load("pro380")], [1, 2], patience_s=5.0)
        assert not first.note
        assert "the serial number of address 1, too" in second.note
        found = checked(configured(tmp_path, port, 1, 2))
    twins = [one for one in found if one.about == "serial number" and one.verdict == "fail"]
    assert [one.subject for one in twins] == ["m2"]
    assert "that of m1 (address 1), too: it is one meter" in twins[0].text


# A meter that is exchanged.


def test_a_meter_exchanged_between_two_questions_is_asked_at_once_who_it_is(
    tmp_path: Path,
) -> None:
    """The new one is of another model, whose counters pass for those of the old one."""
    with scene(tmp_path, timeout=5.0) as there:
        there.gateway.meter = real_meter("grow-701")
        reader = there.reader(meter_config(model="grow-701"))
        for _ in range(3):
            assert whole(there.round(reader))
            assert reader.wants() == ()
        there.gateway.meter = real_meter("ambition-2pu-ct")
        reader.read(Job.SLOW, NOW_MS)
        assert reader.wants() == (Job.IDENTITY,)
        _, slow, fast = there.round(reader)
        assert not slow.values
        assert not fast.values
        assert "not that of a GROW 701" in str(reader.error)


# A gateway that gives the meter up before its answer comes.


def test_the_answer_that_a_gateway_hands_on_behind_its_exception_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes as an RTU frame; that it will come is learned from the first one."""
    gateway = Gateway()
    gateway.mood = lambda request: refused(request, 11) + meter(request)
    with scene(tmp_path, gateway, timeout=5.0) as there, caplog.at_level(logging.WARNING):
        reader = there.reader()
        there.round(reader)
        for _ in range(3):
            assert whole(there.round(reader))
    (told,) = [one.message for one in caplog.records if "does not answer, and" in one.message]
    assert "set the time that the gateway itself waits" in told


def test_the_same_over_modbus_tcp_under_the_number_of_the_question() -> None:
    def script(request: bytes) -> Iterator[bytes | float | None]:
        # In one piece: the answer is there before the next question.
        frames = (over_tcp(lambda one: refused(one, 11)), over_tcp(honest))
        yield b"".join(
            part for frame in frames for part in frame(request) if isinstance(part, bytes)
        )

    with scripted(script) as line:
        bus = Bus(bus_config(f"tcp://127.0.0.1:{line.port}", timeout=5.0), Clock())
        with pytest.raises(SilentError):
            bus.read(1, FAST)
        for block in (SHORT, FAST, SHORT):
            assert bus.read(1, block) == words_at(block.address, block.count)
        bus.close()


def test_a_meter_that_is_silent_behind_its_gateway_is_waited_for_once() -> None:
    belated = Belated("line")
    request, silence = seal(1, 3, 0x50, 2, 0, 48), seal(1, 0x83, 11)
    assert not belated.goes_on(silence, request, 0.5)
    belated.unsolicited([Unsolicited(1, 2)], 1.0)  # an answer to something else
    assert not belated.goes_on(silence, request, 0.5)
    belated.unsolicited([Unsolicited(1, 48)], 2.0)
    assert belated.goes_on(silence, request, 0.5)
    belated.came(1, 0.75, 3.0)
    (said,) = belated.problems(4.0)
    assert "says after 0.50 s" in said
    assert "comes 0.75 s after the question" in said
    assert belated.goes_on(silence, request, 0.5)
    belated.in_vain(1)
    assert not belated.goes_on(silence, request, 0.5)
    assert not belated.goes_on(seal(1, 0x83, 2), request, 0.5)  # the meter's own refusal
    assert belated.problems(602.9)  # told for ten minutes
    assert not belated.problems(603.0)


def test_only_the_meter_whose_answer_came_behind_the_exception_is_waited_for() -> None:
    belated = Belated("line")
    questions = {at: seal(at, 3, 0x50, 2, 0, 48) for at in (1, 7, 8)}

    def goes_on(address: int, code: int = 11) -> bool:
        return belated.goes_on(seal(address, 0x83, code), questions[address], 0.5)

    assert not goes_on(7)
    belated.unsolicited([Unsolicited(1, 48)], 1.0)  # of another meter, as many registers
    assert not belated.problems(1.0)
    assert not goes_on(1)
    for address in (8, 7):
        assert not goes_on(address)
        belated.unsolicited([Unsolicited(address, 48)], 2.0)
    (said,) = belated.problems(3.0)
    assert "address 7 does not answer, and its answer comes afterwards" in said
    belated.unsolicited([Unsolicited(7, 48)], 500.0)  # once more: to no question any more
    assert not belated.problems(602.0)
    assert goes_on(7, 10)
    assert not goes_on(7, 2)  # the meter's own refusal
    write = seal(7, 6, 0x40, 0, 0, 5)
    assert not belated.goes_on(seal(7, 0x86, 11), write, 0.5)
    belated.came(7, 0.75, 700.0)
    belated.unsolicited([Unsolicited(7, 48)], 701.0)
    assert "comes 0.75 s after the question" in belated.text(702.0)
    belated.in_vain(7)
    assert not goes_on(7)
    assert goes_on(8)


def test_a_meter_that_fell_silent_behind_its_gateway_is_waited_for_once() -> None:
    ends = iter((True, True, False, True))

    def script(request: bytes) -> list[bytes]:
        silence = refused(request, 11)
        return [silence + honest(request) if next(ends) else silence]

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=2.0), Clock())
        with pytest.raises(SilentError):
            bus.read(7, FAST)
        assert bus.read(7, FAST) == words_at(FAST.address, FAST.count)
        assert "s after the question" in bus.belated.text(elapsed())
        for _ in range(2):  # waited for in vain, and then not waited for
            with pytest.raises(SilentError, match="the gateway says"):
                bus.read(7, FAST)
        assert len(line.requests) == 4
        bus.close()


def test_an_answer_that_comes_before_that_of_another_meter_shows_that_its_own_is_late() -> None:
    first: list[bytes] = []

    def script(request: bytes) -> list[bytes]:
        if request[0] == 2:
            return [honest(first[0]) + honest(request)]
        first.append(request)
        return [refused(request, 10) + (honest(request) if len(first) > 1 else b"")]

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=5.0), Clock())
        with pytest.raises(SilentError):
            bus.read(7, FAST)
        assert bus.read(2, SHORT) == words_at(SHORT.address, SHORT.count)
        assert "address 7" in bus.belated.text(elapsed())
        assert bus.read(7, FAST) == words_at(FAST.address, FAST.count)
        bus.close()


def test_what_a_gateway_says_of_a_meter_is_told_by_check_and_scan(tmp_path: Path) -> None:
    with scripted(over_tcp(lambda request: refused(request, 11))) as line:
        port = f"tcp://127.0.0.1:{line.port}"
        found = {one.about: one for one in checked(configured(tmp_path, port, 1))}
        assert "the gateway says that the meter does not answer" in found["answer"].text
        assert "socket://" not in found["answer"].remedy
        with pytest.raises(SilentError, match="the gateway says"):
            sweep(line_config(port), [models.load("pro380")], [1, 2], patience_s=5.0)


# A gateway that connects to this machine.


def test_commands_wait_for_a_gateway_that_connects_to_this_machine(tmp_path: Path) -> None:
    """It comes long after the time that an answer may take."""
    number = free_port()
    file = configured(tmp_path, f"listen://127.0.0.1:{number}", 1, timeout="1s")
    for command, wanted in (("read", "22091039"), ("settings show", "22091039")):
        dialled = threading.Thread(target=dial_in, args=(number, 2.5))
        dialled.start()
        done = CliRunner().invoke(app, [*command.split(), "m1", "--config", str(file)])
        dialled.join()
        assert wanted in done.output, (command, done.exception)


def dial_in(number: int, after_s: float) -> None:
    """Connect so long after somebody listens, and answer as a meter until that one leaves."""
    wait_until(lambda: listens(number))
    time.sleep(after_s)
    with socket.create_connection(("127.0.0.1", number)) as line:
        while request := line.recv(300):
            line.sendall(meter(request))


def listens(number: int) -> bool:
    wanted = f"0100007F:{number:04X} 00000000:0000 0A"
    return wanted in Path("/proc/net/tcp").read_text(encoding="ascii")


def test_a_port_without_rfc_2217_is_told_from_a_gateway_that_is_off(tmp_path: Path) -> None:
    with scripted(lambda _: []) as line:
        bus = Bus(bus_config(f"rfc2217://127.0.0.1:{line.port}", timeout=0.1))
        with pytest.raises(PortError) as caught:
            bus.open()
    assert "RFC 2217" in caught.value.hint
    assert "switched on" not in caught.value.hint


def test_a_busy_gateway_is_no_other_device(tmp_path: Path) -> None:
    with scripted(lambda request: [refused(request, 6)]) as line:
        port = f"socket://127.0.0.1:{line.port}"
        found = {one.about: one for one in checked(configured(tmp_path, port, 1))}
        assert "model" not in found
        assert "exception 6 (busy)" in found["answer"].text
        with pytest.raises(RefusedError, match="busy"):
            sweep(line_config(port), [models.load("pro380")], [1], patience_s=5.0)


# What the bytes of a gateway show.


def test_a_scan_of_a_gateway_in_the_wrong_mode_ends_with_its_first_answer() -> None:
    refusal = bytes.fromhex("00 01 00 00 00 03 01 83 0b")
    with scripted(lambda _: [refusal]) as line:
        port = f"socket://127.0.0.1:{line.port}"
        with pytest.raises(ModeError, match="cannot be believed") as caught:
            sweep(line_config(port), [models.load("pro380")], range(1, 10))
        assert f"tcp://127.0.0.1:{line.port}" in caught.value.hint
        assert len(line.requests) == 1


def test_what_a_line_says_to_every_address_is_no_meter() -> None:
    login = b"Login incorrect\r\nUsername: "
    with scripted(lambda _: [login]) as line:
        port = f"socket://127.0.0.1:{line.port}"
        with pytest.raises(GarbledError, match="4c 6f 67 69 6e"):
            sweep(line_config(port), [models.load("pro380")], [1, 2, 3])
        assert len(line.requests) == 3
    with scripted(lambda one: [login + (meter(one) if one[0] == 2 else b"")]) as line:
        found = sweep(
            line_config(f"socket://127.0.0.1:{line.port}"), [models.load("pro380")], [1, 2, 3]
        )
    assert [one.address for one in found] == [2]


def test_a_connection_that_ends_over_a_silent_meter_costs_no_other_question() -> None:
    """The gateway ends connections after some questions without an answer."""
    ends = iter((True,))

    def script(request: bytes) -> Iterator[bytes | None]:
        if request[0] == 3 and next(ends, False):
            yield None
        if request[0] != 2:
            yield honest(request)

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=5.0), Clock())
        assert bus.read(1, SHORT) == words_at(SHORT.address, SHORT.count)
        line.kick()
        wait_until(lambda: not line.connected)
        with pytest.raises(SilentError):
            bus.read(2, SHORT, 0.05)
        assert bus.read(3, SHORT) == words_at(SHORT.address, SHORT.count)
        bus.close()
    assert line.connections == 3


def test_answers_that_are_all_late_are_not_laid_on_speed_and_parity() -> None:
    """Each is the one to the question before, of another length."""
    before = [honest(seal(1, 3, 0x40, 0, 0, 7))]

    def script(request: bytes) -> Iterator[bytes]:
        before.append(honest(request))
        yield before.pop(0)

    with scripted(script) as line:
        bus = Bus(bus_config(line.port, timeout=2.0), Clock())
        with pytest.raises(BusError) as caught:
            bus.read(1, FAST)
        bus.close()
    assert "late" in str(caught.value)
    assert "raise the timeout" in caught.value.hint
    assert "parity" not in str(caught.value)


@pytest.mark.parametrize(("spoilt", "code"), [(range(1), 0), (range(1000), 1)])
def test_read_tries_again_and_says_what_was_not_read(
    tmp_path: Path, spoilt: range, code: int
) -> None:
    """The identity job is spoilt, for a moment or for good."""
    numbers = count()

    def answer(request: bytes) -> bytes:
        good = meter(request)
        identity = asked(request).address < 0x5000
        return good[:-1] if identity and next(numbers) in spoilt else good

    with scripted(lambda request: [answer(request)]) as line:
        file = configured(tmp_path, f"socket://127.0.0.1:{line.port}", 1, timeout="2s")
        done = CliRunner().invoke(app, ["read", "m1", "--config", str(file)])
    assert done.exit_code == code, done.output
    if code == 0:
        assert "22091039" in done.stdout
    else:
        assert "cannot be believed" in f"{done.output}{done.exception}"
