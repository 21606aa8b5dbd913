"""Modbus TCP at a port whose master speaks RTU. Pure: it reads and writes through a wire.

    0        2        4        6      7
    +--------+--------+--------+------+-----------+
    | number | 0 0    | length | unit | PDU       |    (Modbus Messaging on TCP/IP V1.0b, 3.1)
    +--------+--------+--------+------+-----------+

`number` is the transaction identifier, which the answer repeats; `length` counts unit and
PDU. An RTU frame is unit, PDU and a checksum: the two are translated into each other, so
that everything above the port (plans, late answers, lines that others use) is the same
on every line. A second master for Modbus TCP would have to learn all that again.

One question is open at a time. Answers with the number of an earlier question of ours are
`late` and never pass for the answer to this one, those to a question that was answered
came twice; answers with any other number are dropped and counted. A gateway that says that
the meter is silent has not answered yet: the value may follow under the same number.
"""

from __future__ import annotations

from collections import deque

from logger.bus.frames import (
    GATEWAY_SILENCE,
    READ,
    SHORTEST,
    Unsolicited,
    crc16,
    sealed,
    unsolicited,
)
from logger.bus.units import Units
from logger.bus.wire import Wire

_HEAD = 6
# Unit and function at least; unit and the longest PDU (253 bytes) at most.
_SHORTEST, _LONGEST = 2, 254
_CHECKSUM, _FAILED = 2, 0x80
_JUNK = 512
_REMEMBERED = 300  # more than a sweep of all addresses leaves behind in a slow gateway


class Mbap:
    """A wire to a gateway that speaks Modbus TCP; RTU frames go in and come out.

    `number` is where its numbers begin: another master on a gateway that copies answers
    should have others. `units` knows in whose name the gateway answers. `late` collects
    answers that came too late, `foreign` whose answers
    to others were dropped, which `dropped` counts; `junk` is what came since the last
    question and is no Modbus TCP, or an answer to it in the name of another unit, which is
    no sign of another master.
    """

    def __init__(self, wire: Wire, units: Units | None = None, number: int = 0) -> None:
        self.units = units or Units()
        self._wire = wire
        self._number = number  # of the last question
        self._question = b""  # unit and PDU of that
        self._asked: deque[int] = deque(maxlen=_REMEMBERED)
        self._answered: deque[int] = deque(maxlen=_REMEMBERED)
        self._came = b""  # not a whole frame yet
        self._frames = b""  # answers in RTU form, not read yet
        self._answer = b""  # the last one to this question
        self.late: list[Unsolicited] = []
        self.foreign: list[Unsolicited] = []  # of other masters: whose meter, no length
        self.dropped = 0
        self.junk = b""

    @property
    def timeout(self) -> float | None:
        """How long a read waits, in seconds."""
        return self._wire.timeout

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self._wire.timeout = value

    @property
    def gone(self) -> bool:
        """Whether the other end has closed the connection."""
        return bool(getattr(self._wire, "gone", False))

    @property
    def begun(self) -> bytes:
        """What came of a frame that is not whole yet."""
        return self._came

    @property
    def rtu(self) -> bool:
        """Whether RTU frames came instead of Modbus TCP."""
        refused = len(self.junk) == SHORTEST and sealed(self.junk)
        return refused or bool(unsolicited(self.junk))

    @property
    def in_waiting(self) -> int:
        """How many bytes can be read at once."""
        while waiting := self._wire.in_waiting:
            self._take(self._wire.read(waiting))
        return len(self._frames)

    def fileno(self) -> int:
        """Return the file that can be read when something comes."""
        return self._wire.fileno()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of answers, in RTU form."""
        if not self._frames:
            self._take(self._wire.read(_HEAD + _LONGEST))
        found, self._frames = self._frames[:size], self._frames[size:]
        return found

    def write(self, data: bytes) -> int:
        """Send the RTU frame `data` under a number of its own."""
        self._question = data[:-_CHECKSUM]
        self._frames = self._answer = self.junk = b""
        self.units.asked()
        self._send()
        return len(data)

    def flush(self) -> None:
        """Wait until everything is sent."""
        self._wire.flush()

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def _take(self, more: bytes) -> None:
        self._came += more
        while len(self._came) >= _HEAD:
            length = int.from_bytes(self._came[4:6], "big")
            if any(self._came[2:4]) or not _SHORTEST <= length <= _LONGEST:
                self._skip()
                continue
            if len(self._came) < _HEAD + length:
                return
            number = int.from_bytes(self._came[:2], "big")
            body = self._came[_HEAD : _HEAD + length]
            self._came = self._came[_HEAD + length :]
            self._sort(number, body)
        # No header begins so: a refusal of an RTU device, a heartbeat of a modem.
        if len(self._came) == SHORTEST and sealed(self._came):
            self._skip()

    def _sort(self, number: int, body: bytes) -> None:
        unit, reads = self._question[:1], self._question[1:2] == bytes((READ,))
        if number == self._number and body[:1] == unit:
            self.units.right()
            self._answers(number, body)
        elif number == self._number and self.units.differs(body[0]):
            self._answers(number, unit + body[1:])
        elif number == self._number:
            self.junk = (self.junk + body)[-_JUNK:]  # a gateway that names its meters otherwise
            if reads and self.units.undecided:
                self._send()
        elif number in self._answered:
            pass  # it came twice
        elif number in self._asked:
            if body[1] == READ and len(body) > 2:
                self.late.append(Unsolicited(body[0], body[2] // 2))
        else:
            self.dropped += 1
            self.foreign = [*self.foreign, Unsolicited(body[0], 0)][-_REMEMBERED:]

    def _send(self) -> None:
        self._number = self._number % 0xFFFF + 1
        self._asked.append(self._number)
        length = len(self._question).to_bytes(2, "big")
        self._wire.write(self._number.to_bytes(2, "big") + bytes(2) + length + self._question)

    def _answers(self, number: int, body: bytes) -> None:
        """Take an answer to the last question."""
        if body == self._answer:
            return  # it came twice
        self._answer = body
        if not (body[1] & _FAILED and body[2:3] and body[2] in GATEWAY_SILENCE):
            self._answered.append(number)
        self._frames += body + crc16(body)

    def _skip(self) -> None:
        """Set aside what is no Modbus TCP, up to where the answer may begin."""
        begin = self._came.find(self._number.to_bytes(2, "big") + bytes(2), 1)
        junk = self._came if begin < 0 else self._came[:begin]
        self._came = self._came[len(junk) :]
        self.junk = (self.junk + junk)[-_JUNK:]


def told_late(wire: Wire | None) -> tuple[Unsolicited, ...]:
    """Return the late answers that `wire` has told apart since the last time."""
    if not isinstance(wire, Mbap):
        return ()
    found, wire.late = tuple(wire.late), []
    return found


def told_foreign(wire: Wire | None) -> tuple[Unsolicited, ...]:
    """Return the answers to others that `wire` has told apart since the last time."""
    if not isinstance(wire, Mbap):
        return ()
    found, wire.foreign = tuple(wire.foreign), []
    return found


def speaks_modbus_tcp(heard: bytes) -> bool:
    """Return whether `heard` is one frame of Modbus TCP, on a line where RTU was expected."""
    length = int.from_bytes(heard[4:6], "big")
    return (
        len(heard) == _HEAD + length
        and _SHORTEST < length <= _LONGEST
        and not any(heard[2:4])
        and heard[7] & 0x7F in (0x03, 0x04, 0x06, 0x10)
    )
