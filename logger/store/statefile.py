"""A small JSON file that survives a power cut: replaced whole, never written in place.

It carries a checksum: a state that is not what was saved is not used, since a state of
the wrong shape would show its fault much later.
"""

from __future__ import annotations

import json
import logging
import zlib
from pathlib import Path
from typing import Any

from logger.disk.durable import replace

log = logging.getLogger(__name__)


class StateFile:
    """What a part of the logger wants to know after a restart. Losing it is no disaster:
    a file that cannot be read is set aside, one that cannot be written is reported once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failing = False

    def load(self) -> dict[str, Any] | None:
        """Return the state saved last, None when there is none that can be read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or not isinstance(found.get("state"), dict):
                raise ValueError("not a saved state")
            state: dict[str, Any] = found["state"]
            if found.get("crc32") != _checksum(state):
                raise ValueError("its checksum is wrong")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as err:
            self.set_aside(str(err))
            return None
        return state

    def save(self, state: dict[str, Any]) -> bool:
        """Replace the file, and return whether it is safely on disk."""
        text = _text(state)  # written as it is summed: a second text costs memory
        head = f'{{"crc32": {zlib.crc32(text.encode())}, "state": '
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace(self.path, (head, text, "}"))
        except OSError as err:
            if not self._failing:
                log.warning("%s cannot be written: %s", self.path, err.strerror or err)
            self._failing = True
            return False
        self._failing = False
        return True

    def set_aside(self, reason: str) -> None:
        """Keep the file under another name, since it is of no use."""
        log.warning("%s: not usable, set aside: %s", self.path, reason)
        try:
            self.path.replace(self.path.with_name(self.path.name + ".unreadable"))
        except OSError as err:
            log.warning("%s: %s", self.path, err.strerror or err)


def _checksum(state: dict[str, Any]) -> int:
    """Return the checksum of what a state says, however it is spaced."""
    return zlib.crc32(_text(state).encode())


def _text(state: dict[str, Any]) -> str:
    return json.dumps(state, separators=(",", ":"), sort_keys=True)
