"""What the answers are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from logger.config import Config
from logger.latest import Latest


@dataclass(frozen=True, slots=True)
class Parts:
    """`state` is what `status` shows, `metrics` the text for Prometheus, None without
    [metrics]; `now_ms` the clock that records are stamped by."""

    config: Config
    latest: Latest
    now_ms: Callable[[], int]
    state: Callable[[], Mapping[str, Any]]
    metrics: Callable[[], bytes] | None = None
