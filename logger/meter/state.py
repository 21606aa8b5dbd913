"""What is remembered of a meter across restarts: one small JSON file a meter.

A broken file is set aside under another name and never stops anything; nor does a disk
that cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from logger.meter.adapt import Cut
from logger.models.plan import Block
from logger.store.statefile import StateFile

_VERSION = 1
_Pair = tuple[Annotated[int, Field(ge=0, le=0xFFFF)], Annotated[int, Field(ge=1, le=125)]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterState:
    """What was last known of a meter; `serial` and `software_version` tell it from others.

    `cuts` hold for the meter with this serial number at this `address` of this `port`.
    """

    meter: str
    model: str
    address: int = 0  # 0 and "" where an earlier version did not keep them
    port: str = ""
    serial: str = ""
    software_version: str = ""
    cuts: Mapping[Block, Cut] = field(default_factory=dict)


class _Cut(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)

    block: _Pair
    parts: list[_Pair]
    tried_ms: Annotated[int, Field(ge=0)] = 0
    tries: Annotated[int, Field(ge=0)] = 0


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    version: int
    meter: str
    model: str
    address: int = 0
    port: str = ""
    serial: str = ""
    software_version: str = ""
    cuts: list[_Cut] = []


class StateStore:
    """The directory of the state files. It is made when something is to be kept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: dict[str, StateFile] = {}

    def load(self, meter: str) -> MeterState | None:
        """Return what is known of `meter`, None when that is nothing."""
        file = self._file(meter)
        saved = file.load()
        if saved is None:
            return None
        try:
            data = _File.model_validate(saved)
        except ValidationError as err:
            file.set_aside(str(err).splitlines()[0])
            return None
        if data.version != _VERSION or data.meter != meter:
            file.set_aside(f"version {data.version} of meter {data.meter!r}")
            return None
        return MeterState(
            meter=data.meter,
            model=data.model,
            address=data.address,
            port=data.port,
            serial=data.serial,
            software_version=data.software_version,
            cuts={
                Block(*cut.block): Cut(tuple(Block(*p) for p in cut.parts), cut.tried_ms, cut.tries)
                for cut in data.cuts
            },
        )

    def save(self, state: MeterState) -> None:
        """Keep `state`; the file is whole at any moment."""
        data: dict[str, Any] = {
            "version": _VERSION,
            "meter": state.meter,
            "model": state.model,
            "address": state.address,
            "port": state.port,
            "serial": state.serial,
            "software_version": state.software_version,
            "cuts": [
                {
                    "block": [block.address, block.count],
                    "parts": [[part.address, part.count] for part in cut.parts],
                    "tried_ms": cut.tried_ms,
                    "tries": cut.tries,
                }
                for block, cut in state.cuts.items()
            ],
        }
        self._file(state.meter).save(data)

    def _file(self, meter: str) -> StateFile:
        """Return the file of `meter`, whose name may hold what a file's name may not."""
        if meter not in self._files:
            self._files[meter] = StateFile(self.directory / f"{quote(meter, safe=' ')}.json")
        return self._files[meter]
