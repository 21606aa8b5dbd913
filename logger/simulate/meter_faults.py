"""Quirks of meters: refusals, silences and settings seen on real units."""

from __future__ import annotations

from logger.domain.errors import SimulationError
from logger.domain.quantity import IMPORT_TOTAL, Quantity
from logger.models import load
from logger.simulate.meter import READ, VirtualMeter
from logger.simulate.quirk import Quirk
from logger.simulate.quirk import block as asked
from logger.simulate.writing import ILLEGAL_ADDRESS


class NoLongBlock502A(Quirk):
    name = "no-long-block-502a"
    text = "a read of 0x502A..0x5031 in one block gets no answer, its parts do"

    def silences(self, pdu: bytes) -> bool:
        block = asked(pdu)
        return block is not None and block[0] <= 0x502A and block[1] >= 0x5032


class RefuseGaps(Quirk):
    name = "refuse-gaps"
    text = "exception 2 when a block crosses a register that the table does not define"

    def refuses(self, meter: VirtualMeter, pdu: bytes) -> int | None:
        block = asked(pdu)
        if block is None:
            return None
        defined = sum(
            max(min(register.end, block[1]) - max(register.address, block[0]), 0)
            for register in meter.model.registers
        )
        return ILLEGAL_ADDRESS if defined < block[1] - block[0] else None


class RefusePro1(Quirk):
    name = "refuse-pro1"
    text = "exception 2 for the registers that only a PRO1 has, alone or in a block"
    _only = (Quantity("voltage", "total"), Quantity("current", "total"), Quantity("error_code"))

    def refuses(self, meter: VirtualMeter, pdu: bytes) -> int | None:
        block = asked(pdu)
        if block is None:
            return None
        for quantity in self._only:
            register = meter.model.by_quantity.get(quantity)
            if register and register.address < block[1] and register.end > block[0]:
                return ILLEGAL_ADDRESS
        return None


class Dead(Quirk):
    name = "dead"
    text = "no answer to anything"

    def silences(self, pdu: bytes) -> bool:  # noqa: ARG002
        return True


class Slow(Quirk):
    name = "slow"
    text = "answers take 300 to 600 ms longer"

    def delay_s(self) -> float:
        return self.dice.between(0.3, 0.6)


class DiesAfter(Quirk):
    name = "dies-after"
    text = "falls silent for good after 20 answers"

    def __init__(
        self, seed: int = 1, address: int | None = None, rate: float = 0.3, answers: int = 20
    ) -> None:
        super().__init__(seed, address, rate)
        self.left = answers

    def silences(self, pdu: bytes) -> bool:  # noqa: ARG002
        self.left -= 1
        return self.left < 0


class GlitchZero(Quirk):
    name = "glitch-zero"
    text = "the forward counter reads 0 once, in one of its first readings"

    def __init__(self, seed: int = 1, address: int | None = None, rate: float = 0.3) -> None:
        super().__init__(seed, address, rate)
        self._readings_left = 2 + self.dice.below(4)

    def replaced(self, meter: VirtualMeter, pdu: bytes, answer: bytes) -> bytes:
        block = asked(pdu)
        register = meter.model.by_quantity.get(IMPORT_TOTAL)
        if block is None or register is None or answer[0] != READ:
            return answer
        if not block[0] <= register.address or not register.end <= block[1]:
            return answer
        self._readings_left -= 1
        if self._readings_left != 0:
            return answer
        start = 2 + 2 * (register.address - block[0])
        size = 2 * register.length
        return answer[:start] + bytes(size) + answer[start + size :]


class IntegerDataType(Quirk):
    name = "integer-data-type"
    text = "an Ambition whose data type is set to integer sends no floats"

    def set_up(self, meter: VirtualMeter) -> None:
        guard = meter.model.guard
        if guard is None or guard.value is None:
            raise SimulationError(
                f"{self.name}: the model {meter.model.name} has no data type register",
                "use it with an Ambition",
            )
        codes = meter.model.by_key[guard.field].choices
        meter.settings[guard.field] = next(code for code in codes if code != guard.value)


class UnsetCt(Quirk):
    name = "unset-ct"
    text = "a CT meter whose ratio was never set: 5 to 5"

    def set_up(self, meter: VirtualMeter) -> None:
        register = meter.model.by_key.get("ct_ratio")
        if register is None:
            raise SimulationError(f"{self.name}: the model {meter.model.name} has no CT ratio")
        meter.settings["ct_ratio"] = "0005" * register.length
        meter.settings["meter_amps"] = 5
        for number, code in meter.model.codes.items():
            if code.ct:
                meter.settings["meter_code"] = f"{number:04X}"
                break


class LegacyOnly(Quirk):
    name = "legacy-only"
    text = "old firmware: answers the legacy register map and nothing else"

    def set_up(self, meter: VirtualMeter) -> None:
        name = meter.model.name
        if not name.endswith("-legacy"):
            meter.become(load(f"{name}-legacy"))
            meter.settings["software_version"] = 1.14


class ReversedCt(Quirk):
    name = "reversed-ct"
    text = "the CT of L2 is on backwards: its current, power and energy change direction"

    def set_up(self, meter: VirtualMeter) -> None:
        one, two, three = meter.ledger.gains
        meter.ledger.gains = (one, -two, three)
