"""What a bus counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class BusStats:
    """Counts since the start; `busy_s` is the time spent in transactions."""

    requests: int = 0
    answered: int = 0
    silent: int = 0
    garbled: int = 0
    refused: int = 0
    port_errors: int = 0
    busy_s: float = 0.0
