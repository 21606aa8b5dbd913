"""Settings and identity of a virtual meter: where they start."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from logger.domain.errors import SimulationError
from logger.models import Model, Register
from logger.simulate.accepts import acceptable

# A setting: a number, or the digits or letters of a "hex" or "ascii" register.
Setting = int | float | str

_FACTORY: Mapping[str, Setting] = {
    "protocol_version": 3.2,
    "software_version": 2.18,
    "hardware_version": 1.27,
    "meter_amps": 100,
    "ct_ratio": "0005",
    "s0_output_rate": 1000.0,
    "combination_code": 1,
    "lcd_cycle_time": 10,
    "parity": 1,
    "error_code": 0,
    "error_word": "0000",
    "temperature": 31.5,
    "voltage_thd": 2.1,
    "current_thd": 8.4,
    "session_start": 0,
    "session_energy": 0,
    "session_status": 0,
    "power_down_count": 7,
    "checksum": "7A3C91E4",
    "status_word": "00000000",
    "ct_mode": 2,
}
_FIRST_SERIAL = 22091038
_PARITIES = {"E": 1, "N": 2, "O": 3}


def factory(model: Model, address: int, baudrate: int, parity: str) -> dict[str, Setting]:
    """Return the settings of a new meter of `model` set up for `address` and the line.

    Registers the factory list does not know start with the first value their table
    accepts, or with a number of their own.
    """
    settings: dict[str, Setting] = {}
    for register in model.registers:
        name = register.field
        if name == "serial":
            settings[name] = str(_FIRST_SERIAL + address)
        elif name == "meter_code":
            settings[name] = f"{next(iter(model.codes), 0):04X}"
        elif name == "product_code":
            prefix = model.guard.prefix if model.guard else ""
            settings[name] = prefix.ljust(4 * register.length, "0")
        elif name == "modbus_id":
            settings[name] = address
        elif name == "baud_rate":
            settings[name] = baud_code(register, baudrate)
        elif name == "parity":
            settings[name] = parity_code(parity)
        elif name == "ct_ratio" and register.length == 2:
            settings[name] = "00050005"
        elif name in _FACTORY:
            settings[register.key] = _FACTORY[name]
        elif allowed := acceptable(register):
            settings[name] = plain(allowed[0])
        else:
            settings[register.key] = register.address % 9973
    return settings


def plain(number: Decimal) -> int | float:
    """Return `number` as an int where it is whole."""
    return int(number) if number == number.to_integral_value() else float(number)


def baud_code(register: Register, baudrate: int) -> int:
    """Return what `register` holds for `baudrate`: itself, or its index in a list."""
    for value, label in baud_labels(register).items():
        if label == baudrate:
            return value
    return baudrate


def baud_of(register: Register, code: int) -> int:
    """Return the baud rate that `register` means by `code`."""
    return baud_labels(register).get(code, code)


def baud_labels(register: Register) -> dict[int, int]:
    """Return baud rate by index, empty when the register holds the rate itself."""
    return {code: int(label) for code, label in register.choices.items() if label.isdecimal()}


def parity_code(parity: str) -> int:
    """Return the register value of parity "E", "N" or "O"."""
    try:
        return _PARITIES[parity]
    except KeyError:
        raise SimulationError(f"parity {parity!r} is unknown", "use E, N or O") from None


def parity_of(code: int) -> str:
    """Return "E", "N" or "O" for a register value; E for any other."""
    return {code: parity for parity, code in _PARITIES.items()}.get(code, "E")
