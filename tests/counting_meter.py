"""A scripted meter whose answers can be told apart, and what a logger stored of them."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from logger import models
from logger.models import Job
from logger.models.plan import Block, plans
from logger.points.line import Point
from logger.points.parse import decode
from logger.simulate import Refusal
from logger.store.database import Database
from logger.store.row import RowState
from logger.store.tools import between
from tests.lines import answer_to, seal
from tests.readers import NOW, real_meter
from tests.running import wait_until

STOPPED_S = 12.0
MODEL = models.load("pro380")
(FAST,) = plans(MODEL)[Job.FAST]
WORDS = struct.Struct(">HH")
HELD_UP = 204.0
ROUNDING_MS = 20  # and how far two clocks of one machine drift apart in a minute
CONFIG = """\
[site]
name = "home"
[intervals]
fast = "{fast}s"
slow = "1h"
identity = "1h"
[[bus]]
name = "line"
port = "socket://127.0.0.1:{port}"
timeout = "5s"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"
[buffer]
path = "buffer.sqlite"
"""


@dataclass(slots=True)
class Answered:
    """One answer: what was asked, the voltage in it, and between which times it came."""

    block: Block
    voltage: float
    sent_ms: float
    before_ms: float = float("inf")  # the next question


class Meter:
    """A meter for a scripted line, whose voltage of L1 counts the answers from 201 V on.

    It lets blocks go unanswered that `lacks` names. In the answer with `HELD_UP` volts it
    stops `process` for `STOPPED_S` after the first `begun` bytes.
    """

    def __init__(self, lacks: Callable[[Block], bool] = lambda _: False) -> None:
        self.lacks = lacks
        self.begun: int | None = None
        self.process: int | None = None
        self.port = 0
        self.answers: list[Answered] = []
        self._meter = real_meter()

    def script(self, request: bytes) -> Iterable[bytes | float]:
        now = time.time() * 1000
        if self.answers:
            self.answers[-1].before_ms = min(self.answers[-1].before_ms, now)
        block = Block(*WORDS.unpack(request[2:6]))
        if self.lacks(block):
            return
        try:
            words = list(self._meter.read_words(block.address, block.count, NOW))
        except Refusal as refusal:
            yield seal(request[0], request[1] | 0x80, refusal.code)
            return
        voltage = 0.0
        if block.address == FAST.address:
            voltage = 201.0 + sum(one.voltage > 0 for one in self.answers)
            words[:2] = WORDS.unpack(struct.pack(">f", voltage))
        self.answers.append(Answered(block, voltage, now))
        answer = answer_to(request, words)
        begun = self.begun
        if voltage == HELD_UP and begun is not None and self.process is not None:
            yield answer[:begun]
            wait_until(self._read_up)
            os.kill(self.process, signal.SIGSTOP)
            state = Path(f"/proc/{self.process}/stat")
            wait_until(
                lambda: state.read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] == "T"
            )
            yield answer[begun:]
            yield STOPPED_S  # what is tested, not a wait for something
            os.kill(self.process, signal.SIGCONT)
        else:
            yield answer

    def _read_up(self) -> bool:
        """Return whether the logger has taken all bytes that came (/proc/net/tcp in proc(5))."""
        lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        queues = [  # none where the table changed under the eyes of its reader
            words[4]
            for words in map(str.split, lines)
            if words[2].endswith(f":{self.port:04X}") and words[3] == "01"
        ]
        return bool(queues) and all(one.endswith(":00000000") for one in queues)


def stored(directory: Path) -> list[Point]:
    """Return the `power` points in the buffer."""
    with closing(Database.open_readonly(directory / "buffer.sqlite")) as database:
        rows = list(between(database, list(RowState), None, None))
    points = [decode(line) for row in rows for line in row.lines]
    return [point for point in points if point.measurement == "power" and "phase" in point.tags]


def voltages(directory: Path) -> dict[float, int]:
    """Return the voltages of L1 in the buffer, and the time of each."""
    return {
        float(point.fields["voltage"]): point.time_ms
        for point in stored(directory)
        if point.tags["phase"] == "L1" and "voltage" in point.fields
    }
