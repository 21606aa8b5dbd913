"""Settings by name, and their values in words. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

from logger.domain.errors import ConfigError, suggestion
from logger.models import Encoding, Job, Model, Register, Value

# What people call them, beside the field names of the tables.
_ALIASES = {
    "address": "modbus_id",
    "baudrate": "baud_rate",
    "s0_rate": "s0_output_rate",
    "obis": "obis_codes",
    "power_down_counter": "power_down_count",
    "reset_power_down_counter": "power_down_count",
    "reset_day_counter": "day_counter/total/total",
    "day_counter": "day_counter/total/total",
}
# Readings of the identity job that are no settings.
_NOT_SETTINGS = ("direction_", "quadrant", "checksum")
# Words of the notes about the manual and the encoding.
_HOW_READ = re.compile(r"manual|table|digits|example|register|\d\.\d")


def settable(model: Model) -> list[Register]:
    """Return the registers of `model` that its manual lets be written."""
    return [register for register in model.registers if register.write and not register.refuse]


def listed(model: Model) -> list[Register]:
    """Return the registers that `settings show` prints: settings, identity and health."""
    return [
        register
        for register in model.registers
        if register.write is not None
        or (register.job is Job.IDENTITY and not register.field.startswith(_NOT_SETTINGS))
    ]


def accepted(register: Register) -> str:
    """Return what a setting can be set to, as it is typed; empty when it cannot."""
    if register.write is None or register.refuse:
        return ""
    if register.choices:
        return ", ".join(register.choices.values())
    if register.write.one_of == (Decimal(0),):
        return "reset"
    if register.encoding is Encoding.HEX and register.length == 2:
        return f"{register.write.accepts} to 1 or 5, such as 250/5"
    return register.write.accepts


def find(model: Model, name: str) -> Register:
    """Return the register that `name` stands for.

    Raises ConfigError for a name that is no setting of `model`, or one that cannot be
    written, saying why.
    """
    key = _ALIASES.get(name, name).replace("-", "_")
    register = model.by_key.get(_ALIASES.get(key, key))
    can = [short(one) for one in settable(model)]
    if register is None or (register.write is None and not register.refuse):
        known = register is not None
        raise ConfigError(
            f"{name!r} is {'read-only on' if known else 'no setting of'} the {model.name}",
            suggestion("" if known else key, can, "settings: ")
            if can
            else "nothing is written to such a meter: what may be is not published",
        )
    if register.refuse:
        raise ConfigError(f"{register.name} of the {model.name} is not written: {register.refuse}")
    return register


def advice(register: Register) -> str:
    """Return what somebody who changes `register` should know of its note.

    The rest tells how the manual was read, which says nothing about the value.
    """
    parts = register.note.split("; ")
    return "; ".join(part for part in parts if not _HOW_READ.search(part))


def short(register: Register) -> str:
    """Return the name of a setting as it is typed."""
    return register.field


def shown(register: Register, value: Value) -> str:
    """Return `value` in words: the name of a code, digits as the number they stand for."""
    if isinstance(value, str) and register.encoding is Encoding.HEX:
        if register.field == "ct_ratio" and len(value) == 8 and value.isdecimal():
            return f"{int(value[:4])}/{int(value[4:])}"
        if register.choices and value.isdecimal() and int(value) in register.choices:
            return register.choices[int(value)]
        number = register.unit or register.write is not None
        text = str(int(value)) if number and value.isdecimal() else value
    elif isinstance(value, int):
        text = register.choices.get(value, str(value))
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    else:
        text = str(value)
    return f"{text} {register.value_unit}".strip()
