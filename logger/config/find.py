"""Finds a meter by its name, and where it stands in the file."""

from __future__ import annotations

from pathlib import Path

from logger.config.buses import Bus, Meter
from logger.config.whole import Config
from logger.domain.errors import ConfigError, suggestion
from logger.domain.locate import Location, line_of


def find_meter(path: Path, config: Config, name: str) -> tuple[Bus, Meter]:
    """Return the meter called `name` and its bus. Raises ConfigError with what is near."""
    for bus in config.bus:
        for meter in bus.meter:
            if meter.name == name:
                return bus, meter
    names = [meter.name for bus in config.bus for meter in bus.meter]
    raise ConfigError(f"{path}: no meter is called {name!r}", suggestion(name, names, "meters: "))


def place_of(path: Path, config: Config, bus: str, meter: str, key: str) -> str:
    """Return "file:line" of `key` of a bus, or of a meter when `meter` is named.

    Where the key is left out, the line of its section.
    """
    b = next(number for number, one in enumerate(config.bus) if one.name == bus)
    where: Location = ("bus", b)
    if meter:
        names = [one.name for one in config.bus[b].meter]
        where = (*where, "meter", names.index(meter))
    try:
        line = line_of(path.read_text(encoding="utf-8"), (*where, key))
    except (OSError, UnicodeDecodeError):
        return str(path)
    return f"{path}:{line}" if line else str(path)
