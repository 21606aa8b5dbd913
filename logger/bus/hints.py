"""What to try when a line fails, by the kind of its port. Pure.

Behind a gateway the wires, speed and parity of the line are the gateway's: who asks
through it is never told to change them here.
"""

from __future__ import annotations

from logger.bus.mbap import speaks_modbus_tcp
from logger.config import Bus as BusConfig
from logger.config.ports import Network

_FACTORY = "the meters' factory setting is 9600 baud, even parity, one stop bit"


def parity_text(config: BusConfig) -> str:
    """Return the parity of `config` in words."""
    return "no parity" if config.parity == "none" else f"{config.parity} parity"


def no_answer(config: BusConfig, address: int) -> str:
    """Say what to try when nobody answers at `address`."""
    place = config.network
    if place is None:
        return (
            f"is the meter powered, its address {address}, the line {config.baudrate} baud with "
            f"{parity_text(config)}, A and B not swapped?"
        )
    if place.scheme == "rfc2217":
        return (
            f"is the meter powered, its address {address}, the line {config.baudrate} baud with "
            f"{parity_text(config)}? Those are set from here"
        )
    return (
        f"is the meter powered, its address {address}, speed and parity of the line right in the "
        f"gateway ({_FACTORY}){_other_mode(config, place)}"
    )


def garbled(config: BusConfig, answer: bytes, *, rtu: bool) -> str:
    """Say what an answer that cannot be believed comes from.

    `rtu` tells that RTU frames came where Modbus TCP was expected.
    """
    if config.network is None:
        return "wrong parity or speed, bad termination or two meters on one address look like this"
    return other_way(config, answer, rtu=rtu) or (
        "speed and parity of the line in the gateway, two meters on one address, or a gateway "
        "that cuts long answers (longest_block) look like this"
    )


def other_way(config: BusConfig, answer: bytes, *, rtu: bool) -> str:
    """Say that a gateway speaks the other way than expected, "" when it does not; as `garbled`."""
    place = config.network
    if place is not None and rtu:
        return f'this gateway passes RTU frames: write port = "{place.spoken_as("socket")}"'
    if place is not None and place.scheme != "tcp" and speaks_modbus_tcp(answer):
        return f'this gateway speaks Modbus TCP: write port = "{place.spoken_as("tcp")}"'
    return ""


def lost(config: BusConfig, *, rtu: bool) -> str:
    """Say what to try when an open port goes away; `rtu` as in `garbled`."""
    place = config.network
    if place is None:
        return "is the adapter still plugged in?"
    if rtu:
        return garbled(config, b"", rtu=True)
    return (
        "is the gateway reachable, and does it take another client beside those it has?"
        f"{_other_mode(config, place)}"
    )


def _other_mode(config: BusConfig, place: Network) -> str:
    """Name the other way to speak to the gateway: in the wrong one most are silent, or hang up."""
    if config.protocol == "mbus":  # a level converter passes bytes
        return ""
    match place.scheme:
        case "tcp":
            return f"; a gateway that passes RTU frames is {place.spoken_as('socket')}"
        case "socket":
            return f"; a gateway that speaks Modbus TCP is {place.spoken_as('tcp')}"
        case _:
            return ""
