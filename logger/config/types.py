"""Durations, sizes and names as people write them in the configuration file."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_NUMBER_UNIT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def seconds(value: object) -> float:
    """Return a duration in seconds: a number of seconds, or text like "500ms" or "2d"."""
    if isinstance(value, bool):
        raise ValueError('expected a duration such as "10s" or "2d"')
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and (match := _NUMBER_UNIT.fullmatch(value)):
        unit = match[2]
        if unit in _SECONDS:
            return round(float(match[1]) * _SECONDS[unit], 6)
    raise ValueError(f'expected a duration such as "500ms", "10s", "5m", "2d", not {value!r}')


def size(value: object) -> int:
    """Return a size in bytes: a number of bytes, or text like "500MB" or "2GiB"."""
    if isinstance(value, bool):
        raise ValueError('expected a size such as "2GiB"')
    if isinstance(value, int):
        return value
    if isinstance(value, str) and (match := _NUMBER_UNIT.fullmatch(value)):
        unit = match[2]
        if unit in _BYTES:
            return int(float(match[1]) * _BYTES[unit])
    raise ValueError(f'expected a size such as "500MB" or "2GiB", not {value!r}')


def duration_text(value: float) -> str:
    """Return `value` seconds as a person would write it: "500ms", "90s", "2h", "2d"."""
    if value < 1:
        return f"{value * 1000:g}ms"
    for unit in ("d", "h"):
        if value >= _SECONDS[unit] and value % _SECONDS[unit] == 0:
            return f"{value / _SECONDS[unit]:g}{unit}"
    return f"{value:g}s"


def _tag(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value) or value != value.strip() or value.endswith("\\"):
        raise ValueError(
            "a name may not hold control characters, outer spaces or end in a backslash"
        )
    # One name in two spellings (composed or decomposed accents) would be two tags.
    return unicodedata.normalize("NFC", value)


# A path, written as text.
FilePath = Annotated[Path, Field(strict=False)]
Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Size = Annotated[int, BeforeValidator(size), Field(gt=0)]
# A name that becomes a tag in InfluxDB.
Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_tag)]
