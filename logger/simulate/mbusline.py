"""A virtual M-Bus line: paced like the other, with selection and collisions.

Meters answer by drawing current: a 0 of one wins over a 1 of another. Answers that come
together are therefore combined bit by bit, which spoils them unless they are the same.
"""

from __future__ import annotations

from logger.domain.errors import SimulationError
from logger.mbus import frames
from logger.simulate.channel import Channel
from logger.simulate.frame import FrameReader, Request
from logger.simulate.line import VirtualLine
from logger.simulate.mbusmeter import VirtualMbusMeter
from logger.simulate.served import Served

_SET_ADDRESS = bytes.fromhex("017A")
_WAKING = (0xB4, 0xB1)
_ACK = bytes((frames.ACK,))
_RATE = {information: rate for rate, information in frames.CI_BAUDRATE.items()}


class MbusFrames(FrameReader):
    """Cuts a stream of bytes into the frames of a master; `pdu` is C and all behind A."""

    def take(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes."""
        self._bytes += data
        found = []
        while self._bytes:
            start = self._bytes[0]
            if start == frames.SHORT_START:
                size, body = 5, slice(1, 3)
            elif start == frames.LONG_START and len(self._bytes) > 1:
                size = self._bytes[1] + 6
                body = slice(4, size - 2)
            elif start == frames.LONG_START:
                break
            else:
                del self._bytes[0]
                continue
            if len(self._bytes) < size:
                break
            raw = bytes(self._bytes[:size])
            if raw[-1] != frames.STOP or frames.checksum(raw[body]) != raw[-2]:
                del self._bytes[0]
                continue
            del self._bytes[:size]
            inner = raw[body]
            found.append(Request(raw, inner[1], inner[:1] + inner[2:]))
        return found

    def silence(self) -> list[Request]:
        """Forget what is no whole frame."""
        self._bytes.clear()
        return []


class MbusLine(VirtualLine):
    """A line with M-Bus meters; two on one address, and a wildcard, bring a collision."""

    def _check_meters(self) -> None:
        if any(not isinstance(meter, VirtualMbusMeter) for meter in self.meters):
            raise SimulationError("a Modbus meter on an M-Bus line", "one protocol a line")

    def _new_reader(self) -> FrameReader:
        return MbusFrames()

    def _serve(self, channel: Channel, request: Request, arrived: float) -> float:
        """Let every meter concerned answer, and send what becomes of it on the line."""
        control = request.pdu[0]
        self.requests[request.address, control, 0, 0] += 1
        heard = arrived + len(request.raw) * self._character_s
        if any(quirk.echoes for quirk in self.quirks):
            self._send(channel, request.raw, arrived)
        begin = heard + self._delay_s
        overdue = b"".join(quirk.overdue() for quirk in self.quirks)
        if overdue:
            begin = self._send(channel, overdue, begin)
        answers: list[bytes] = []
        for meter in self._mbus_meters():
            pieces = self._ask_one(meter, request)
            if pieces is None:
                continue
            delay, answer = pieces
            begin += delay
            answers.append(answer)
        if not answers:
            return heard
        self.answered += 1
        whole = _together(answers)
        pieces_out = [(0.0, whole)]
        for quirk in self.quirks:
            pieces_out = [
                (pause + more, part)
                for pause, one in pieces_out
                for more, part in quirk.spoiled(one)
            ]
        for pause, part in pieces_out:
            begin = self._send(channel, part, begin + pause)
        return begin

    def _ask_one(self, meter: VirtualMbusMeter, request: Request) -> tuple[float, bytes] | None:
        """Return how long `meter` takes and what it sends; None when it is not concerned."""
        quirks = [quirk for quirk in self.quirks if quirk.concerns(meter.address)]
        at = self._clock()
        own = request.address in (meter.address, frames.EVERYBODY)
        own |= request.address == frames.SELECTED and meter.is_selected
        selecting = request.pdu[1:2] == bytes((frames.CI_SELECT,))
        if not own and not (selecting and request.address == frames.SELECTED):
            return None
        if any(quirk.silences(request.pdu) for quirk in quirks):
            return None
        answer = _obey(meter, request.pdu, at)
        if answer is None:
            return None
        if self._on_served is not None:
            self._on_served(Served(at, meter.address, request.pdu, answer))
        return sum(quirk.delay_s() for quirk in quirks), answer

    def _mbus_meters(self) -> list[VirtualMbusMeter]:
        return [meter for meter in self._listening(None) if isinstance(meter, VirtualMbusMeter)]


def _obey(meter: VirtualMbusMeter, pdu: bytes, at: float) -> bytes | None:
    control, information, data = pdu[0], pdu[1:2], pdu[2:]
    if control == frames.SND_NKE:
        meter.reset()
        return _ACK
    if control & ~frames.FRAME_COUNT_BIT == frames.REQ_UD2:
        return meter.respond(bool(control & frames.FRAME_COUNT_BIT), at)
    if control & ~frames.FRAME_COUNT_BIT != frames.SND_UD or not information:
        return None
    if information[0] == frames.CI_SELECT:
        meter.is_selected = _fits(meter, data)
        meter.reset()
        return _ACK if meter.is_selected else None
    if information[0] in _RATE:
        meter.identity.baudrate = _RATE[information[0]]
    elif information[0] == frames.CI_DATA and data[:2] == _SET_ADDRESS and len(data) == 3:
        meter.identity.address = data[2]
    elif information[0] in _WAKING and meter.has_phases():
        meter.is_awake = True
    return _ACK


def _fits(meter: VirtualMbusMeter, data: bytes) -> bool:
    """Return whether a selection means `meter`."""
    digits = data[3::-1].hex().upper()
    pairs = zip(digits, meter.serial, strict=True)
    return len(data) == 8 and all(wanted in ("F", own) for wanted, own in pairs)


def _together(answers: list[bytes]) -> bytes:
    """Return what is on the line when `answers` begin together: a 0 wins over a 1."""
    longest = max(map(len, answers))
    whole = bytearray(b"\xff" * longest)
    for answer in answers:
        for place, byte in enumerate(answer):
            whole[place] &= byte
    return bytes(whole)
