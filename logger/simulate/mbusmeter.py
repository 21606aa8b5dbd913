"""A virtual meter on M-Bus: the telegram of its table, from the same house and ledgers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from logger.mbus import frames
from logger.mbus.records import BCD, SIZES, manufacturer_code
from logger.models import Model, load
from logger.models.record import HEADER_FIELDS, Kind, Record, rows_of
from logger.simulate.meter import VirtualMeter
from logger.simulate.registers import Setting

_ELECTRICITY = 2
# What values by phase look like here, by quantity: DIF without storage number, VIF, and
# the unit of one count. How a real meter sends them is not known.
_BY_PHASE = {
    "voltage": ("02", "FD47", Decimal("0.01")),
    "current": ("03", "FD59", Decimal("0.001")),
    "power": ("03", "2B", Decimal("0.001")),
    "energy": ("04", "03", Decimal("0.001")),
}
_PHASES = "phase_values"


class VirtualMbusMeter(VirtualMeter):
    """A meter of a table of M-Bus records; `answers_phases` after the two commands for it."""

    ADDRESSES = range(frames.PRIMARY.stop)
    answers_phases = True

    def become(
        self, model: Model, settings: Mapping[str, Setting] | None = None, *, fixed: bool = False
    ) -> None:
        """Turn into a meter of `model` with its factory settings, changed by `settings`."""
        super().become(model, {"software_version": 2, "access_number": 0} | dict(settings or {}))
        self.is_fixed = fixed
        self.is_awake = False
        self.is_selected = False
        self._last: tuple[bool, bytes] | None = None  # frame count bit, and what was sent

    @property
    def serial(self) -> str:
        """The eight digits of the secondary address."""
        return str(self.settings["serial"])

    def reset(self) -> None:
        """Forget the frame count bit."""
        self._last = None

    def respond(self, bit: bool, at: float) -> bytes:
        """Return the answer to REQ_UD2; the same bit again gives the same answer again."""
        if self._last is not None and self._last[0] is bit:
            return self._last[1]
        self.settings["access_number"] = (int(self.settings["access_number"]) + 1) % 256
        answer = frames.long(frames.RSP_UD, self.address, frames.CI_VARIABLE, self.telegram(at))
        self._last = bit, answer
        return answer

    def telegram(self, at: float) -> bytes:
        """Return header and records at `at`, epoch seconds."""
        self.books.advance(at)
        now = self.snapshot(at)
        maker = manufacturer_code(self.model.manufacturer or "INM")
        data = bytes.fromhex(self.serial)[::-1] + maker.to_bytes(2, "little")
        data += bytes((int(self.settings["software_version"]), _ELECTRICITY))
        data += bytes((int(self.settings["access_number"]), int(self.settings["error_code"]), 0, 0))
        with self.books.lock:
            for index, row in enumerate(self.rows()):
                dif, vif, count = self._form(row)
                shown = self.value(row, now, at) if not self.is_fixed else 0.0
                if row.kind is Kind.RATIO:
                    digits = str(shown) if not self.is_fixed else "12340005"
                    raw = bytes.fromhex(digits[:4] + digits[6:])[::-1]
                elif self.is_fixed:
                    raw = _encode(dif, self.fixed_count(row, index))
                else:
                    raw = _encode(dif, round(Decimal(str(shown)) / count))
                data += dif + vif + raw
        return data

    def rows(self) -> list[Record]:
        """Return the records that it sends, in their order."""
        own = [row for row in rows_of(self.model) if row.header not in HEADER_FIELDS]
        if self.is_awake and self.answers_phases:
            base = self.model.name.partition("+")[0]
            own = [row for row in own if not row.option]
            own += [row for row in rows_of(load(f"{base}+{_PHASES}")) if row.option]
        return [row for row in own if not row.option or self.is_awake]

    def fixed_count(self, row: Record, index: int) -> int:
        """Return a count of its own for each record: distinct, and within all limits."""
        if row.field == "power_factor":
            return 97
        if row.field == "tariff":
            return 3
        return 20_000 + 37 * index + self.address

    def has_phases(self) -> bool:
        """Return whether its table knows the commands for values by phase."""
        return self.model.name.partition("+")[0] == "pro380-mb"

    def _form(self, row: Record) -> tuple[bytes, bytes, Decimal]:
        """Return DIF, VIF and the size of one count in the unit of `row`."""
        if row.option:
            dif, vif, count = _BY_PHASE[row.physical]
            return _stored(bytes.fromhex(dif), row.storage), bytes.fromhex(vif), count
        dif, vif = row.header.split(" ")
        return bytes.fromhex(dif), bytes.fromhex(vif), row.scale or Decimal(1)


def _stored(dif: bytes, storage: int) -> bytes:
    """Return `dif` with a storage number: its lowest bit, and four more in a DIFE."""
    first = dif[0] | (storage & 1) << 6
    return bytes((first,)) if storage < 2 else bytes((first | 0x80, storage >> 1))


def _encode(dif: bytes, count: int) -> bytes:
    """Return the data of `count` in the type that `dif` says."""
    field = dif[0] & 0x0F
    size = SIZES[field]
    if field in BCD:
        return bytes.fromhex(f"{count % 10 ** (2 * size):0{2 * size}d}")[::-1]
    return count.to_bytes(size, "little", signed=True)
