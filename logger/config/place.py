"""Where a key stands in a configuration file, for telling people what to edit."""

from __future__ import annotations

from pathlib import Path

from logger.config.load import Location, _lines
from logger.config.models import Config


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
        lines = _lines(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return str(path)
    line = lines.get((*where, key)) or lines.get(where)
    return f"{path}:{line}" if line else str(path)
