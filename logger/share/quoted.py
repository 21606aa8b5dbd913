"""Names of meters inside other people's files: quoted, and names of their own kind. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 40


def text(value: str) -> str:
    """Return `value` quoted as YAML, TOML and openHAB all take it: what would end a line, or
    cannot be seen, as an escape."""
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(one if one == " " or _shown(one) else _escape(one) for one in quoted)


def _shown(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def slugs(names: Iterable[str]) -> list[str]:
    """Return a name for each of `names` that every configuration takes: small letters, digits
    and _, beginning with a letter, no two the same."""
    found: list[str] = []
    for name in names:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        made = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:_LONGEST] or "meter"
        made = made if made[0].isalpha() else f"m_{made}"
        same, number = made, 1
        while made in found:
            number += 1
            made = f"{same}_{number}"
        found.append(made)
    return found
