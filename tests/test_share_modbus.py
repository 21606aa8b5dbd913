"""The Modbus server: what a unit answers is what its meter sent, whoever asks and how."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from logger.bus.frames import crc16
from logger.models import load
from logger.models.plan import Block, plans
from logger.share import demand
from logger.share.modbus import MOST_CLIENTS, ModbusServer
from logger.simulate import VirtualLine, quirks_named
from tests.engines.process import program
from tests.lines import ScriptedLine, honest, scripted
from tests.running import wait_until
from tests.share_rig import (
    NOON,
    Rig,
    bus,
    fixed_meter,
    floats,
    raw_client,
    receive,
    shared,
    still,
    words,
)
from tests.sockets import most_kept_for

MODELS = {1: "pro380", 2: "ambition-2pu-ct", 3: "pro380-legacy", 4: "grow-850"}
METERS = [
    {"name": f"m{address}", "model": model, "address": address} for address, model in MODELS.items()
]
NO_ANSWER, BUSY = 0x0B, 0x06


def a_line(models: dict[int, str] = MODELS) -> VirtualLine:
    meters = [fixed_meter(model, address) for address, model in models.items()]
    return VirtualLine(meters, clock=still, paced=False)


def port_of(line: VirtualLine) -> str:
    return f"socket://127.0.0.1:{line.start_tcp()}"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A logger with one meter of each map; it is not changed by tests."""
    line = a_line()
    place = tmp_path_factory.mktemp("share")
    buses, share = [bus("line", port_of(line), METERS)], {"line_share": 0.5}
    intervals = {"fast": 5.0, "slow": 60.0, "identity": 3600.0}
    with shared(place, buses, share, [line], intervals) as made:
        yield made


def held(rig: Rig, unit: int, block: Block) -> list[int]:
    """Return what the virtual meter holds."""
    (line,) = rig.lines
    meter = next(one for one in line.meters if one.address == unit)
    return list(meter.read_words(block.address, block.count, NOON))


@pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu"])
def test_pymodbus_reads_every_register_and_gets_what_the_meter_holds(rig: Rig, rtu: bool) -> None:
    rig.read_all()
    with rig.client(rtu=rtu) as client:
        for unit, model in MODELS.items():
            for register in load(model).registers:
                block = Block(register.address, register.length)
                got = words(client, unit, block.address, block.count, function=4 if rtu else 3)
                assert got == held(rig, unit, block), (unit, register)
            for blocks in plans(load(model)).values():
                for block in blocks:
                    assert words(client, unit, block.address, block.count) == held(rig, unit, block)


def test_half_a_value_and_a_block_over_a_gap_are_those_of_the_meter(rig: Rig) -> None:
    with rig.client() as client:
        for block in (Block(0x5013, 2), Block(0x5000, 50), Block(0x6000, 75), Block(0x4001, 3)):
            assert words(client, 1, block.address, block.count) == held(rig, 1, block)


def test_mbpoll_reads_a_unit(rig: Rig) -> None:
    mbpoll = program("mbpoll", "mbpoll")
    expected = floats(held(rig, 1, Block(0x500C, 6)))
    common = [
        "-0",
        "-B",
        "-1",
        "-a",
        "1",
        "-r",
        str(0x500C),
        "-c",
        "3",
        "-t",
        "4:float",
        "-o",
        "10",
    ]
    done = subprocess.run(
        [mbpoll, "-m", "tcp", "-p", str(rig.tcp), *common, "127.0.0.1"],
        capture_output=True,
        text=True,
        check=False,
    )
    got = [float(one) for one in re.findall(r"^\[\d+\]:\s+(\S+)", done.stdout, re.MULTILINE)]
    assert got == pytest.approx(expected, rel=1e-5), done.stdout + done.stderr


def test_the_poll_of_a_wallbox_is_answered(rig: Rig) -> None:
    """The frame 01 03 50 0C 00 06: the three currents of the meter at address 1."""
    rig.read_all()
    request = bytes.fromhex("01 03 50 0C 00 06")
    with raw_client(rig.rtu) as client:
        client.sendall(request + crc16(request))
        answer = receive(client, 17)
    data = b"".join(word.to_bytes(2, "big") for word in held(rig, 1, Block(0x500C, 6)))
    body = bytes((1, 3, 12)) + data
    assert answer == body + crc16(body)


def test_a_master_on_a_second_serial_port_is_answered(tmp_path: Path) -> None:
    mbpoll = program("mbpoll", "mbpoll")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with subprocess.Popen(
        [program("socat", "socat"), f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}"]
    ) as pair:
        try:
            wait_until(lambda: ours.exists() and theirs.exists())
            line = a_line({1: "pro380"})
            share = {"also": [str(ours)], "parity": "none"}
            with shared(tmp_path, [bus("line", port_of(line), METERS[:1])], share, [line]) as rig:
                rig.read_all()
                done = subprocess.run(
                    [mbpoll, "-m", "rtu", "-b", "9600", "-P", "none", "-0", "-B", "-1", "-a", "1",
                     "-r", str(0x5002), "-c", "3", "-t", "4:float", "-o", "10", str(theirs)],
                    capture_output=True,
                    text=True,
                    check=False,
                )  # fmt: skip
                found = re.findall(r"^\[\d+\]:\s+(\S+)", done.stdout, re.MULTILINE)
                expected = floats(held(rig, 1, Block(0x5002, 6)))
                assert [float(one) for one in found] == pytest.approx(expected, rel=1e-5), (
                    done.stdout + done.stderr
                )
        finally:
            pair.terminate()


# What costs the line, and what does not.


def asked(line: VirtualLine, unit: int, block: Block) -> int:
    """Return how often the meter was asked for `block`."""
    return line.requests[unit, 3, block.address, block.count]


def test_what_the_log_has_read_costs_the_line_nothing(rig: Rig) -> None:
    rig.read_all()
    (line,) = rig.lines
    block = Block(0x5014, 6)
    with rig.client() as client:
        for _ in range(50):
            assert words(client, 1, block.address, block.count) == held(rig, 1, block)
    assert asked(line, 1, block) == 0


def test_equal_requests_in_flight_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line holds back its answer until every client has asked."""
    monkeypatch.setattr(demand, "PATIENCE_S", 300.0)  # nobody is told "busy" meanwhile
    gate = threading.Event()
    block = Block(0x500A, 2)

    def script(request: bytes) -> Sequence[bytes]:
        if request[2:4] == block.address.to_bytes(2, "big"):
            gate.wait()
        return [honest(request)]

    with scripted(script) as line:
        port = f"socket://127.0.0.1:{line.port}"
        meter = {"name": "m1", "model": "pro380", "address": 1}
        slow = bus("line", port, [meter], timeout=300.0)
        # So long a question fits between readings that are as rare.
        meter |= {"fast": 86400.0, "slow": 86400.0, "identity": 86400.0}
        with shared(tmp_path, [slow | {"meter": [{"role": "load", **meter}]}], {}) as rig:
            (own,) = rig.app.buses
            wait_until(lambda: not own.sharing.watch.young)  # until then it is busy
            before = len(line.requests)
            clients = [raw_client(rig.tcp) for _ in range(12)]
            for number, client in enumerate(clients):
                head = number.to_bytes(2, "big") + bytes((0, 0, 0, 6))
                client.sendall(head + bytes((1, 3)) + bytes.fromhex("500A0002"))
            wait_until(lambda: rig.state()["requests"] >= len(clients))
            wait_until(lambda: len(held_back(line, block)) == 1)
            gate.set()
            answers = [receive(client, 13) for client in clients]
            for client in clients:
                client.close()
        assert len({answer[2:] for answer in answers}) == 1
        assert answers[0][7:9] == bytes((3, 4))
        assert len(held_back(line, block)) == 1
        assert len(line.requests) > before


def held_back(line: ScriptedLine, block: Block) -> list[bytes]:
    at = block.address.to_bytes(2, "big") + block.count.to_bytes(2, "big")
    return [one for one in line.requests if one[2:6] == at]


def test_a_silent_meter_answers_0x0b_and_never_an_old_value(tmp_path: Path) -> None:
    line = a_line({1: "pro380", 2: "pro380"})
    meters = [{"name": f"m{n}", "model": "pro380", "address": n} for n in (1, 2)]
    intervals = {"fast": 1.0, "slow": 5.0, "identity": 60.0}
    buses = [bus("line", port_of(line), meters, timeout=0.5)]
    with shared(tmp_path, buses, {}, [line], intervals) as rig:
        rig.read_all()
        with rig.client() as client:
            assert words(client, 1, 0x5002, 6) == held(rig, 1, Block(0x5002, 6))
            line.set_quirks(quirks_named(["dead@1"]))
            wait_until(lambda: words(client, 1, 0x5002, 6) == NO_ANSWER)
            # Whatever is asked, and also what was read long ago: counters, the serial number.
            for address in (0x5000, 0x5002, 0x600C, 0x4000):
                assert words(client, 1, address, 2) == NO_ANSWER
            assert words(client, 2, 0x600C, 2) == held(rig, 2, Block(0x600C, 2))
            line.set_quirks([])
            wait_until(lambda: words(client, 1, 0x5002, 6) == held(rig, 1, Block(0x5002, 6)))


def test_an_answer_is_no_older_than_it_may_be(tmp_path: Path) -> None:
    """With an age that is over at once, every request is a question to the meter."""
    line = a_line({1: "pro380"})
    share = {"max_age": 0.000001, "line_share": 0.5}
    buses = [bus("line", port_of(line), METERS[:1])]
    # So rare that a question has time for its answer, however busy this machine is.
    intervals = {"fast": 5.0, "slow": 60.0, "identity": 3600.0}
    with shared(tmp_path, buses, share, [line], intervals) as rig:
        rig.read_all()
        block, energy = Block(0x5006, 2), Block(0x6014, 2)
        with rig.client() as client:
            for count in range(1, 6):
                assert words(client, 1, block.address, block.count) == held(rig, 1, block)
                assert asked(line, 1, block) == count
            assert words(client, 1, energy.address, energy.count) == held(rig, 1, energy)
            assert asked(line, 1, energy) == 0  # counters may be older


def test_a_line_without_room_is_busy_and_keeps_answering_from_what_was_read(tmp_path: Path) -> None:
    line = a_line({1: "pro380"})
    with shared(
        tmp_path, [bus("line", port_of(line), METERS[:1])], {"line_share": 0.0}, [line]
    ) as rig:
        rig.read_all()
        with rig.client() as client:
            assert words(client, 1, 0x5002, 6) == held(rig, 1, Block(0x5002, 6))
            before = asked(line, 1, Block(0x5000, 2))
            found = client.read_holding_registers(0x5000, count=2, device_id=1)
            assert found.exception_code == BUSY
        assert asked(line, 1, Block(0x5000, 2)) == before


# Writing.


def writes(line: VirtualLine) -> list[tuple[int, int, int, int]]:
    return [key for key in line.requests if key[1] not in (3, 4)]


def test_writes_are_refused_and_never_reach_the_line(rig: Rig) -> None:
    with rig.client() as client:
        for found in (
            client.write_register(0x4010, 0x0010, device_id=1),
            client.write_registers(0x400D, [0x447A, 0], device_id=1),
        ):
            assert found.exception_code == 1
    assert not writes(rig.lines[0])


def test_who_is_named_may_write_what_the_manual_allows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = VirtualLine([fixed_meter("pro380", 1)], clock=still, paced=False)
    share = {"writes": "allow", "writers": ["127.0.0.1/32"], "line_share": 0.5}
    buses = [bus("line", port_of(line), METERS[:1])]
    intervals = {"fast": 5.0, "slow": 60.0, "identity": 3600.0}
    with shared(tmp_path, buses, share, [line], intervals) as rig:
        rig.read_all()
        with rig.client() as client:
            before = words(client, 1, 0x4010, 1)
            assert before != [0x0012]
            while (done := client.write_register(0x4010, 0x0012, device_id=1)).isError():
                assert done.exception_code == BUSY
            assert words(client, 1, 0x4010, 1) == [0x0012]  # not the value from before
            refused = [
                client.write_register(0x4003, 9, device_id=1),  # its address
                client.write_register(0x4010, 0x0099, device_id=1),  # 99 s
                client.write_register(0x400F, 10, device_id=1),  # for ever
                client.write_register(0x5002, 1, device_id=1),  # a measured value
                client.write_registers(0x4010, [0x0012], device_id=1),  # with function 16
            ]
        assert [one.exception_code for one in refused] == [2, 3, 2, 2, 2] or [
            one.exception_code for one in refused
        ] == [2, 3, 3, 2, 2]
    assert writes(line) == [(1, 6, 0x4010, 1)] or len(writes(line)) == 1
    assert "127.0.0.1 wrote to unit 1, register 0x4010: LCD cycle time = 12 s" in caplog.text


def test_who_is_not_named_may_not_write(tmp_path: Path) -> None:
    line = a_line({1: "pro380"})
    share = {"writes": "allow", "writers": ["192.0.2.7"]}
    buses = [bus("line", port_of(line), METERS[:1])]
    with shared(tmp_path, buses, share, [line]) as rig, rig.client() as client:
        assert client.write_register(0x4010, 0x0012, device_id=1).exception_code == 1
    assert not writes(line)


# Neighbours.


def exchange(client: socket.socket, unit: int, pdu: bytes) -> bytes:
    """Return the PDU that answers `pdu` over Modbus TCP."""
    body = bytes((unit,)) + pdu
    client.sendall(b"\x12\x34\0\0" + len(body).to_bytes(2, "big") + body)
    head = receive(client, 6)
    assert head[:4] == b"\x12\x34\0\0"
    return receive(client, int.from_bytes(head[4:6], "big"))[1:]


@pytest.mark.parametrize(
    ("unit", "pdu", "expected"),
    [
        (1, "03 30 00 00 02", "83 02"),  # registers that no meter has
        (1, "03 4F FF 00 04", "83 02"),  # half of them
        (1, "03 FF FF 00 02", "83 02"),  # beyond the last
        (1, "04 30 00 00 02", "84 02"),
        (1, "03 50 02 00 00", "83 03"),
        (1, "03 50 02 00 7E", "83 03"),
        (1, "03 50 02", "83 03"),
        (1, "01 00 00 00 01", "81 01"),
        (1, "2B 0E 01 00", "AB 01"),
        (77, "03 50 02 00 02", "83 0B"),
        (1, "03 50 02 FF FF", "83 03"),
        (1, "00", "80 01"),
        (1, "05 00 00 FF 00", "85 01"),
        (1, "06 40 00", "86 03"),
        (1, "07", "87 01"),
        (1, "08 00 00 00 00", "88 01"),
        (1, "0F 00 00 00 01 01 01", "8F 01"),
        (1, "10 40 00 00 00 00", "90 03"),
        (1, "10 40 00 00 02 03 00 00 00 00", "90 03"),
        (1, "16 40 00 00 00 00 00", "96 01"),
        (1, "17 50 02 00 02 40 00 00 01 02 00 00", "97 01"),
        (1, "83 50 02 00 02", "83 01"),
        (0, "03 50 02 00 02", "83 0B"),  # nobody is asked for all
        (255, "03 50 02 00 02", "83 0B"),
    ],
)
def test_what_cannot_be_answered_is_refused_as_the_standard_says(
    rig: Rig, unit: int, pdu: str, expected: str
) -> None:
    with raw_client(rig.tcp) as client:
        assert exchange(client, unit, bytes.fromhex(pdu)) == bytes.fromhex(expected)


def test_requests_in_one_piece_are_answered_one_after_another(rig: Rig) -> None:
    """Also more than are taken at a time, and two with the same number."""
    rig.read_all()
    numbers = [7, 7, *range(300)]
    question = bytes.fromhex("0000 0006 01 03 5002 0002")
    with raw_client(rig.tcp) as client:
        client.sendall(b"".join(number.to_bytes(2, "big") + question for number in numbers))
        answers = receive(client, 13 * len(numbers))
    assert [
        int.from_bytes(answers[at : at + 2], "big") for at in range(0, len(answers), 13)
    ] == numbers
    assert len({answers[at + 2 : at + 13] for at in range(0, len(answers), 13)}) == 1


def test_another_unit_on_an_rtu_line_is_not_answered_for(rig: Rig) -> None:
    rig.read_all()
    stranger, ours = bytes.fromhex("4D 03 50 02 00 02"), bytes.fromhex("01 03 50 02 00 02")
    with raw_client(rig.rtu) as client:
        client.sendall(stranger + crc16(stranger) + ours + crc16(ours))
        assert receive(client, 9)[:3] == bytes((1, 3, 4))


def test_garbage_ends_its_own_connection_and_is_told_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.read_all()
    # Lengths that no frame has, another protocol, no head at all.
    heads = ("0000 0000", "0000 0001", "0000 00FF", "0000 FFFF", "0001 0006")
    frames = [bytes.fromhex(f"0001 {head} 01 03 5002 0002") for head in heads]
    for garbage in [*frames, b"\x9a" + b"\xff" * 300]:
        with raw_client(rig.tcp) as client:
            client.sendall(garbage)
            assert client.recv(100) == b""
    assert caplog.text.count("sends what is no Modbus TCP") == 1
    with rig.client() as client:
        assert words(client, 1, 0x5002, 2) == held(rig, 1, Block(0x5002, 2))


def test_garbage_on_an_rtu_line_is_skipped(rig: Rig) -> None:
    rig.read_all()
    request = bytes.fromhex("01 03 50 02 00 02")
    with raw_client(rig.rtu) as client:
        client.sendall(b"\x01\x03" + b"\x99" * 42)
        client.settimeout(0.2)
        answer = b""
        while not answer:  # the master asks again, as it does after an answer that did not come
            client.sendall(request + crc16(request))
            try:
                answer = client.recv(9)
            except TimeoutError:
                continue
    assert answer[:3] == bytes((1, 3, 4))


def test_half_a_frame_is_finished_later(rig: Rig) -> None:
    rig.read_all()
    with raw_client(rig.tcp) as client:
        client.sendall(b"\0\1\0\0\0\6\1")
        with rig.client() as other:  # nobody else waits for it
            assert words(other, 1, 0x5002, 2) == held(rig, 1, Block(0x5002, 2))
        client.sendall(b"\3\x50\2\0\2")
        assert receive(client, 13)[7:9] == b"\3\4"


def test_two_hundred_connections_keep_nobody_out(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.read_all()
    with rig.client() as polite:
        crowd = []
        for _ in range(200):
            crowd.append(raw_client(rig.tcp))
            if len(crowd) % 20 == 0:
                assert words(polite, 1, 0x5002, 2) == held(rig, 1, Block(0x5002, 2))
        wait_until(lambda: rig.state()["clients"] == MOST_CLIENTS)
        with rig.client() as late:
            assert words(late, 1, 0x5002, 2) == held(rig, 1, Block(0x5002, 2))
        assert words(polite, 1, 0x5002, 2) == held(rig, 1, Block(0x5002, 2))
        for client in crowd:
            client.close()
        wait_until(lambda: rig.state()["clients"] == 1)
    assert caplog.text.count(f"more than {MOST_CLIENTS} connections") <= 1


def test_a_client_that_never_reads_is_bounded(rig: Rig) -> None:
    rig.read_all()
    request = b"\0\1\0\0\0\6\1\3\x60\0\0\x4b"
    with raw_client(rig.tcp) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        sent = 0
        try:
            while sent < 50_000_000:  # until the server takes no more
                sent += deaf.send(request * 500)
        except BlockingIOError:
            pass
        assert sent < 50_000_000
        with rig.client() as other:
            assert words(other, 1, 0x5002, 2) == held(rig, 1, Block(0x5002, 2))


def test_who_takes_no_answers_is_kept_little_for(rig: Rig) -> None:
    rig.read_all()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", rig.tcp))
        client.setblocking(False)
        question = bytes.fromhex("0001 0000 0006 01 03 5002 0030")
        with suppress(BlockingIOError):
            while True:
                client.send(question * 1000)
        assert most_kept_for(client) < 200_000


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ended_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = a_line({1: "pro380"})
    with shared(tmp_path, [bus("line", port_of(line), METERS[:1])], {}, [line]) as rig:
        rig.read_all()
        ended = threading.Event()

        def end(_server: ModbusServer) -> None:
            ended.set()
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(ModbusServer, "_round", end)
            assert ended.wait(300)
            wait_until(lambda: any("share modbus" in one for one in rig.app.state()["problems"]))
        rig.app.refresh()
        with rig.client() as client:
            assert words(client, 1, 0x5002, 2) == held(rig, 1, Block(0x5002, 2))


def test_a_fault_in_the_server_is_told_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    line = a_line({1: "pro380"})
    with shared(tmp_path, [bus("line", port_of(line), METERS[:1])], {}, [line]) as rig:
        rig.read_all()

        def stumble(_server: ModbusServer) -> None:
            raise RuntimeError("stumbled")

        with monkeypatch.context() as patch:
            patch.setattr(ModbusServer, "_round", stumble)
            wait_until(lambda: "the server stumbled" in caplog.text)
        with rig.client() as client:
            assert words(client, 1, 0x5002, 2) == held(rig, 1, Block(0x5002, 2))
