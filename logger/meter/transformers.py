"""What the settings of a meter say about its current transformers. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from logger.domain.quantity import CT_RATIO, METER_CODE, Quantity
from logger.models.register import Model, Value

_CT_MODE = Quantity("ct_mode")


def is_ct(model: Model, values: Mapping[Quantity, Value]) -> bool:
    """Return whether the meter measures through current transformers, by its meter code.

    On M-Bus there is no code; there only the CT version sends a ratio.
    """
    if model.protocol == "mbus":
        return CT_RATIO in values
    code = values.get(METER_CODE)
    if code is None:
        return False
    number = int(code, 16) if isinstance(code, str) else int(code)
    return number in model.codes and model.codes[number].ct


def ct_ratio(values: Mapping[Quantity, Value]) -> tuple[int, int] | None:
    """Return primary and secondary current of the transformers, A; None when not known.

    Two registers of digits hold both (Ambition); one holds the primary current, and the
    CT mode the secondary one, where the meter has it (PRO380).
    """
    digits = values.get(CT_RATIO)
    if not isinstance(digits, str) or not digits.isdecimal():
        return None
    if len(digits) == 8:
        return int(digits[:4]), int(digits[4:])
    mode = values.get(_CT_MODE)
    return int(digits), int(mode) if isinstance(mode, int) and mode in (1, 5) else 5


def ct_problem(model: Model, values: Mapping[Quantity, Value]) -> str:
    """Say what is wrong with the transformer ratio; empty when nothing is known to be."""
    if not is_ct(model, values):
        return ""
    ratio = ct_ratio(values)
    if ratio is None:
        return ""
    primary, secondary = ratio
    if primary <= 0 or secondary not in (1, 5) or primary == secondary:
        return (
            f"the CT ratio is {primary}/{secondary}, which is not set: all currents, powers and "
            "energies are those of the transformers' secondary side"
        )
    return ""
