"""Durations, sizes and names as people write them in the configuration file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from logger.domain import times
from logger.texts import clean

# The context of a validation whose data was written by a person.
FROM_FILE: Mapping[str, object] = {"from": "file"}
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


def seconds(value: object, info: ValidationInfo) -> float:
    """Return a duration in seconds from text such as "500ms" or "2d".

    A number is taken from code, where a field's type tells its unit, and refused from a file.
    """
    if isinstance(value, str):
        return times.seconds(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return times.seconds(f"{value}") if info.context is FROM_FILE else float(value)
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


def _tag(value: str) -> str:
    # One that is shown in another spelling could not be asked for: line separators, too.
    steers = re.search(r"[\x00-\x1f\x7f]", value) or clean(value) != value
    if steers or value != value.strip() or value.endswith("\\"):
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
