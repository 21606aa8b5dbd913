"""Writes the date of the build into the wheel: no clock that shows less can be right.

The date alone, of UTC, so that it is never later than the build itself; SOURCE_DATE_EPOCH,
for builds that are to come out the same twice, goes before. See logger/derive/built.py.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TARGET = "inepro_logger/lib/logger/build-date.txt"


class BuildDate(BuildHookInterface):  # type: ignore[type-arg]
    """Adds `build-date.txt` to a wheel; a checkout installed as editable has none."""

    _directory: TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the file and have it included."""
        if version == "editable":
            return
        moment = min(time.time(), float(os.environ.get("SOURCE_DATE_EPOCH", "inf")))
        self._directory = TemporaryDirectory()
        path = Path(self._directory.name) / "build-date.txt"
        path.write_text(f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}\n", encoding="ascii")
        build_data["force_include"][str(path)] = TARGET

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what `initialize` made."""
        if self._directory is not None:
            self._directory.cleanup()
