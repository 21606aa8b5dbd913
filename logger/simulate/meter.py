"""A virtual meter: a register table that answers as the manuals say a meter does.

Everything is found by the names of the data model (field, phase, tariff), never by
address, so any register table works. Requests are Modbus PDUs: no line, no clock.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, MutableMapping

from logger.domain.datamodel import ROLES
from logger.domain.errors import SimulationError
from logger.models import MAX_REGISTERS_PER_REQUEST, Encoding, Model, Register
from logger.models.encode import encode
from logger.simulate.fixed import fixed_values
from logger.simulate.incidents import Trouble, power_downs
from logger.simulate.ledger import Books, Ledger
from logger.simulate.noise import unit
from logger.simulate.registers import Setting, baud_code, factory, parity_code
from logger.simulate.snapshot import Snapshot
from logger.simulate.values import Counters, counter, instant
from logger.simulate.writing import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Identity,
    Refusal,
    apply,
    checked,
)

log = logging.getLogger(__name__)

READ, WRITE_ONE, WRITE_MANY = 0x03, 0x06, 0x10
DEFAULT_BAUDRATE, DEFAULT_PARITY = 9600, "E"  # the factory setting of every model


class VirtualMeter:
    """A meter of `model` at `address` that measures what `role` does in the site of `books`.

    `gains` multiplies the flow of each phase: a share, or -1 for a CT put on backwards.
    `settings` replaces factory settings. Without `baudrate` and `parity` it is set up as
    the line it joins. `fixed` gives every register a constant, distinct value instead.
    Raises SimulationError for an impossible address or role.
    """

    ADDRESSES = range(1, 248)

    def __init__(
        self,
        model: Model,
        address: int,
        role: str,
        books: Books,
        *,
        gains: tuple[float, float, float] = (1.0, 1.0, 1.0),
        settings: Mapping[str, Setting] | None = None,
        baudrate: int | None = None,
        parity: str | None = None,
        fixed: bool = False,
        part: str = "",
    ) -> None:
        if address not in self.ADDRESSES:
            first, last = self.ADDRESSES[0], self.ADDRESSES[-1]
            raise SimulationError(f"address {address} is impossible", f"use {first} to {last}")
        known = books.world.known()
        if role not in ROLES or (part or role) not in known:
            raise SimulationError(f"no {part or role!r} in this world", f"use {', '.join(known)}")
        self.role = role
        self.identity = Identity(address, baudrate or DEFAULT_BAUDRATE, parity or DEFAULT_PARITY)
        self._joins = baudrate is None, parity is None
        self.requests: Counter[tuple[int, int, int]] = Counter()  # function, address, count
        if model.one_phase:
            gains = (gains[0], 0.0, 0.0)
        self.ledger = books.open(Ledger(role, gains, _history(role, address), part))
        self.books = books
        self.counters = Counters(self.ledger)
        self.power_downs_from = books.start
        self.settings: MutableMapping[str, Setting] = {}
        self.become(model, settings, fixed=fixed)

    def become(
        self, model: Model, settings: Mapping[str, Setting] | None = None, *, fixed: bool = False
    ) -> None:
        """Turn into a meter of `model` with its factory settings, changed by `settings`."""
        own = self.identity
        self.model = model
        self.settings = {
            **factory(model, own.address, own.baudrate, own.parity),
            **(settings or {}),
        }
        if register := model.by_key.get("combination_code"):
            self.counters.set_code(register, int(self.settings["combination_code"]))
        self._fixed = dict(fixed_values(model, own.address % 100)) if fixed else None
        self._at = {register.address: register for register in model.registers}
        self._ranges = _ranges(model)
        self._layouts: dict[tuple[int, int], tuple[_Piece, ...]] = {}

    def join(self, baudrate: int, parity: str) -> None:
        """Set the meter up for a line, as far as it was not set up on purpose.

        Raises SimulationError for a baud rate that the model does not know.
        """
        takes_baudrate, takes_parity = self._joins
        self._joins = False, False
        if takes_baudrate:
            if baudrate not in self.model.baudrates:
                rates = ", ".join(map(str, self.model.baudrates))
                raise SimulationError(
                    f"no {self.model.name} speaks {baudrate} baud", f"use {rates}"
                )
            self.identity.baudrate = baudrate
            if register := self.model.by_key.get("baud_rate"):
                self.settings["baud_rate"] = baud_code(register, baudrate)
        if takes_parity:
            self.identity.parity = parity
            self.settings["parity"] = parity_code(parity)

    @property
    def address(self) -> int:
        """The address it answers to; a write can change it."""
        return self.identity.address

    def answers(self, at: float) -> bool:
        """Return whether the meter has power and is not made silent at `at`."""
        world = self.books.world
        return not (
            world.has(Trouble.MAINS_OFF, at) or world.has(Trouble.METER_SILENT, at, self.address)
        )

    def answer(self, pdu: bytes, at: float) -> bytes:
        """Return the answer to the request `pdu` (function code first) at `at`."""
        function = pdu[0] if pdu else 0
        count = 1 if function == WRITE_ONE else int.from_bytes(pdu[3:5], "big")
        self.requests[function, int.from_bytes(pdu[1:3], "big"), count] += 1
        own = self.address
        try:
            reply = self._obey(function, pdu, at)
        except Refusal as refusal:
            log.debug("meter %d refuses %s: exception %d", own, pdu.hex(" "), refusal.code)
            return bytes((function | 0x80, refusal.code))
        log.debug("meter %d answers %s", own, pdu.hex(" "))
        return reply

    def _obey(self, function: int, pdu: bytes, at: float) -> bytes:
        address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if function not in (READ, WRITE_ONE, WRITE_MANY):
            raise Refusal(ILLEGAL_FUNCTION)
        if function == WRITE_MANY:
            if not count or len(pdu) != 6 + 2 * count or pdu[5] != 2 * count:
                raise Refusal(ILLEGAL_VALUE)
            self._write(function, address, pdu[6:], at)
            return pdu[:5]
        if len(pdu) != 5:
            raise Refusal(ILLEGAL_VALUE)
        if function == WRITE_ONE:
            self._write(function, address, pdu[3:], at)
            return pdu
        data = self.read_bytes(address, count, at)
        return bytes((READ, len(data))) + data

    def _write(self, function: int, address: int, raw: bytes, at: float) -> None:
        register = self._at.get(address)
        number = checked(register, function, raw)
        if register is not None:
            self.books.advance(at)
            apply(self, register, number, raw, at)
            if self._fixed is not None:
                self._fixed[register.quantity] = raw

    def read_words(self, address: int, count: int, at: float) -> tuple[int, ...]:
        """Return `count` registers from `address` at `at` (epoch seconds), without a line.

        Raises Refusal where the meter would answer with an exception. A time before an
        earlier one gives the counters of the later.
        """
        data = self.read_bytes(address, count, at)
        return tuple(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))

    def read_bytes(self, address: int, count: int, at: float) -> bytes:
        """Return what `read_words` does as bytes, high byte first; gaps are 0."""
        pieces = self._layouts.get((address, count))
        if pieces is None:
            pieces = self._layouts[address, count] = self._layout(address, count)
        self.books.advance(at)
        now = self.snapshot(at)
        integers = self._sends_integers
        data = bytearray(2 * count)
        with self.books.lock:
            for register, skip, start, stop in pieces:
                raw = self._bytes_of(register, now, at, integers)
                data[start:stop] = raw[skip : skip + stop - start]
        return bytes(data)

    def _layout(self, address: int, count: int) -> tuple[_Piece, ...]:
        """Return which bytes of which registers make up a block, or refuse it."""
        if not 1 <= count <= MAX_REGISTERS_PER_REQUEST:
            raise Refusal(ILLEGAL_VALUE)
        end = address + count
        inside = any(first <= address and end <= last for first, last in self._ranges)
        if not inside or count > self.model.max_block:
            raise Refusal(ILLEGAL_ADDRESS)
        pieces = tuple(
            (
                register,
                2 * max(address - register.address, 0),
                2 * max(register.address - address, 0),
                2 * (min(register.end, end) - address),
            )
            for register in self.model.registers
            if register.address < end and register.end > address
        )
        if not pieces:  # gaps are crossed, never read alone
            raise Refusal(ILLEGAL_ADDRESS)
        return pieces

    def snapshot(self, at: float) -> Snapshot:
        """Return what the meter measures at `at`."""
        moment = self.books.world.moment(at)
        g1, g2, g3 = self.ledger.gains
        p1, p2, p3, q1, q2, q3 = self.books.world.parts(at, (self.ledger.part,))[self.ledger.part]
        return Snapshot(
            moment.voltage,
            moment.frequency,
            (p1 * g1, p2 * g2, p3 * g3, q1 * g1, q2 * g2, q3 * g3),
        )

    def value(self, register: Register, now: Snapshot, at: float) -> float | str:
        """Return what `register` shows at `at`, in the meter's own unit."""
        shown: float | str | None = counter(register, self.counters)
        if shown is None:
            shown = instant(register, now, "voltage_line/total" in self.model.by_key)
        if shown is not None:
            return shown
        if register.field == "tariff":
            return self.ledger.tariff
        setting = self.settings[register.key]
        if register.field == "power_down_count":
            incidents = self.books.world.incidents
            return int(setting) + power_downs(incidents, self.power_downs_from, at)
        return setting

    def _bytes_of(self, register: Register, now: Snapshot, at: float, integers: bool) -> bytes:
        if self._fixed is not None:
            return self._fixed[register.quantity]
        shown = self.value(register, now, at)
        if integers and register.encoding is Encoding.FLOAT32:
            # What such a meter sends is undocumented; thousandths stand for it here.
            return round(float(shown) * 1000).to_bytes(4, "big", signed=True)
        return encode(register, shown)

    @property
    def _sends_integers(self) -> bool:
        guard = self.model.guard
        return (
            guard is not None
            and guard.value is not None
            and self.settings.get(guard.field) != guard.value
        )


# A register, and which of its bytes (from) go where (from, to) in a block.
_Piece = tuple[Register, int, int, int]


def _ranges(model: Model) -> tuple[tuple[int, int], ...]:
    """Return first and end address of each run that one request may read."""
    found: list[tuple[int, int]] = []
    for register in model.registers:
        if found and register.address - found[-1][1] <= model.max_gap:
            found[-1] = (found[-1][0], register.end)
        else:
            found.append((register.address, register.end))
    return tuple(found)


# What meters have counted before the simulation starts: highest kWh by phase and tariff
# for import and export, highest kvarh by quadrant.
_PAST = {
    "grid": (3100.0, 1900.0, 410.0),
    "pv": (21.0, 6200.0, 130.0),
    "battery": (1900.0, 1700.0, 60.0),
    "load": (4700.0, 0.0, 520.0),
}


def _history(role: str, address: int) -> list[list[float]]:
    """Return for T1 and T2 the sums of the phases a meter starts with, by its address."""
    highs = _PAST[role]
    peaks = (highs[0], highs[1], *(4 * (highs[2],)))
    return [
        [
            round(peaks[part] * (0.4 + 0.6 * unit(address, tariff, phase, part, 31)), 2)
            for phase in (1, 2, 3)
            for part in range(6)
        ]
        for tariff in (1, 2)
    ]
