"""Section `[buffer]`: the file that keeps every point until it is delivered."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, field_validator

from logger.config.section import Section
from logger.config.types import FilePath, Seconds, Size

# Log and reserve take a part of it; some hours of points of one meter fit into the rest.
SMALLEST_BUFFER = 4 * 1024**2


def _state_directory() -> Path:
    if directory := os.environ.get("STATE_DIRECTORY"):  # set by systemd
        return Path(directory.split(":")[0])
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "inepro-logger"


class Buffer(Section):
    """The file that holds every point until it is delivered."""

    path: FilePath = Field(default_factory=lambda: _state_directory() / "buffer.sqlite")
    commit_interval: Seconds = 1.0
    keep: Seconds = 2 * 86400.0
    max_size: Size = 2 * 1024**3
    max_age: Seconds | None = None

    @field_validator("max_size")
    @classmethod
    def _of_use(cls, value: int) -> int:
        if value < SMALLEST_BUFFER:
            raise ValueError(
                f'{value} bytes hold next to nothing: give "4MiB" at least; "2GiB" is usual'
            )
        return value
