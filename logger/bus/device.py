"""Serial ports, of this machine or behind RFC 2217. The only importer of pyserial."""

from __future__ import annotations

import contextlib
import logging
import termios
from typing import Any, Literal, cast

import serial
import serial.rs485

from logger.bus.wire import Wire
from logger.config import Bus as BusConfig

log = logging.getLogger(__name__)

_PARITY = {"even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD, "none": serial.PARITY_NONE}


def open_serial(config: BusConfig, slice_s: float) -> tuple[serial.SerialBase, bool | None]:
    """Return the open port of `config`, and the level of RTS to set by hand while sending.

    That is None where the driver does it, or nobody. A read waits `slice_s` seconds at
    most. Raises OSError, termios.error or ValueError.
    """
    return _open(config, slice_s, config.rs485_rts)


def _open(
    config: BusConfig, slice_s: float, rts: Literal["off", "high", "low"]
) -> tuple[serial.SerialBase, bool | None]:
    remote = config.network is not None
    by_hand: bool | None = None
    # Many servers never say that they have set DTR and RTS, which nobody here needs.
    url = f"{config.port}?ign_set_control" if remote else config.port
    opened = serial.serial_for_url(
        url,
        do_not_open=True,
        baudrate=config.baudrate,
        parity=_PARITY[config.parity],
        stopbits=config.stopbits,
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
        log.info("bus %s: the driver does not switch RTS, done by hand", config.name)
        opened, _ = _open(config, slice_s, "off")
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
