"""Virtual lines in a process of their own, which notes when each request came.

Run as a program with a JSON description on standard input; prints the ports as JSON,
then serves until its standard input closes. `LineProcess` starts it and reads its notes.
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from logger.models import Job, load
from logger.models.plan import plans
from logger.simulate import (
    Incident,
    Served,
    Trouble,
    VirtualLine,
    VirtualMeter,
    quirks_named,
    virtual_site,
)
from logger.simulate.frame import FrameReader, Request, character_s, seal
from tests.benchmark.clockfile import Time

_NOTE = struct.Struct("<dHHHH")  # when (epoch seconds), line, address, register, count
DELAY_S = 0.02
_POWER = 0x5012
CIRCUITS = 5  # of a virtual house, with a meter each
_START = 1_782_037_800.0
ROUNDS = 16  # different answers that a precomputed meter gives in turn


@dataclass(frozen=True, slots=True)
class Note:
    """A request that came; `at` in epoch seconds."""

    at: float
    line: int
    address: int
    register: int
    count: int


class _Notes:
    """Notes on disk, in large pieces: writing must not delay the next request.

    `sent`, if given, takes every total active power (0x5012) that was sent.
    """

    def __init__(self, path: Path, sent: str) -> None:
        self._file: BinaryIO = path.open("wb", buffering=1 << 16)
        self._sent: BinaryIO | None = None
        if sent:
            self._sent = Path(sent).open("wb", buffering=1 << 16)  # noqa: SIM115 - as the one above

    def add(self, at: float, line: int, address: int, pdu: bytes) -> None:
        register, count = struct.unpack(">HH", pdu[1:5])
        self._file.write(_NOTE.pack(at, line, address, register, count))

    def sent(self, line: int, one: Served) -> None:
        register, count = struct.unpack(">HH", one.request[1:5])
        at = 2 + 2 * (_POWER - register)
        whole = register <= _POWER and register + count >= _POWER + 2
        if self._sent and whole and len(one.answer) == 2 + 2 * count:
            self._sent.write(bytes((line, one.address)) + one.answer[at : at + 4])

    def close(self) -> None:
        self._file.close()
        if self._sent:
            self._sent.close()


def _incident(one: Mapping[str, Any]) -> Incident:
    more = {name: one[name] for name in ("start", "end", "phase", "value", "meter")}
    return Incident(kind=Trouble(one["kind"]), **more)


def _real_lines(spec: Mapping[str, Any], notes: _Notes) -> tuple[list[int], list[VirtualLine]]:
    """Open whole virtual lines, each with a site of its own."""
    ports, lines = [], []
    for number, addresses in enumerate(spec["lines"]):
        meters = {address: "grid" if address == addresses[0] else "load" for address in addresses}
        if number < len(spec["pv"]):
            meters |= dict.fromkeys(spec["pv"][number], "pv")
        clock = _clock(spec["clock"])
        served: list[VirtualMeter] = []
        for house in _houses(addresses):
            site = virtual_site(
                7 + number,
                start=clock(),
                meters={address: meters[address] for address in house},
                step_s=spec["step_s"],
                incidents=[_incident(one) for one in spec["incidents"] if one["line"] == number],
            )
            served += site.meters

        def note(one: Served, number: int = number) -> None:
            notes.add(one.at, number, one.address, one.request)
            notes.sent(number, one)

        line = VirtualLine(
            served,
            clock=clock,
            paced=spec["paced"],
            delay_s=spec["delay_s"],
            on_served=note,
        )
        lines.append(line)
        ports.append(line.start_tcp())
    return ports, lines


def _houses(addresses: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the meters of a line house by house: one has so many circuits."""
    for first in range(0, len(addresses), CIRCUITS):
        yield addresses[first : first + CIRCUITS]


def _clock(path: str) -> Callable[[], float]:
    """Return the time of a time file, or the real one."""
    if not path:
        return time.time
    shared = Time(Path(path))
    return lambda: shared.now


class CheapLines:
    """Many lines in one thread: answers computed before, sent whole when their last byte is due.

    A request is answered after the time that its bytes, the meter's delay and the answer's
    bytes take.
    """

    def __init__(self, lines: Iterable[Iterable[int]], notes: _Notes) -> None:
        self._notes = notes
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, socket.socket, bytes]] = []
        self._character_s = character_s(9600, "E")
        self._number = 0
        self._answers = _Answers({address for line in lines for address in line})
        self._turn: dict[tuple[int, int, int], int] = {}
        self.ports: list[int] = []
        for number, _ in enumerate(lines):
            listener = socket.create_server(("127.0.0.1", 0))
            self._selector.register(listener, selectors.EVENT_READ, (number, None))
            self.ports.append(int(listener.getsockname()[1]))

    def run(self) -> None:
        """Serve for ever."""
        while True:
            pause = self._due[0][0] - time.perf_counter() if self._due else None
            ready = self._selector.select(None if pause is None else max(0.0, pause))
            now = time.perf_counter()
            for key, _ in ready:
                number, reader = key.data
                if reader is None:
                    self._accept(key.fileobj, number)
                else:
                    self._hear(key.fileobj, number, reader, now)
            while self._due and self._due[0][0] <= time.perf_counter():
                _, _, channel, frame = heapq.heappop(self._due)
                channel.sendall(frame)

    def _accept(self, listener: Any, number: int) -> None:
        channel, _ = listener.accept()
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(channel, selectors.EVENT_READ, (number, FrameReader()))

    def _hear(self, channel: Any, number: int, reader: FrameReader, now: float) -> None:
        data = channel.recv(4096)
        if not data:
            self._selector.unregister(channel)
            channel.close()
            return
        for request in reader.take(data):
            self._notes.add(time.time(), number, request.address, request.pdu)
            frame = self._answer(number, request)
            took = (len(request.raw) + len(frame)) * self._character_s + DELAY_S
            self._number += 1
            heapq.heappush(self._due, (now + took, self._number, channel, frame))

    def _answer(self, number: int, request: Request) -> bytes:
        frames = self._answers.to(request.address, request.pdu)
        key = (number, request.address, request.pdu[1])
        turn = self._turn.get(key, number)
        self._turn[key] = turn + 1
        return frames[turn % len(frames)]


class _Answers:
    """The answers of PRO380 meters to the requests of a logger, some of each, in turn."""

    def __init__(self, addresses: set[int]) -> None:
        model = load("pro380")
        self._meters = {
            meter.address: meter
            for house in _houses(sorted(addresses))
            for meter in virtual_site(7, start=_START, meters=dict.fromkeys(house, "load")).meters
        }
        self._found: dict[tuple[int, bytes], list[bytes]] = {}
        for turn in range(ROUNDS):  # moment by moment: a virtual house goes one way
            for address in self._meters:
                for job in Job:
                    for block in plans(model)[job]:
                        self._add(address, struct.pack(">BHH", 3, block.address, block.count), turn)

    def to(self, address: int, pdu: bytes) -> list[bytes]:
        """Return the frames; what no plan asks for is made when it is first asked."""
        if (address, pdu) not in self._found:
            self._add(address, pdu, ROUNDS)
        return self._found[address, pdu]

    def _add(self, address: int, pdu: bytes, turn: int) -> None:
        answer = self._meters[address].answer(pdu, _START + 10 * turn)
        self._found.setdefault((address, pdu), []).append(seal(address, answer))


class LineProcess:
    """The lines of a measurement, as a process.

    `lines` lists the addresses on each; `cheap` takes precomputed answers. `more`, for whole
    lines: `pv` addresses by line, `step_s` of the counters, `incidents`, and the file `sent`.
    """

    def __init__(
        self,
        directory: Path,
        lines: list[list[int]],
        *,
        cheap: bool = False,
        paced: bool = True,
        delay_s: float = DELAY_S,
        clock: Path | None = None,
        **more: Any,
    ) -> None:
        self._notes = directory / "requests.bin"
        spec = {
            "lines": lines,
            "cheap": cheap,
            "paced": paced,
            "delay_s": delay_s,
            "notes": str(self._notes),
            "clock": str(clock or ""),
            "pv": more.get("pv", []),
            "step_s": more.get("step_s", 1),
            "incidents": more.get("incidents", []),
            "sent": str(more.get("sent", "")),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmark.line", json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.ports: list[int] = json.loads(self._process.stdout.readline())
        self.pid = self._process.pid

    def set_quirks(self, line: int, names: list[str], seed: int) -> None:
        """Replace the quirks of a whole line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([line, names, seed]).encode() + b"\n")
        self._process.stdin.flush()

    def stop(self) -> list[Note]:
        """End the process and return the requests that came, oldest first."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(30)
        return [Note(*one) for one in _NOTE.iter_unpack(self._notes.read_bytes())]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Serve until standard input closes."""
    spec = json.loads(sys.argv[1])
    notes = _Notes(Path(spec["notes"]), spec["sent"])
    lines: list[VirtualLine] = []
    if spec["cheap"]:
        cheap = CheapLines(spec["lines"], notes)
        ports = cheap.ports
        threading.Thread(target=cheap.run, daemon=True).start()
    else:
        ports, lines = _real_lines(spec, notes)
    # The answers are made: a collection of garbage would only delay them.
    gc.collect()
    gc.freeze()
    gc.disable()
    sys.setswitchinterval(0.0005)
    print(json.dumps(ports), flush=True)
    for order in sys.stdin:
        number, names, seed = json.loads(order)
        lines[number].set_quirks(quirks_named(names, seed))
    for line in lines:
        line.stop()
    notes.close()
    os._exit(0)


if __name__ == "__main__":
    main()
