"""The byte side of a bus: opening, draining, reading whole frames, local echo.

The only module that imports pyserial. To minimalmodbus a `Port` looks like a serial
port; it differs from one in ending a read as soon as the frame is over, instead of
waiting for bytes that a refusal (an exception frame of five bytes) never brings.
"""

from __future__ import annotations

import errno
import getpass
import logging
import time
from pathlib import Path
from typing import Literal

import serial

from logger.config import Bus as BusConfig
from logger.errors import PortError

log = logging.getLogger(__name__)

# How long one look at the port lasts; a read ends by its own deadlines.
_SLICE_S = 0.05
# A frame is over when nothing came for this long. The standard says 1.5 characters,
# but USB adapters and TCP gateways deliver a frame in pieces.
_GAP_S = 0.25
# After an answer that cannot be believed the line must be quiet for this long.
_QUIET_S = 0.05
_SETTLE_AT_MOST_S = 0.5
_EXCEPTION_FRAME = 5
_PARITY = {"even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD, "none": serial.PARITY_NONE}


class Port:
    """A serial port or TCP gateway that reads one Modbus RTU frame at a time."""

    def __init__(self, config: BusConfig) -> None:
        self._config = config
        self._serial: serial.SerialBase | None = None
        self.timeout: float = config.timeout
        self.echo: bool | Literal["auto"] = config.local_echo
        self.last_answer = b""
        self.stray_bytes = 0
        self._request = b""

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
        config = self._config
        try:
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
            opened.open()
        except (serial.SerialException, OSError, ValueError) as err:
            raise explain(config, err) from err
        self._serial = opened

    def close(self) -> None:
        """Close the port; the next transaction opens it again."""
        port, self._serial = self._serial, None
        if port is not None:
            try:
                port.close()
            except (serial.SerialException, OSError) as err:  # it went away: that is closed too
                log.debug("bus %s: closing %s: %s", self._config.name, self.port, err)

    def reset_input_buffer(self) -> None:
        """Throw away what is left of earlier answers."""
        port = self._opened()
        try:
            port.reset_input_buffer()
        except (serial.SerialException, OSError) as err:
            raise self._lost(err) from err

    def reset_output_buffer(self) -> None:
        """Nothing waits for output: every write is flushed."""

    def flush(self) -> None:
        """Wait until everything is written."""
        try:
            self._opened().flush()
        except (serial.SerialException, OSError) as err:
            raise self._lost(err) from err

    def write(self, data: bytes) -> int:
        """Send a request."""
        self._request = bytes(data)
        self.last_answer = b""
        port = self._opened()
        try:
            port.write(data)
        except (serial.SerialException, OSError) as err:
            raise self._lost(err) from err
        return len(data)

    def read(self, size: int) -> bytes:
        """Return the answer, at most `size` bytes, without the echo of the request.

        Waits up to `timeout` for the first byte, ends when the frame is complete, when
        it turns out to be a refusal, or when the line falls silent.
        """
        frame = self._receive(b"", min(size, 2), self.timeout)
        if len(frame) < 2 or frame[1] & 0x80:
            wanted = _EXCEPTION_FRAME if len(frame) == 2 else 0
            self.last_answer = self._receive(frame, wanted, _GAP_S)
            return self.last_answer
        if self.echo is not False and frame == self._request[:2]:
            frame = self._receive(frame, min(size, len(self._request)), _GAP_S)
            if self._is_echo(frame):
                self._heard_echo()
                rest = len(self._request) - len(frame)
                self._receive(b"", rest, _GAP_S)
                return self._after_echo(size)
        self.last_answer = self._receive(frame, size, _GAP_S)
        return self.last_answer

    def settle(self) -> None:
        """Wait until the line is quiet, so that the rest of a bad answer goes by."""
        until = time.monotonic() + _SETTLE_AT_MOST_S
        while time.monotonic() < until and self._receive(b"", 1, _QUIET_S):
            self.reset_input_buffer()

    def _after_echo(self, size: int) -> bytes:
        echo, self.echo = self.echo, False  # what follows the echo is the answer
        try:
            return self.read(size)
        finally:
            self.echo = echo

    def _is_echo(self, frame: bytes) -> bool:
        """Tell an echo from an answer: a write's answer may equal the request."""
        head = self._request[: len(frame)]
        if frame != head or len(frame) < 3:
            return False
        if self._request[1] == 3:  # an answer has its byte count where we sent an address
            return frame[2] != 2 * int.from_bytes(self._request[4:6], "big")
        return self.echo is True

    def _heard_echo(self) -> None:
        if self.echo == "auto":
            log.info(
                "bus %s: the adapter echoes what is sent; the echo is skipped from now on",
                self._config.name,
            )
            self.echo = True

    def _receive(self, have: bytes, size: int, patience_s: float) -> bytes:
        """Add bytes to `have` until there are `size`, or none came for `patience_s`."""
        port = self._opened()
        got = bytearray(have)
        deadline = time.monotonic() + patience_s
        while len(got) < size:
            try:
                more = port.read(size - len(got))
            except (serial.SerialException, OSError) as err:
                raise self._lost(err) from err
            if more:
                got += more
                deadline = time.monotonic() + _GAP_S
            elif time.monotonic() >= deadline:
                break
        return bytes(got)

    def _opened(self) -> serial.SerialBase:
        if self._serial is None:
            raise PortError(f"bus {self._config.name}: {self.port} is closed")
        return self._serial

    def _lost(self, err: Exception) -> PortError:
        self.close()
        return PortError(
            f"bus {self._config.name}: {self.port} went away: {err}",
            "is the adapter still plugged in, the gateway reachable?",
        )


def explain(config: BusConfig, err: Exception) -> PortError:
    """Say why the port of `config` could not be opened, and what to try."""
    where = f"bus {config.name}: {config.port}"
    number = _errno(err)
    if config.port.startswith("socket://"):
        return PortError(
            f"{where}: no connection: {err}", "is the gateway switched on, host and port right?"
        )
    if number == errno.ENOENT:
        return PortError(
            f"{where}: no such device", "is the adapter plugged in? ls -l /dev/serial/by-id"
        )
    if number in {errno.EACCES, errno.EPERM}:
        return PortError(
            f"{where}: no permission",
            f"add the user to the group of the port: sudo usermod -aG {_group(config.port)} "
            f"{getpass.getuser()}, then log in again",
        )
    if number in {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}:
        return PortError(f"{where}: in use by another program", "stop that program first")
    if number == errno.EINVAL or isinstance(err, ValueError):
        return PortError(
            f"{where}: refuses {config.baudrate} baud, parity {config.parity}: {err}",
            'a pseudo-terminal knows no parity: set parity = "none"',
        )
    return PortError(f"{where}: cannot be opened: {err}")


def _errno(err: Exception) -> int | None:
    """Return the system's error number; termios keeps it in its arguments only."""
    for one in (err, err.__cause__, err.__context__):
        if one is None:
            continue
        if isinstance(number := getattr(one, "errno", None), int):
            return number
        if one.args and isinstance(one.args[0], int):
            return one.args[0]
    return None


def _group(port: str) -> str:
    try:
        return Path(port).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"
