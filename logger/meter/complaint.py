"""What the log says of a meter that fails: changes only, once if it comes and goes. Pure."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

# A meter that fails again this soon after it read again comes and goes: it is told once,
# and again when it has read for this long without a failure.
SETTLED_S = 60.0

Line = tuple[int, str]  # a level of `logging`, and the text


@dataclass(slots=True)
class Complaint:
    """The failures of one meter's jobs; `now` is monotonic, in seconds."""

    _open: set[str] = field(default_factory=set)
    _flutters: bool = False
    _failed: int = 0
    _failed_at: float = 0.0
    _well_at: float | None = None

    def failed(self, kind: str, text: str, now: float) -> Line | None:
        """Note a job that failed; return what is to be logged: each `kind` once."""
        self._failed += 1
        self._failed_at = now
        if kind in self._open:
            return None
        if not self._flutters and self._well_at is not None and now - self._well_at < SETTLED_S:
            self._flutters = True
            text = f"{text}; it comes and goes, which is counted from now on"
        self._open.add(kind)
        return logging.WARNING, text

    def worked(self, now: float) -> Line | None:
        """Note a job without a failure; return what is to be logged."""
        if not self._open or (self._flutters and now - self._failed_at < SETTLED_S):
            return None
        failed = f", after {self._failed} failed jobs" if self._flutters else ""
        self._open.clear()
        self._flutters = False
        self._failed = 0
        self._well_at = now
        return logging.INFO, f"reads again{failed}"
