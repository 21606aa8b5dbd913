"""What is wrong with an answer on M-Bus, in words, and what to try. Pure."""

from __future__ import annotations

from logger.bus.faults import shown
from logger.bus.hints import parity_text
from logger.config import Bus as BusConfig
from logger.config.addresses import MBUS_EVERYBODY, MBUS_SELECTED
from logger.domain.errors import GarbledError, SilentError
from logger.mbus.frames import CI_ERROR, CI_VARIABLE, Frame, Place
from logger.mbus.records import Telegram, parse

COLLISION = (
    "two meters on one address (factory setting: all on 0), a wrong speed or a bad line look "
    "like this: inepro-logger scan --protocol mbus tells them apart"
)
BUSY = (
    "the meter is not ready yet, or it is no meter that is read like this: "
    "inepro-logger scan --protocol mbus shows who answers"
)
FOREIGN = "a meter of another maker or kind? inepro-logger scan --protocol mbus shows who answers"

# Control information of answers that begin with the meter's number: variable and fixed data.
_NUMBERED, _NUMBER = (CI_VARIABLE, 0x73), 4


class UnreadableError(GarbledError):
    """A whole answer of one meter that says what is not understood: encrypted, of another kind.

    `serial` is the number at its begin, where answers of its kind have one.
    """

    def __init__(self, config: BusConfig, place: Place, reason: str, frame: Frame) -> None:
        hint = BUSY if frame.information == CI_ERROR else FOREIGN
        super().__init__(_text(config, place, "reading", reason, frame.raw), hint)
        self.reason = reason
        numbered = frame.information in _NUMBERED and len(frame.data) >= _NUMBER
        self.serial = frame.data[_NUMBER - 1 :: -1].hex().upper() if numbered else ""


def silent(config: BusConfig, place: Place, what: str, patience_s: float) -> SilentError:
    """Return the error of a question that nobody answers."""
    line = f"the speed {config.baudrate} baud with {parity_text(config)}"
    if config.network is not None and config.network.scheme != "rfc2217":
        line += " in the level converter"
    return SilentError(
        f"bus {config.name}, {place}, {what}: no answer within {patience_s:g} s",
        f"is the meter on the line, {place} its own, {line}, the level converter powered?",
    )


def garbled(
    config: BusConfig, place: Place, what: str, reason: str, answer: bytes, hint: str
) -> GarbledError:
    """Return the error of an answer that cannot be believed."""
    return GarbledError(_text(config, place, what, reason, answer), hint)


def _text(config: BusConfig, place: Place, what: str, reason: str, answer: bytes) -> str:
    return (
        f"bus {config.name}, {place}, {what}: the answer cannot be believed: {reason} "
        f"(got {shown(answer)})"
    )


def understood(config: BusConfig, place: Place, frame: Frame) -> Telegram:
    """Return what `frame`, the answer of the meter at `place`, says.

    A selected meter may name 253 or its own address; everybody's answer is anyone's.
    Raises GarbledError for an answer of another meter, UnreadableError for one that makes
    no sense here.
    """
    if place.address not in (MBUS_SELECTED, MBUS_EVERYBODY, frame.address):
        reason = f"it is from address {frame.address}"
        hint = "a meter that answers late, or a converter that mixes up its lines"
        raise garbled(config, place, "reading", reason, frame.raw, hint)
    try:
        telegram = parse(frame)
    except ValueError as err:
        raise UnreadableError(config, place, str(err), frame) from err
    if place.digits and not place.fits(telegram.serial):
        reason = f"it is from the meter {telegram.serial}"
        hint = "its secondary address was changed, or two answers got mixed up"
        raise garbled(config, place, "reading", reason, frame.raw, hint)
    return telegram


def mixed(config: BusConfig, place: Place, first: Telegram, then: Telegram) -> GarbledError | None:
    """Return what is wrong when telegrams that belong together are from two meters."""
    one, two = (f"{said.manufacturer} {said.serial}" for said in (first, then))
    if one == two:
        return None
    return GarbledError(
        f"bus {config.name}, {place}: the telegrams of one reading are from {one} and {two}",
        "two meters on one address: inepro-logger scan --protocol mbus",
    )
