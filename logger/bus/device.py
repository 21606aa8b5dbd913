"""Serial ports, of this machine or behind RFC 2217. The only importer of pyserial."""

from __future__ import annotations

import contextlib
import logging
import os
import termios
from typing import Any, Literal, Protocol, cast

import serial
import serial.rs485

from logger.bus.wire import Wire
from logger.config import Bus as BusConfig

log = logging.getLogger(__name__)

_PARITY = {"even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD, "none": serial.PARITY_NONE}


class Speed(Protocol):
    """How a device is set."""

    @property
    def baudrate(self) -> int:
        """Bits a second."""
        ...

    @property
    def parity(self) -> Literal["even", "odd", "none"]:
        """The parity bit."""
        ...

    @property
    def stopbits(self) -> Literal[1, 2]:
        """How many stop bits."""
        ...

    @property
    def rs485_rts(self) -> Literal["off", "high", "low"]:
        """The level of RTS while sending, where that switches the driver."""
        ...


class SerialPort:
    """An open device that another master speaks to; it is read by its file number."""

    def __init__(self, port: serial.SerialBase, by_hand: bool | None) -> None:
        self._port = port
        self._by_hand = by_hand

    def fileno(self) -> int:
        """Return the file number, which does not block."""
        return int(self._port.fileno())

    def send(self, data: bytes) -> int:
        """Return how many bytes of `data` the device took. Raises OSError."""
        if self._by_hand is None:
            return os.write(self.fileno(), data)
        try:
            self._port.rts = self._by_hand
            sent = os.write(self.fileno(), data)
            termios.tcdrain(self.fileno())
            self._port.rts = not self._by_hand
        except termios.error as err:
            raise OSError(*err.args) from err
        return sent

    def close(self) -> None:
        """Close the device."""
        self._port.close()


def open_device(device: str, speed: Speed) -> SerialPort:
    """Return `device`, open for answers to another master. Raises OSError."""
    try:
        return SerialPort(*_open(device, "share", speed, 0.0, speed.rs485_rts, remote=False))
    except (serial.SerialException, termios.error, ValueError) as err:
        raise OSError(f"{device}: {err}") from err


def open_serial(config: BusConfig, slice_s: float) -> tuple[serial.SerialBase, bool | None]:
    """Return the open port of `config`, and the level of RTS to set by hand while sending.

    That is None where the driver does it, or nobody. A read waits `slice_s` seconds at
    most. Raises OSError, termios.error or ValueError.
    """
    remote = config.network is not None
    return _open(config.port, config.name, config, slice_s, config.rs485_rts, remote=remote)


def _open(
    port: str,
    name: str,
    speed: Speed,
    slice_s: float,
    rts: Literal["off", "high", "low"],
    *,
    remote: bool,
) -> tuple[serial.SerialBase, bool | None]:
    by_hand: bool | None = None
    # Many servers never say that they have set DTR and RTS, which nobody here needs.
    url = f"{port}?ign_set_control" if remote else port
    opened = serial.serial_for_url(
        url,
        do_not_open=True,
        baudrate=speed.baudrate,
        parity=_PARITY[speed.parity],
        stopbits=speed.stopbits,
        timeout=slice_s,
        **({} if remote else {"write_timeout": 2.0}),
    )
    if not remote:
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
        with contextlib.suppress(OSError, termios.error):
            opened.close()
        log.info("bus %s: the driver does not switch RTS, done by hand", name)
        opened, _ = _open(port, name, speed, slice_s, "off", remote=remote)
        by_hand = rts == "high"
        opened.rts = not by_hand
    if not remote:
        # Some ports take a parity at first and refuse it with the next setting.
        try:
            opened.timeout = slice_s
        except termios.error:
            opened.close()
            raise
    return opened, by_hand


def send(port: Wire, data: bytes, rts: bool | None) -> None:
    """Send `data`, with RTS at the level `rts` meanwhile if it is switched by hand."""
    if rts is None:
        port.write(data)
        return
    by_hand = cast("Any", port)
    by_hand.rts = rts
    port.write(data)
    port.flush()
    by_hand.rts = not rts
