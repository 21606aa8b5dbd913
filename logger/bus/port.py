"""The byte side of a bus: draining, reading whole frames, local echo.

Beneath it is a `Wire`: a serial port, or a connection on the network. To minimalmodbus a
`Port` looks like a serial port; it differs from one in handing over nothing but the answer
to the request: echo, noise, and answers to other questions stay here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import cast

from logger.bus.belated import Belated
from logger.bus.connection import FAULTS, SLICE_S, Connection
from logger.bus.device import send
from logger.bus.echo import Echo
from logger.bus.elapsed import elapsed
from logger.bus.frames import HEARTBEAT, Heard, Unsolicited, lacking, overheard, search
from logger.bus.mbap import Mbap, told_foreign, told_late
from logger.bus.waiting import Waiting
from logger.config import Bus as BusConfig
from logger.domain.errors import PortError

# A frame is over when nothing came for this long. The standard says 1.5 characters,
# but USB adapters and TCP gateways deliver a frame in pieces. Never more than `timeout`.
_GAP_S = 0.25
_HELD_UP_S = 0.5  # so much longer than its deadline a frame may take on a busy processor
# 256 bytes of answer, its echo, a late answer before it; others may be busy.
_LONGEST, _DRAINS, _LONGEST_DRAIN, _BUSY = 1024, 64, 65536, 8192


class Port(Connection):
    """A serial port or gateway that reads one Modbus RTU frame at a time."""

    def __init__(self, config: BusConfig) -> None:
        super().__init__(config)
        self._config = config
        self._character_s = config.character_s
        self.belated = Belated(config.name)
        self.request = b""
        self._sent = 0.0  # when the last request went out, seconds of `elapsed`
        # When the last answer was complete; how long it took if it outlasted its deadline.
        self.heard_at = self.late_s = 0.0
        self.timeout: float = config.timeout
        self.echo = Echo(config)
        self.last_answer = b""
        self.latency_s: float | None = None
        self.took_s = 0.0  # from the last request to the end of its answer
        self.unsolicited = self.asked = cast("tuple[Unsolicited, ...]", ())  # those of others
        self._tail, self._tail_at = b"", 0.0  # the begin of a frame of others, and when it came

    def drop(self) -> None:
        """Close the connection, but go on waiting for a gateway that connects to here."""
        super().drop()
        self._tail = b""

    @property
    def strange(self) -> bytes:
        """What came and is no Modbus TCP where that was expected, or no whole frame."""
        if isinstance(self.wire, Mbap):
            return self.wire.junk + self.wire.begun
        return self._tail if self._tail[:2] == self.request[:2] else b""

    def reset_input_buffer(self) -> None:
        """Throw away what is left of earlier answers, but note whose they were."""
        port, drained = self.opened(), b""
        try:
            for _ in range(_DRAINS):  # a line full of noise is never silent
                if not (waiting := port.in_waiting):
                    break
                drained += port.read(min(waiting, 4096))
        except FAULTS as err:
            raise self.lost(err) from err
        self._take_note(drained)

    def _take_note(self, came: bytes) -> None:
        """Note what others said: `came` is no answer to any question."""
        begun = self._tail + came
        found = overheard(begun, self.request) if begun else Heard()
        if came:
            self._tail = (self._tail + came)[-found.begun :] if found.begun else b""
            self._tail_at = elapsed()
        elif elapsed() - self._tail_at > self._config.timeout:
            self._tail = b""  # its rest does not come any more
        self.unsolicited = told_late(self.wire) + found.unsolicited
        self.asked = found.asked + told_foreign(self.wire)
        self.belated.unsolicited(self.unsolicited, elapsed())

    def listen(self, quiet_s: float, at_most_s: float) -> None:
        """Listen to the line until it was quiet for `quiet_s`; nothing was asked.

        Raises PortError.
        """
        came, until, end = b"", elapsed() + quiet_s, elapsed() + at_most_s
        self.look_for(min(SLICE_S, quiet_s))
        while (now := elapsed()) < min(until, end) and len(came) < _LONGEST_DRAIN:
            if more := self.receive(_LONGEST):
                came += more
                until = now + quiet_s
        self._take_note(came)

    def reset_output_buffer(self) -> None:
        """Nothing waits for output: every write is flushed."""

    def write(self, data: bytes) -> int:
        """Send a request."""
        self.request = bytes(data)
        self.last_answer, self.late_s = b"", 0.0
        self._sent = elapsed()  # before, for this program may be stopped in between
        port = self.opened()
        try:
            send(port, data, self.by_hand)
        except FAULTS as err:
            raise self.lost(err) from err
        return len(data)

    def read(self, size: int) -> bytes:
        """Return the answer, `size` bytes or a refusal, or nothing when none came.

        Waits up to `timeout` for an answer to begin (`Waiting`); a frame that is complete
        after the end of the wait, since this program was stopped, is none: nobody knows when
        its bytes came. `last_answer` then holds what was heard instead.
        """
        character_s = self._character_s
        gap_s = max(self._config.gap or min(_GAP_S, self.timeout), 10 * character_s)
        sent = self._sent + len(self.request) * character_s
        until = sent + self.timeout
        latest = until + 2 * (len(self.request) + size) * character_s + gap_s
        if self.patient:  # what was learned shortens the wait for the first byte only
            latest += max(self._config.timeout - self.timeout, 0.0)
        self.look_for(min(SLICE_S, self.timeout / 10))
        waiting = Waiting(self.request, size, self.timeout, gap_s, until, latest, self.patient)
        old, before = len(self._tail), self.unsolicited
        heard, found = self._tail, Heard(missing=size)
        self.latency_s, guessed, look = None, 0, partial(search, self.request, size)
        given_up = b""  # what a gateway said, behind which the answer is waited for
        while True:
            try:
                more = self.receive(found.missing if len(heard) > old else min(size, 3))
            except PortError:
                if len(heard) == old:
                    raise
                now = elapsed()
                break  # closed behind the answer, good or bad
            now = elapsed()
            heard += more
            if more and not old and (guessed := lacking(self.request, size, heard)):
                found = Heard(missing=guessed)  # most often; a search costs more
            elif more or guessed:
                found, guessed = look(heard, self.echo.there, old), 0
            if more or found.others > waiting.others:
                others = found.others or found.begun or old
                if not others and len(heard) > found.echoes * len(self.request):
                    self.latency_s = self.latency_s or max(now - sent, 0.0)
                if found.frame and not found.missing:
                    if not self.belated.goes_on(found.frame, self.request, now - sent):
                        break
                    given_up, old, self.latency_s = found.frame, 0, None
                    before, heard = before + found.unsolicited, b""
                    found, waiting.latest = Heard(missing=size), until
                    continue
                waiting.heard(found, heard, now)
            begun = self.patient and isinstance(self.wire, Mbap) and self.wire.begun
            ended = waiting.over(found, more, now) and (now >= waiting.latest or not begun)
            if ended or self.units.refused or found.junk > _LONGEST or len(heard) > _BUSY:
                break
        found = look(heard, self.echo.there, old) if guessed else found
        if found.frame and now > waiting.latest + _HELD_UP_S:
            self.late_s = now - sent
            found = replace(found, frame=b"", rubbish=found.rubbish + found.frame)
        if given_up and found.frame:
            self.belated.came(self.request[0], now - sent, now)
        elif given_up:
            self.belated.in_vain(self.request[0])
            found = replace(found, frame=given_up)
        self.heard_at, self.took_s = now, now - self._sent
        self.echo.note(found)
        self._tail, self._tail_at = heard[-found.begun :] if found.begun else b"", now
        self.unsolicited = before + found.unsolicited + told_late(self.wire)
        self.asked += found.asked + told_foreign(self.wire)
        self.belated.unsolicited(self.unsolicited, now)
        self.last_answer = found.frame or (found.rubbish.strip(HEARTBEAT) and found.rubbish)
        self.heard |= bool(found.frame)
        return found.frame
