"""Writing to a virtual meter: what it lets through, and what then happens."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from logger.models import Encoding, Register
from logger.simulate.accepts import written
from logger.simulate.ledger import TARIFFS, Books, Ledger
from logger.simulate.registers import Setting, baud_of, parity_of, plain
from logger.simulate.values import Counters

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
# Tariffs that a meter forgets when it loses its supply: 11 is T1, 12 is T2.
_NOT_SAVED = 10


class Refusal(Exception):  # noqa: N818 - an answer of the protocol, not a failure of ours
    """The meter answers with the Modbus exception `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


@dataclass
class Identity:
    """What of a meter a write can change besides its settings."""

    address: int
    baudrate: int
    parity: str


class Writable(Protocol):
    """A meter as far as writing is concerned."""

    identity: Identity
    settings: MutableMapping[str, Setting]
    ledger: Ledger
    books: Books
    counters: Counters
    power_downs_from: float


def checked(register: Register | None, function: int, raw: bytes) -> Decimal:
    """Return the number that `raw` writes into `register` with Modbus `function`.

    Raises Refusal: unknown or read-only register or the wrong function (2), a value the
    table does not accept (3).
    """
    if register is None or register.write is None or register.write.function != function:
        raise Refusal(ILLEGAL_ADDRESS)
    if len(raw) != 2 * register.length:
        raise Refusal(ILLEGAL_ADDRESS)
    words = [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
    try:
        return written(register, words)
    except ValueError as err:
        raise Refusal(ILLEGAL_VALUE) from err


def apply(meter: Writable, register: Register, number: Decimal, raw: bytes, at: float) -> None:
    """Let the accepted `number` take effect at `at` (epoch seconds).

    Raises Refusal (3) where the meter can never leave its combination code.
    """
    name = register.field
    if name == "combination_code":
        now = meter.settings[name]
        if number != now and register.write and now in (register.write.final or ()):
            raise Refusal(ILLEGAL_VALUE)
        meter.counters.set_code(register, int(number))
    if name == "tariff":
        saved = number < _NOT_SAVED
        tariff = int(number if saved else number - _NOT_SAVED)
        if tariff not in TARIFFS:
            raise Refusal(ILLEGAL_VALUE)
        meter.books.hold(meter.ledger, tariff, None if saved else at)
    elif name == "modbus_id":
        meter.identity.address = int(number)
    elif name == "baud_rate":
        meter.identity.baudrate = baud_of(register, int(number))
    elif name == "parity":
        meter.identity.parity = parity_of(int(number))
    elif name == "power_down_count":
        meter.power_downs_from = at
    elif name == "day_counter":
        meter.counters.reset_day()
    if register.encoding is Encoding.HEX and register.length > 1:
        meter.settings[name] = raw.hex().upper()
    else:
        meter.settings[name] = plain(number)
