"""What a meter says of its own condition: power-downs, errors, status. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from logger.config import Meter as MeterConfig
from logger.domain.quantity import Quantity
from logger.domain.wiring import NEUTRAL_PHASES, live_phases
from logger.models import Model, Value
from logger.survey.errorbits import ERROR_BITS
from logger.survey.finding import Finding, fail, note, ok, warn


def health(meter: MeterConfig, model: Model, values: Mapping[Quantity, Value]) -> Iterator[Finding]:
    """Report power-down count, error code and status word, decoded as far as manuals go."""
    count = values.get(Quantity("power_down_count"))
    if count is not None:
        yield ok(meter.name, "power-downs", f"{int(count)} since the counter was reset")
    error = values.get(Quantity("error_code"))
    if isinstance(error, int) and error:
        bits = [text for bit, text in enumerate(ERROR_BITS) if error >> bit & 1]
        known = model.name == "ambition-2pu-ct" and bits
        text = "; ".join(bits) if known else "its meaning is not in the manual"
        if choices := model.by_key["error_code"].choices:
            text = choices.get(error, text)
        yield fail(meter.name, "error code", f"0x{error:02X}: {text}", "have the meter replaced")
    elif isinstance(error, int):
        yield ok(meter.name, "error code", "none")
    digits = values.get(Quantity("error_word"))
    if isinstance(digits, str) and digits.strip("0"):
        text = f"0x{digits}: its meaning is not published"
        yield warn(meter.name, "error code", text, "ask the maker what it means")
    elif isinstance(digits, str):
        yield ok(meter.name, "error code", "none")
    word = values.get(Quantity("status_word"))
    if isinstance(word, str) and model.name.startswith("grow"):
        yield note(meter.name, "status word", f"{word}: its layout is not published")
    elif isinstance(word, str):
        yield status_word(meter, word)


def status_word(meter: MeterConfig, word: str) -> Finding:
    """Decode the five digits that the display shows: program, EEPROM, phases A, B, C.

    PRO380 manual 2.18-6, 8.1, page 21. Another form is shown as it stands.
    """
    digits = word[-5:]
    if set(word[:-5]) - {"0"} or set(digits) - {"0", "1"} or digits == "00000":
        return note(meter.name, "status word", f"{word}: its layout is not in the manual")
    if digits[:2] != "11":
        bad = [name for name, one in zip(("program", "EEPROM"), digits, strict=False) if one == "0"]
        return fail(
            meter.name,
            "status word",
            f"{' and '.join(bad)} failed (S{digits})",
            "the manual says: return the meter",
        )
    missing = [p for p, one in zip(NEUTRAL_PHASES, digits[2:], strict=True) if one == "0"]
    lacking = [p for p in missing if p in live_phases(meter.wiring)]
    if lacking:
        return warn(
            meter.name,
            "status word",
            f"{', '.join(lacking)} not available (S{digits})",
            "check the wiring of that phase",
        )
    return ok(meter.name, "status word", f"S{digits}: program, EEPROM and phases passed")
