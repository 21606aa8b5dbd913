"""Writes values as TOML: the one writer, for whatever puts a configuration together. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def value(given: str | float | bool) -> str:
    """Return a text, number or truth value as TOML."""
    if isinstance(given, str):
        # A JSON string is a TOML string, but for the one control character that JSON leaves.
        return json.dumps(given, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(given, bool):
        return "true" if given else "false"
    return repr(given)


def keys(**values: str | float | bool | None) -> list[str]:
    """Return a line `key = value` for each that is not None."""
    return [f"{key} = {value(one)}" for key, one in values.items() if one is not None]


def bus_section(bus: Mapping[str, Any]) -> list[str]:
    """Return the lines of a `[[bus]]` with a `[[bus.meter]]` for each of its meters."""
    own = {key: one for key, one in bus.items() if key != "meter"}
    rows = ["[[bus]]", *keys(**own)]
    for meter in bus.get("meter", ()):
        rows += ["", *meter_section(meter)]
    return rows


def meter_section(meter: Mapping[str, Any]) -> list[str]:
    """Return the lines of a `[[bus.meter]]`."""
    return ["[[bus.meter]]", *keys(**meter)]
