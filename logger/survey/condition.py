"""What a meter says of its own condition: power-downs, errors, status. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from logger.config import Meter as MeterConfig
from logger.domain.wiring import NEUTRAL_PHASES, live_phases
from logger.models import Model, Value
from logger.survey.finding import Finding, fail, note, ok, warn

# Ambition manual 1.05, 8.1, page 20: bits of the error code.
_ERROR_BITS = (
    "energy data wrong in main and backup storage",
    "energy fraction cannot be stored",
    "energy backup cannot be stored",
    "energy main storage cannot be used",
    "error in the energy fraction",
    "error in the energy backup",
    "error in the main energy storage",
    "EEPROM cannot be initialised",
)


def health(meter: MeterConfig, model: Model, values: Mapping[str, Value]) -> Iterator[Finding]:
    """Report power-down count, error code and status word, decoded as far as manuals go."""
    count = values.get("power_down_count")
    if count is not None:
        yield ok(meter.name, "power-downs", f"{int(count)} since the counter was reset")
    error = values.get("error_code")
    if isinstance(error, int) and error:
        bits = [text for bit, text in enumerate(_ERROR_BITS) if error >> bit & 1]
        known = model.name.startswith("ambition") and bits
        text = "; ".join(bits) if known else "its meaning is not in the manual"
        yield fail(meter.name, "error code", f"0x{error:02X}: {text}", "have the meter replaced")
    elif isinstance(error, int):
        yield ok(meter.name, "error code", "none")
    digits = values.get("error_word")
    if isinstance(digits, str) and digits.strip("0"):
        text = f"0x{digits}: its meaning is not published"
        yield warn(meter.name, "error code", text, "ask the maker what it means")
    elif isinstance(digits, str):
        yield ok(meter.name, "error code", "none")
    word = values.get("status_word")
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
