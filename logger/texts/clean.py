"""Control characters made visible, overlong texts cut. Pure."""

from __future__ import annotations

import re

# C0 and C1 controls but tab and line feed; marks that turn the direction of writing
# (Unicode Standard Annex 9); line and paragraph separator; halves of surrogate pairs,
# which no stream can encode.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Return `text` with everything that would steer a terminal written out as escapes."""
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def cut(text: str, most: int) -> str:
    """Return `text`, shortened to `most` characters and "..." if it is longer."""
    return text if len(text) <= most else f"{text[:most]}..."


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
