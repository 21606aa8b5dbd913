"""Quirks of the line: what happens to bytes between a meter and its master."""

from __future__ import annotations

from logger.mbus import frames
from logger.simulate.frame import crc16
from logger.simulate.quirk import Pieces, Quirk

# What an M-Bus frame has around the bytes that it counts.
_AROUND_MBUS = 6


class Echo(Quirk):
    name = "echo"
    text = "the adapter hears itself: every request comes back before its answer"
    echoes = True


class ZeroBytes(Quirk):
    name = "zero-bytes"
    text = "zero bytes slip into answers"

    def spoiled(self, frame: bytes) -> Pieces:
        if not self.dice.chance(self.rate):
            return [(0.0, frame)]
        place = self.dice.below(len(frame) + 1)
        return [(0.0, frame[:place] + bytes(1 + self.dice.below(3)) + frame[place:])]


class DropBytes(Quirk):
    name = "drop-bytes"
    text = "bytes get lost from answers"

    def spoiled(self, frame: bytes) -> Pieces:
        if not self.dice.chance(self.rate) or not frame:
            return [(0.0, frame)]
        place = self.dice.below(len(frame))
        return [(0.0, frame[:place] + frame[place + 1 + self.dice.below(3) :])]


class FlipBits(Quirk):
    name = "flip-bits"
    text = "bits turn over in answers"

    def spoiled(self, frame: bytes) -> Pieces:
        if not self.dice.chance(self.rate) or not frame:
            return [(0.0, frame)]
        wrong = bytearray(frame)
        for _ in range(1 + self.dice.below(3)):
            wrong[self.dice.below(len(wrong))] ^= 1 << self.dice.below(8)
        return [(0.0, bytes(wrong))]


class SplitFrames(Quirk):
    name = "split-frames"
    text = "answers come in pieces with pauses of up to 30 ms"

    def spoiled(self, frame: bytes) -> Pieces:
        pieces: Pieces = []
        rest, pause = frame, 0.0
        while rest:
            size = 1 + self.dice.below(max(len(frame) // 3, 1))
            pieces.append((pause, rest[:size]))
            rest, pause = rest[size:], self.dice.between(0.0, 0.03)
        return pieces


class LateAnswer(Quirk):
    name = "late-answer"
    text = "every answer comes one request late"

    def __init__(self, seed: int = 1, address: int | None = None, rate: float = 0.3) -> None:
        super().__init__(seed, address, rate)
        self._held = b""

    def spoiled(self, frame: bytes) -> Pieces:
        self._held = frame
        return []

    def overdue(self) -> bytes:
        held, self._held = self._held, b""
        return held


class WrongAddress(Quirk):
    name = "wrong-address"
    text = "some answers carry the address of another meter, with a right checksum"

    def spoiled(self, frame: bytes) -> Pieces:
        if not self.dice.chance(self.rate) or len(frame) < 4:
            return [(0.0, frame)]
        if frame[0] == frames.LONG_START and len(frame) == frame[1] + _AROUND_MBUS:
            return [(0.0, frames.long(frame[4], frame[5] % 250 + 1, frame[6], frame[7:-2]))]
        body = bytes((frame[0] % 247 + 1,)) + frame[1:-2]
        return [(0.0, body + crc16(body))]


class EverySecond(Quirk):
    name = "every-second"
    text = "every second request goes unanswered"

    def __init__(self, seed: int = 1, address: int | None = None, rate: float = 0.3) -> None:
        super().__init__(seed, address, rate)
        self._count = 0

    def silences(self, pdu: bytes) -> bool:  # noqa: ARG002
        self._count += 1
        return self._count % 2 == 0


class CopiesAnswers(Quirk):
    name = "copies-answers"
    text = "every answer goes to every master, as some gateways send it"
    copies = True


class OneWire(Quirk):
    name = "one-wire"
    text = "every master hears requests and answers of the others, as on one pair of wires"
    copies = True
    joins = True


class Babble(Quirk):
    name = "babble"
    text = "random bytes without end"
    babbles = True

    def noise(self) -> bytes:
        return bytes(self.dice.below(256) for _ in range(1 + self.dice.below(8)))
