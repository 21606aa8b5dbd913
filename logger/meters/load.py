"""Reads register tables (TOML, one file a model) and refuses what makes no sense."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from logger.datamodel import FIELDS, PHASES, TARIFFS
from logger.errors import ModelError
from logger.meters.register import (
    MAX_REGISTERS_PER_REQUEST,
    Encoding,
    Job,
    Model,
    Register,
    Write,
)

_BUILT_IN = Path(__file__).parent
_E = TypeVar("_E", bound=StrEnum)
_HINT = "the bundled tables in logger/meters/ show the format"


class _Row(BaseModel):
    """One line of a table as it stands in the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    address: Annotated[int, Field(ge=0, le=0xFFFF)]
    length: Annotated[int, Field(ge=1, le=MAX_REGISTERS_PER_REQUEST)]
    type: str
    unit: str = ""
    job: str
    field: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    phase: str = ""
    tariff: str = ""
    name: str
    write: Literal[6, 16] | None = None
    accepts: str = ""
    note: str = ""

    def register(self) -> Register:
        """Return the checked record; ValueError says what is wrong with it."""
        encoding = _member(Encoding, self.type, "type")
        lengths: dict[Encoding, tuple[int, ...]] = {
            Encoding.FLOAT32: (2,),
            Encoding.INT16: (1,),
            Encoding.INT32: (2,),
        }
        expected = lengths.get(encoding)
        if expected and self.length not in expected:
            raise ValueError(f"length {self.length}: a {encoding} takes {expected[0]} registers")
        if self.phase and self.phase not in PHASES:
            raise ValueError(f"phase {self.phase!r}: expected one of {', '.join(PHASES)}")
        if self.tariff and self.tariff not in TARIFFS:
            raise ValueError(f"tariff {self.tariff!r}: expected one of {', '.join(TARIFFS)}")
        known = FIELDS.get(self.field)
        if known and known.units and self.unit not in known.units:
            raise ValueError(
                f"unit {self.unit!r}: field {self.field} is sent in {' or '.join(known.units)}"
            )
        return Register(
            address=self.address,
            length=self.length,
            encoding=encoding,
            unit=self.unit,
            job=_member(Job, self.job, "job"),
            field=self.field,
            phase=self.phase,
            tariff=self.tariff,
            name=self.name,
            write=Write(function=self.write, accepts=self.accepts) if self.write else None,
            note=self.note,
        )


class _Table(BaseModel):
    """The head of a table file; the rows are checked one by one for better messages."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    manual: Annotated[str, Field(min_length=1)]
    meter_codes: list[Annotated[int, Field(ge=0, le=0xFFFF)]] = []
    baudrates: list[Annotated[int, Field(gt=0)]] = [9600]
    max_block: Annotated[int, Field(ge=1, le=MAX_REGISTERS_PER_REQUEST)] = MAX_REGISTERS_PER_REQUEST
    max_gap: Annotated[int, Field(ge=0, le=MAX_REGISTERS_PER_REQUEST)] = MAX_REGISTERS_PER_REQUEST
    limits: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = {}


def available() -> tuple[str, ...]:
    """Return the names of the bundled models, sorted."""
    return tuple(sorted(path.stem for path in _BUILT_IN.glob("*.toml")))


def load(name: str, models_dir: Path | None = None) -> Model:
    """Return the table of `name`; a file in `models_dir` goes before a bundled one.

    Raises ModelError when there is none, or when the file makes no sense.
    """
    if models_dir is not None and (own := models_dir / f"{name}.toml").is_file():
        return load_file(own)
    if name in available():
        return _bundled(name)
    known = list(available())
    if models_dir is not None:
        known += [path.stem for path in models_dir.glob("*.toml")]
    near = difflib.get_close_matches(name, known, n=1)
    raise ModelError(
        f"unknown model {name!r}",
        f"did you mean {near[0]!r}?" if near else f"known models: {', '.join(sorted(set(known)))}",
    )


@cache
def _bundled(name: str) -> Model:
    return load_file(_BUILT_IN / f"{name}.toml")


def load_file(path: Path) -> Model:
    """Return the table in `path`. Raises ModelError naming file, line and reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ModelError(f"{path}: cannot be read: {err}", _HINT) from err
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ModelError(f"{path}: not TOML: {err}", _HINT) from err
    rows = _rows(path, data)
    try:
        table = _Table.model_validate({k: v for k, v in data.items() if k != "registers"})
    except ValidationError as err:
        first = err.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path}:{_line_of(text, key)}: {key}: {first['msg']}", _HINT) from err
    registers = _registers(path, text, rows)
    for name in table.limits:
        if name not in {register.field for register in registers}:
            raise ModelError(
                f"{path}:{_line_of(text, name)}: limits: no register has the field {name!r}", _HINT
            )
    return Model(
        name=table.model,
        title=table.title,
        manual=table.manual,
        registers=registers,
        meter_codes=frozenset(table.meter_codes),
        baudrates=tuple(table.baudrates),
        max_block=table.max_block,
        max_gap=table.max_gap,
        limits={
            name: (Decimal(str(low)), Decimal(str(high)))
            for name, (low, high) in table.limits.items()
        },
    )


def _rows(path: Path, data: Mapping[str, Any]) -> list[Any]:
    registers = data.get("registers")
    rows = registers.get("rows") if isinstance(registers, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ModelError(f"{path}: no registers: expected a table [registers] with rows", _HINT)
    return rows


def _registers(path: Path, text: str, rows: list[Any]) -> tuple[Register, ...]:
    lines = _row_lines(text)
    found: list[Register] = []
    keys: dict[str, int] = {}
    for index, row in enumerate(rows):
        place = f"{path}:{lines[index] if index < len(lines) else '?'}"
        try:
            register = _Row.model_validate(row).register()
        except ValidationError as err:
            first = err.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ModelError(f"{place}: {key}: {first['msg']}", _HINT) from err
        except ValueError as err:
            raise ModelError(f"{place}: {err}", _HINT) from err
        if register.key in keys:
            raise ModelError(
                f"{place}: {register.key} is already the register 0x{keys[register.key]:04X}", _HINT
            )
        keys[register.key] = register.address
        found.append(register)
    found.sort(key=lambda register: register.address)
    for before, after in pairwise(found):
        if after.address < before.end:
            raise ModelError(
                f"{path}: 0x{after.address:04X} ({after.name}) overlaps "
                f"0x{before.address:04X} ({before.name}, {before.length} registers)",
                _HINT,
            )
    return tuple(found)


def _row_lines(text: str) -> list[int]:
    """Return the line of each row: rows are inline tables that name an address."""
    return [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if line.lstrip().startswith("{") and "address" in line
    ]


def _line_of(text: str, key: str) -> int | str:
    name = key.rsplit(".", 1)[-1] if not key.rsplit(".", 1)[-1].isdigit() else key.split(".")[-2]
    for number, line in enumerate(text.splitlines(), start=1):
        if line.split("=")[0].strip() == name:
            return number
    return 1


def _member(kind: type[_E], value: str, what: str) -> _E:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(kind)
        raise ValueError(f"{what} {value!r}: expected one of {names}") from None
