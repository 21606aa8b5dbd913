"""The byte side of a bus: opening, draining, reading whole frames, local echo.

The only module that imports pyserial. To minimalmodbus a `Port` looks like a serial
port; it differs from one in handing over nothing but the answer to the request: echo,
noise, and answers to other questions stay here.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import termios
from dataclasses import replace
from typing import Literal

import serial
import serial.rs485

from logger.bus.elapsed import elapsed
from logger.bus.faults import explain
from logger.bus.frames import SHORTEST, Heard, Unsolicited, search, unsolicited
from logger.config import Bus as BusConfig
from logger.domain.errors import PortError

log = logging.getLogger(__name__)

# How long one look at the port lasts at most; a read ends by its own deadlines.
_SLICE_S = 0.05
# A frame is over when nothing came for this long. The standard says 1.5 characters,
# but USB adapters and TCP gateways deliver a frame in pieces. Never more than `timeout`.
_GAP_S = 0.25
# How much longer than its deadline a frame may take because the processor was busy.
_HELD_UP_S = 0.5
# No transaction brings more: 256 bytes of answer, its echo, a late answer before it.
_LONGEST = 1024
_DRAINS = 8
# What a port raises that cannot go on; termios.error is no OSError.
_FAULTS = (serial.SerialException, OSError, termios.error)
_PARITY = {"even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD, "none": serial.PARITY_NONE}


class Port:
    """A serial port or TCP gateway that reads one Modbus RTU frame at a time."""

    def __init__(self, config: BusConfig) -> None:
        self._config = config
        self._serial: serial.SerialBase | None = None
        self._by_hand: bool | None = None  # the level of RTS while sending, by our own hand
        self.request = b""
        self._sent = 0.0  # when the last request went out, seconds of `elapsed`
        self.heard_at = 0.0  # when the last answer was complete
        self.late_s = 0.0  # how long the last answer took if its frame outlasted its deadline
        self.timeout: float = config.timeout
        # None until an answer has shown whether the adapter echoes.
        self.echo: bool | None = None if config.local_echo == "auto" else config.local_echo
        self.last_answer = b""
        self.latency_s: float | None = None
        self.unsolicited: tuple[Unsolicited, ...] = ()
        self.unsolicited_bytes = 0

    # What minimalmodbus looks at.

    @property
    def port(self) -> str:
        """The name minimalmodbus keeps the line's last activity under."""
        return self._config.port

    @property
    def baudrate(self) -> int:
        """The line's speed, from which the silence between frames follows."""
        return self._config.baudrate

    @property
    def is_open(self) -> bool:
        """Tell whether the port is open."""
        return self._serial is not None

    def open(self) -> None:
        """Open the port. Raises PortError saying what to try."""
        if self._serial is not None:
            return
        self._by_hand = None
        try:
            self._serial = self._open(self._config.rs485_rts)
        except (*_FAULTS, ValueError) as err:
            raise explain(self._config, err) from err

    def _open(self, rts: Literal["off", "high", "low"]) -> serial.SerialBase:
        config = self._config
        opened = serial.serial_for_url(
            config.port,
            do_not_open=True,
            baudrate=config.baudrate,
            parity=_PARITY[config.parity],
            stopbits=config.stopbits,
            timeout=_SLICE_S,
            write_timeout=2.0,
        )
        if not config.port.startswith("socket://"):
            opened.exclusive = True
            if rts != "off":
                opened.rs485_mode = serial.rs485.RS485Settings(
                    rts_level_for_tx=rts == "high", rts_level_for_rx=rts != "high"
                )
        try:
            opened.open()
        except ValueError as err:
            if rts == "off" or "RS485" not in str(err):
                raise
            # The driver cannot switch RTS by itself: it is switched around each write.
            with contextlib.suppress(*_FAULTS):
                opened.close()
            log.info("bus %s: the driver does not switch RTS, done by hand", config.name)
            opened = self._open("off")
            self._by_hand = rts == "high"
            opened.rts = not self._by_hand
        if not config.port.startswith("socket://"):
            # Some ports take a parity at first and refuse it with the next setting.
            try:
                opened.timeout = _SLICE_S
            except termios.error:
                opened.close()
                raise
        if (line := _socket_of(opened)) is not None:
            # A request must not wait for the acknowledgement of the one before.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def close(self) -> None:
        """Close the port; the next transaction opens it again."""
        port, self._serial = self._serial, None
        if port is None:
            return
        line = _socket_of(port)
        try:
            port.close()
        except _FAULTS as err:  # it went away: that is closed too
            log.debug("bus %s: closing %s: %s", self._config.name, self.port, err)
        if line is not None:  # pyserial leaves a socket open whose other end is closed
            line.close()

    def reset_input_buffer(self) -> None:
        """Throw away what is left of earlier answers, but note whose they were."""
        port = self._opened()
        drained = b""
        try:
            patience = port.timeout
            for _ in range(_DRAINS):  # a babbling line never runs dry
                if not port.in_waiting:
                    break
                port.timeout = 0
                drained += port.read(4096)
                port.timeout = patience
        except _FAULTS as err:
            raise self._lost(err) from err
        self.unsolicited = unsolicited(drained)
        self.unsolicited_bytes += len(drained)

    def reset_output_buffer(self) -> None:
        """Nothing waits for output: every write is flushed."""

    def flush(self) -> None:
        """Wait until everything is written."""
        try:
            self._opened().flush()
        except _FAULTS as err:
            raise self._lost(err) from err

    def write(self, data: bytes) -> int:
        """Send a request."""
        self.request = bytes(data)
        self.last_answer = b""
        self.late_s = 0.0
        self._sent = elapsed()  # before, for this program may be stopped in between
        port = self._opened()
        try:
            if self._by_hand is not None:
                port.rts = self._by_hand
            port.write(data)
            if self._by_hand is not None:
                port.flush()
                port.rts = not self._by_hand
        except _FAULTS as err:
            raise self._lost(err) from err
        return len(data)

    def read(self, size: int) -> bytes:
        """Return the answer, `size` bytes or a refusal, or nothing when none came.

        Waits up to `timeout` for an answer to begin, and never longer than it and two
        such frames would take; a frame that is complete later, since this program was
        stopped, is none: nobody knows when its bytes came. `last_answer` then holds what
        was heard instead.
        """
        character_s = self._config.character_s
        gap_s = max(min(_GAP_S, self.timeout), 10 * character_s)
        sent = self._sent + len(self.request) * character_s
        until = sent + self.timeout
        latest = until + 2 * (len(self.request) + size) * character_s + gap_s
        slice_s = min(_SLICE_S, self.timeout / 10)
        try:
            if self._opened().timeout != slice_s:
                self._opened().timeout = slice_s
        except _FAULTS as err:
            raise self._lost(err) from err
        heard, found, before = b"", Heard(missing=size), self.unsolicited
        self.latency_s = None
        while True:
            more = self._some(found.missing if heard else min(size, 3))
            now = elapsed()
            if more:
                heard += more
                known, found = len(found.unsolicited), search(self.request, size, heard, self.echo)
                if self.latency_s is None and len(heard) > found.echoes * len(self.request):
                    self.latency_s = max(now - sent, 0.0)
                if found.frame and not found.missing:
                    break
                if len(found.unsolicited) > known <= 1:  # the meter was busy with an older question
                    until = now + self.timeout
                    latest += self.timeout
                elif found.junk >= SHORTEST or found.missing < size:
                    until = now + gap_s  # an answer, good or bad: it ends with a silence
                else:
                    until = max(until, now + gap_s)
            if now >= latest or len(heard) > _LONGEST or (not more and now >= until):
                break
        if found.frame and now > latest + _HELD_UP_S:
            self.late_s = now - sent
            found = replace(found, frame=b"")
        self.heard_at = now
        self._note_echo(found)
        self.unsolicited = before + found.unsolicited
        self.last_answer = found.frame or heard[found.echoes * len(self.request) :]
        return found.frame

    def receive(self, size: int) -> bytes:
        """Return what comes within one look at the port, at most `size` bytes, as it is.

        For what finds its frames itself. Raises PortError.
        """
        return self._some(size)

    def _note_echo(self, found: Heard) -> None:
        if self._config.local_echo != "auto" or not (found.frame or found.echoes):
            return
        if found.echoes and not self.echo:
            log.info(
                "bus %s: the adapter echoes what is sent; the echo is skipped from now on",
                self._config.name,
            )
        self.echo = bool(found.echoes)

    def _some(self, size: int) -> bytes:
        try:
            return bytes(self._opened().read(max(size, 1)))
        except _FAULTS as err:
            raise self._lost(err) from err

    def _opened(self) -> serial.SerialBase:
        if self._serial is None:
            raise PortError(f"bus {self._config.name}: {self.port} is closed")
        return self._serial

    def _lost(self, err: Exception) -> PortError:
        self.close()
        if isinstance(err, termios.error) and err.args[:1] == (errno.EINVAL,):
            return explain(self._config, err)
        return PortError(
            f"bus {self._config.name}: {self.port} went away: {err}",
            "is the adapter still plugged in, the gateway reachable?",
        )


def _socket_of(port: serial.SerialBase) -> socket.socket | None:
    """Return the socket under a port on TCP."""
    line = getattr(port, "_socket", None)
    return line if isinstance(line, socket.socket) else None
