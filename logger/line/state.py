"""What is remembered of a meter across restarts: one small JSON file a meter.

A broken file is set aside under another name and never stops anything; nor does a disk
that cannot be written.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from logger.plan import Block

log = logging.getLogger(__name__)

_VERSION = 1
_Pair = tuple[Annotated[int, Field(ge=0, le=0xFFFF)], Annotated[int, Field(ge=1, le=125)]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterState:
    """What was last known of a meter; `serial` and `software_version` tell it from others."""

    meter: str
    model: str
    serial: str = ""
    software_version: str = ""
    cuts: Mapping[Block, tuple[Block, ...]] = field(default_factory=dict)
    tried_ms: int = 0


class _Cut(BaseModel):
    model_config = ConfigDict(extra="forbid")

    block: _Pair
    parts: list[_Pair]


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: int
    meter: str
    model: str
    serial: str = ""
    software_version: str = ""
    cuts: list[_Cut] = []
    tried_ms: Annotated[int, Field(ge=0)] = 0


class StateStore:
    """The directory of the state files. It is made when something is to be kept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._complained = False

    def load(self, meter: str) -> MeterState | None:
        """Return what is known of `meter`, None when that is nothing."""
        path = self._path(meter)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as err:
            self._set_aside(path, str(err))
            return None
        try:
            data = _File.model_validate(json.loads(text))
        except (ValueError, ValidationError, RecursionError) as err:
            self._set_aside(path, str(err).splitlines()[0])
            return None
        if data.version != _VERSION or data.meter != meter:
            self._set_aside(path, f"version {data.version} of meter {data.meter!r}")
            return None
        return MeterState(
            meter=data.meter,
            model=data.model,
            serial=data.serial,
            software_version=data.software_version,
            cuts={Block(*cut.block): tuple(Block(*p) for p in cut.parts) for cut in data.cuts},
            tried_ms=data.tried_ms,
        )

    def save(self, state: MeterState) -> None:
        """Keep `state`; the file is whole at any moment."""
        data: dict[str, Any] = {
            "version": _VERSION,
            "meter": state.meter,
            "model": state.model,
            "serial": state.serial,
            "software_version": state.software_version,
            "cuts": [
                {
                    "block": [block.address, block.count],
                    "parts": [[part.address, part.count] for part in parts],
                }
                for block, parts in state.cuts.items()
            ],
            "tried_ms": state.tried_ms,
        }
        path = self._path(state.meter)
        try:
            self._write(path, json.dumps(data, indent=1) + "\n")
        except OSError as err:
            if not self._complained:
                log.warning("%s: cannot be written: %s", path, err.strerror or err)
            self._complained = True
        else:
            self._complained = False

    def _write(self, path: Path, text: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)  # the new name has to survive a power cut too
        finally:
            os.close(directory)

    def _set_aside(self, path: Path, reason: str) -> None:
        log.warning("%s: not usable, set aside: %s", path, reason)
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".broken"))

    def _path(self, meter: str) -> Path:
        return self.directory / f"{quote(meter, safe=' ')}.json"
