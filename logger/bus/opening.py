"""Opens what is beneath a port: a device, a connection to a gateway, or one from it."""

from __future__ import annotations

from secrets import randbelow
from typing import cast

from logger.bus.device import open_serial
from logger.bus.mbap import Mbap
from logger.bus.sockets import Listener, connect
from logger.bus.units import Units
from logger.bus.wire import Wire
from logger.config import Bus as BusConfig


def open_wire(
    config: BusConfig, listener: Listener | None, units: Units, slice_s: float, patience_s: float
) -> tuple[Wire, bool | None]:
    """Return the open wire of `config`, and the level of RTS while sending by our own hand.

    One look at it lasts `slice_s`; `listener` waits `patience_s` for a gateway. Raises
    OSError, termios.error and ValueError.
    """
    place = config.network
    if place is None or place.scheme == "rfc2217":
        opened, by_hand = open_serial(config, slice_s)
        return cast("Wire", opened), by_hand
    if listener is not None:
        return listener.accept(slice_s, patience_s), None
    wire = connect(place, slice_s)
    return (Mbap(wire, units, randbelow(0xFFFF)) if place.scheme == "tcp" else wire), None
