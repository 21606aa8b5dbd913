"""The virtual line against real masters: pymodbus, mbpoll and bare sockets."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.framer import FramerType

from logger.domain.errors import SimulationError
from logger.models import Register, load
from logger.simulate import (
    Incident,
    Served,
    Trouble,
    VirtualClock,
    VirtualLine,
    VirtualSite,
    virtual_site,
)
from logger.simulate.frame import FrameReader, seal
from tests.engines.process import program
from tests.running import PATIENCE_S, wait_until

NOON = datetime(2026, 6, 18, 11, 40, tzinfo=UTC).timestamp()
BLOCKS = ((0x4000, 32), (0x5000, 50), (0x6000, 75))


def still() -> float:
    """A clock that stands: what is read twice is the same twice."""
    return NOON


def a_line(
    site: VirtualSite, parity: str = "E", on_served: Callable[[Served], None] | None = None
) -> VirtualLine:
    return VirtualLine(site.meters, clock=still, paced=False, parity=parity, on_served=on_served)


@pytest.fixture
def site() -> VirtualSite:
    return virtual_site(7, start=NOON, fixed=True)


@pytest.fixture
def port(site: VirtualSite) -> Iterator[int]:
    with a_line(site) as line:
        yield line.start_tcp()


def connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def receive(master: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        part = master.recv(count - len(got))
        assert part, "closed"
        got += part
    return got


def read_frame(address: int, first: int, count: int) -> bytes:
    return seal(address, struct.pack(">BHH", 3, first, count))


def quiet(master: socket.socket, seconds: float = 0.1) -> bool:
    """Tell whether nothing comes; other requests have been answered meanwhile."""
    return not select.select([master], [], [], seconds)[0]


def expected(site: VirtualSite, address: int, first: int, count: int) -> bytes:
    data = site.meter(address).read_bytes(first, count, NOON)
    return seal(address, bytes((3, len(data))) + data)


# Real masters.


def test_pymodbus_reads_every_register_over_tcp(site: VirtualSite, port: int) -> None:
    with ModbusTcpClient("127.0.0.1", port=port, framer=FramerType.RTU, timeout=60) as master:
        for one in site.meters:
            for first, count in BLOCKS:
                got = master.read_holding_registers(first, count=count, device_id=one.address)
                assert tuple(got.registers) == one.read_words(first, count, NOON)
            for register in one.model.registers:
                got = master.read_holding_registers(
                    register.address, count=register.length, device_id=one.address
                )
                words = one.read_words(register.address, register.length, NOON)
                assert tuple(got.registers) == words, register.name
            assert one.requests[3, 0x5000, 50] == 1


def test_pymodbus_writes_and_is_refused_over_tcp(site: VirtualSite, port: int) -> None:
    with ModbusTcpClient("127.0.0.1", port=port, framer=FramerType.RTU, timeout=60) as master:
        assert not master.write_register(0x4010, 0x0025, device_id=2).isError()
        assert site.meter(2).read_words(0x4010, 1, NOON) == (0x0025,)
        assert not master.write_registers(0x400D, [0x4120, 0], device_id=2).isError()
        assert site.meter(2).read_words(0x400D, 2, NOON) == (0x4120, 0)
        assert master.write_register(0x4010, 0x0031, device_id=2).exception_code == 3
        assert master.write_register(0x5002, 1, device_id=2).exception_code == 2
        assert master.read_input_registers(0x5002, count=2, device_id=2).exception_code == 1


def test_pymodbus_reads_over_a_pty(site: VirtualSite) -> None:
    with a_line(site, parity="E") as line:
        path = line.start_pty()
        for _ in range(2):  # opened, closed and opened again
            with ModbusSerialClient(path, baudrate=9600, parity="N", timeout=60) as master:
                for one in site.meters:
                    for first, count in BLOCKS:
                        got = master.read_holding_registers(
                            first, count=count, device_id=one.address
                        )
                        assert tuple(got.registers) == one.read_words(first, count, NOON)


def mbpoll(path: str, address: int, first: int, count: int) -> tuple[int, ...]:
    """Return the registers that Debian's mbpoll reads."""
    options = ["-m", "rtu", "-b", "9600", "-P", "none", "-a", str(address), "-t", "4:hex"]
    place = ["-0", "-r", str(first), "-c", str(count), "-1", "-o", "10", "-q"]
    done = subprocess.run(
        [program("mbpoll", "mbpoll"), *options, *place, path],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found = re.findall(r"^\[(\d+)\]:\s+0x([0-9A-F]{4})\s*$", done.stdout, re.MULTILINE)
    assert [int(place) for place, _ in found] == list(range(first, first + count)), done.stdout
    return tuple(int(word, 16) for _, word in found)


def test_mbpoll_reads_every_register_over_a_pty(site: VirtualSite) -> None:
    with a_line(site, parity="N") as line:
        path = line.start_pty()
        for address in (1, 2):
            for first, count in BLOCKS:
                words = mbpoll(path, address, first, count)
                assert words == site.meter(address).read_words(first, count, NOON)


# Frames.


@given(
    st.lists(
        st.tuples(st.integers(0, 247), st.sampled_from([3, 6, 16]), st.binary(max_size=20)),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_requests_are_found_however_they_are_cut(
    parts: list[tuple[int, int, bytes]], sizes: list[int]
) -> None:
    frames = []
    for address, function, data in parts:
        if function == 16:
            body = struct.pack(">BHHB", 16, 0x400D, len(data), len(data)) + data
        else:
            body = bytes((function,)) + data.ljust(4, b"\x55")[:4]
        frames.append(seal(address, body))
    stream, reader, found = b"".join(frames), FrameReader(), []
    turn = 0
    while stream:
        size = sizes[turn % len(sizes)]
        found += reader.take(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert [request.raw for request in found] == frames
    assert [request.address for request in found] == [address for address, _, _ in parts]


@given(st.binary(min_size=1, max_size=40))
def test_after_noise_a_silence_makes_the_reader_hear_again(noise: bytes) -> None:
    reader = FrameReader()
    reader.take(noise)
    reader.silence()
    assert not reader.waiting
    good = read_frame(1, 0x5002, 48)
    assert [request.raw for request in reader.take(good)] == [good]


def test_after_a_wrong_checksum_only_a_silence_helps() -> None:
    reader, right = FrameReader(), read_frame(1, 0x5002, 48)
    assert reader.take(right[:-1] + b"?") == []
    assert reader.take(right) == []
    assert reader.silence() == []
    assert [request.raw for request in reader.take(right)] == [right]


def test_a_silence_ends_a_frame_of_unknown_function() -> None:
    reader = FrameReader()
    odd = seal(1, bytes.fromhex("2b0e0100"))
    assert reader.take(odd) == []
    assert [request.raw for request in reader.silence()] == [odd]


def test_split_and_merged_requests_are_answered_one_by_one(site: VirtualSite, port: int) -> None:
    with closing(connect(port)) as master:
        one, other = read_frame(1, 0x5002, 48), read_frame(2, 0x6000, 75)
        # Again, where a busy machine made so long a pause between two bytes that it ends a frame.
        answered = False
        while not answered:
            for byte in one:
                master.sendall(bytes((byte,)))
            answered = not quiet(master, 1.0)
        assert receive(master, 101) == expected(site, 1, 0x5002, 48)
        master.sendall(one + other + one)
        answers = receive(master, 101 + 155 + 101)
        assert answers == (
            expected(site, 1, 0x5002, 48)
            + expected(site, 2, 0x6000, 75)
            + expected(site, 1, 0x5002, 48)
        )


def test_a_wrong_checksum_gets_no_answer_and_the_next_request_does(
    site: VirtualSite, port: int
) -> None:
    with closing(connect(port)) as master:
        wrong = bytearray(read_frame(1, 0x5002, 48))
        wrong[-1] ^= 1
        master.sendall(bytes(wrong))
        assert quiet(master)
        # Again, where a busy line has not noticed the silence yet.
        answered = False
        while not answered:
            master.sendall(read_frame(1, 0x5002, 48))
            answered = not quiet(master, 1.0)
        assert receive(master, 101) == expected(site, 1, 0x5002, 48)


def test_an_unknown_function_gets_exception_1(port: int) -> None:
    with closing(connect(port)) as master:
        master.sendall(seal(1, bytes.fromhex("2b0e0100")))
        assert receive(master, 5) == seal(1, b"\xab\x01")


def test_an_absent_address_stays_silent(site: VirtualSite) -> None:
    with a_line(site) as line, closing(connect(line.start_tcp())) as master:
        master.sendall(read_frame(3, 0x5002, 48) + read_frame(2, 0x4003, 1))
        assert receive(master, 7) == expected(site, 2, 0x4003, 1)
        assert quiet(master)
        assert line.requests == {(3, 3, 0x5002, 48): 1, (2, 3, 0x4003, 1): 1}
        assert line.answered == 1


def test_a_broadcast_is_obeyed_in_silence(site: VirtualSite, port: int) -> None:
    with closing(connect(port)) as master:
        write = seal(0, struct.pack(">BHH", 6, 0x4010, 0x0017))
        master.sendall(write + read_frame(0, 0x5002, 48) + read_frame(1, 0x4010, 1))
        assert receive(master, 7) == seal(1, bytes.fromhex("03020017"))
        assert quiet(master)
        assert site.meter(2).read_words(0x4010, 1, NOON) == (0x0017,)


def test_a_new_address_answers_at_once_and_the_old_one_no_more(
    site: VirtualSite, port: int
) -> None:
    with closing(connect(port)) as master:
        write = seal(1, struct.pack(">BHH", 6, 0x4003, 9))
        master.sendall(write)
        assert receive(master, 8) == write  # still from the old address
        master.sendall(read_frame(1, 0x4003, 1) + read_frame(9, 0x4003, 1))
        assert receive(master, 7) == seal(9, bytes.fromhex("03020009"))


def test_a_meter_set_to_another_speed_is_lost_until_the_line_follows(site: VirtualSite) -> None:
    with a_line(site) as line, closing(connect(line.start_tcp())) as master:
        for register, value in ((0x4004, 4800), (0x4011, 2)):
            write = seal(1, struct.pack(">BHH", 6, register, value))
            master.sendall(write)
            assert receive(master, 8) == write
            master.sendall(read_frame(1, 0x4003, 1) + read_frame(2, 0x4003, 1))
            assert receive(master, 7)[0] == 2
            if register == 0x4004:
                line.baudrate = 4800
                site.meter(2).identity.baudrate = 4800
        line.parity = "N"
        master.sendall(read_frame(1, 0x4003, 1))
        assert receive(master, 7)[0] == 1


def test_several_masters_share_the_line(site: VirtualSite, port: int) -> None:
    errors = []

    def poll(address: int, first: int, count: int) -> None:
        with closing(connect(port)) as master:
            for _ in range(50):
                master.sendall(read_frame(address, first, count))
                if receive(master, 5 + 2 * count) != expected(site, address, first, count):
                    errors.append(address)

    masters = [
        threading.Thread(target=poll, args=job)
        for job in ((1, 0x5002, 48), (2, 0x6000, 75), (1, 0x4000, 32))
    ]
    for thread in masters:
        thread.start()
    for thread in masters:
        thread.join()
    assert not errors
    assert site.meter(1).requests.total() == 100
    with closing(connect(port)) as late:  # one after another is fine too
        late.sendall(read_frame(1, 0x4003, 1))
        assert receive(late, 7) == expected(site, 1, 0x4003, 1)


def _asked(line: VirtualLine, count: int) -> bool:
    return line.requests.total() == count


def test_incidents_silence_meters_by_the_clock() -> None:
    now = [NOON]
    incidents = [
        Incident(kind=Trouble.METER_SILENT, start=NOON + 10, end=NOON + 20, meter=1),
        Incident(kind=Trouble.MAINS_OFF, start=NOON + 30, end=NOON + 40),
    ]
    site = virtual_site(7, start=NOON, incidents=incidents)
    answering = {}
    served: list[Served] = []
    with VirtualLine(
        site.meters, clock=lambda: now[0], paced=False, on_served=served.append
    ) as line:
        for after in (0, 10, 20, 30, 40):
            now[0] = NOON + after
            served.clear()
            asked = line.requests.total() + 3
            with closing(connect(line.start_tcp())) as master:
                # One after the other: when the next is there the one before is over.
                master.sendall(b"".join(read_frame(one, 0x4003, 1) for one in (1, 2, 3)))
                wait_until(partial(_asked, line, asked))
                answering[after] = [one.address for one in served]
                heard = receive(master, 7 * len(served))
                assert [heard[place] for place in range(0, len(heard), 7)] == answering[after]
                assert quiet(master)
    assert answering == {0: [1, 2], 10: [2], 20: [1, 2], 30: [], 40: [1, 2]}


def test_whoever_wants_hears_of_every_answer(site: VirtualSite) -> None:
    served: list[Served] = []
    with (
        a_line(site, on_served=served.append) as line,
        closing(connect(line.start_tcp())) as master,
    ):
        master.sendall(read_frame(2, 0x5002, 48))
        frame = receive(master, 101)
    assert served == [Served(NOON, 2, struct.pack(">BHH", 3, 0x5002, 48), frame[1:-2])]


def test_paced_answers_are_the_same_answers(site: VirtualSite) -> None:
    with (
        VirtualLine(site.meters, clock=still, delay_s=0.001) as line,
        closing(connect(line.start_tcp())) as master,
    ):
        began = time.monotonic()
        master.sendall(read_frame(1, 0x5002, 48))
        assert receive(master, 101) == expected(site, 1, 0x5002, 48)
        # Never faster than the wire, 109 characters of 11 bits; slower is the machine's affair.
        assert time.monotonic() - began >= 109 * 11 / 9600


def test_two_masters_at_once_take_turns_on_the_wire(site: VirtualSite) -> None:
    with (
        VirtualLine(site.meters, clock=still, delay_s=0.001) as line,
        closing(connect(port := line.start_tcp())) as one,
        closing(connect(port)) as other,
    ):
        began = time.monotonic()
        for master in (one, other):
            master.sendall(read_frame(1, 0x5002, 48))
        for master in (one, other):
            assert receive(master, 101) == expected(site, 1, 0x5002, 48)
        assert time.monotonic() - began >= 2 * 109 * 11 / 9600
        began = time.monotonic()
        one.sendall(2 * read_frame(1, 0x5002, 48))
        assert receive(one, 202) == 2 * expected(site, 1, 0x5002, 48)
        assert time.monotonic() - began >= 2 * 109 * 11 / 9600


def open_files() -> set[tuple[str, str]]:
    """Return the files that this process has open: their numbers, and what they are."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            found.add((file.name, str(file.readlink())))
    return found


def test_a_stopped_line_lets_go_of_everything(site: VirtualSite) -> None:
    before, files = set(threading.enumerate()), open_files()
    line = VirtualLine(site.meters, clock=still, baudrate=300)
    port = line.start_tcp()
    line.start_pty()
    with closing(connect(port)) as master:
        master.sendall(read_frame(1, 0x5002, 48))  # would take 4 s at 300 baud
        assert receive(master, 1) == b"\x01"
        line.stop()
        line.stop()
        with pytest.raises(OSError, match="refused"):
            connect(port)
    assert set(threading.enumerate()) <= before
    assert open_files() <= files


def test_the_clock_runs_at_its_speed() -> None:
    real = [100.0]
    clock = VirtualClock(NOON, speed=60, monotonic=lambda: real[0])
    assert clock() == NOON
    real[0] = 102.5
    assert clock() == NOON + 150


def test_what_cannot_be_is_refused(site: VirtualSite, port: int) -> None:
    with pytest.raises(SimulationError, match="two meters at address 1"):
        VirtualLine([site.meter(1), site.meter(1)])
    with pytest.raises(SimulationError, match="parity 'X'"):
        VirtualLine(site.meters, parity="X")
    with pytest.raises(SimulationError, match="baud rate 0"):
        VirtualLine(site.meters, baudrate=0)
    with a_line(site) as line, pytest.raises(SimulationError, match=f"127.0.0.1:{port}"):
        line.start_tcp("127.0.0.1", port)


def test_every_register_of_the_table_is_in_a_block() -> None:
    def inside(register: Register) -> bool:
        return any(first <= register.address < first + count for first, count in BLOCKS)

    assert all(inside(register) for register in load("pro380").registers)
