"""Reads register tables (TOML, one file a model) and refuses what makes no sense."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from logger.domain.errors import ModelError, suggestion
from logger.domain.locate import line_of
from logger.models.record import with_option
from logger.models.recordrow import RecordRow
from logger.models.register import (
    MAX_REGISTERS_PER_REQUEST,
    AddressSpan,
    Code,
    Guard,
    Model,
    Register,
)
from logger.models.row import TableRow

_BUILT_IN = Path(__file__).parent
_HINT = "the bundled tables in logger/models/ show the format"


class _Code(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    sold_as: Annotated[str, Field(min_length=1)]
    ct: bool = False


_SpanIn = Annotated[list[int], Field(min_length=2, max_length=2)]


class _Identify(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    answers: list[_SpanIn] = []
    refuses: list[_SpanIn] = []
    looks: list[str] = []


class _Guard(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    field: str
    value: int | None = None
    prefix: Annotated[str, Field(pattern=r"^[0-9]*$")] = ""
    reason: Annotated[str, Field(min_length=1)]
    remedy: str = ""


class _Table(BaseModel):
    """The head of a table file; the rows are checked one by one for better messages."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    model: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    manual: Annotated[str, Field(min_length=1)]
    protocol: Literal["modbus", "mbus"] = "modbus"
    manufacturer: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    firmware: str = ""
    codes: dict[str, _Code] = {}
    baudrates: list[Annotated[int, Field(gt=0)]] = [9600]
    max_block: Annotated[int, Field(ge=1, le=MAX_REGISTERS_PER_REQUEST)] = MAX_REGISTERS_PER_REQUEST
    max_gap: Annotated[int, Field(ge=0, le=MAX_REGISTERS_PER_REQUEST)] = MAX_REGISTERS_PER_REQUEST
    identify: _Identify = Field(default_factory=_Identify.model_construct)
    guard: _Guard | None = None
    counter_max: Annotated[float, Field(gt=0)] | None = None
    limits: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = {}


def available(models_dir: Path | None = None) -> tuple[str, ...]:
    """Return the names of the bundled models and of those in `models_dir`, sorted."""
    directories = [_BUILT_IN] if models_dir is None else [_BUILT_IN, models_dir]
    return tuple(sorted({path.stem for one in directories for path in one.glob("*.toml")}))


@cache
def told_by_product() -> tuple[str, ...]:
    """Return the names of the bundled models that have a product code, sorted.

    Only the heads of the files are taken apart: their rows take a hundred times as long.
    """
    return tuple(name for name in available() if _product(_BUILT_IN / f"{name}.toml"))


def _product(path: Path) -> str:
    head, *_ = re.split(r"^\[(?:registers|records)\]", path.read_text(encoding="utf-8"), flags=re.M)
    return str(tomllib.loads(head).get("guard", {}).get("prefix", ""))


def load(name: str, models_dir: Path | None = None) -> Model:
    """Return the table of `name`; a file in `models_dir` goes before a bundled one.

    MODEL+OPTION adds the rows of an option. Raises ModelError when there is none, or when
    the file makes no sense.
    """
    base, _, option = name.partition("+")
    return with_option(_whole(base, models_dir), option)


def _whole(name: str, models_dir: Path | None) -> Model:
    if models_dir is not None and (own := models_dir / f"{name}.toml").is_file():
        return load_file(own)
    if name in available():
        return _bundled(name)
    known = available(models_dir)
    raise ModelError(f"unknown model {name!r}", suggestion(name, known, "known models: "))


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
    kind = "records" if data.get("protocol") == "mbus" else "registers"
    rows = _rows(path, data, kind)
    try:
        table = _Table.model_validate({k: v for k, v in data.items() if k != kind})
    except ValidationError as err:
        first = _first(err)
        key = ".".join(str(part) for part in first["loc"])
        line = _line(text, *first["loc"])
        raise ModelError(f"{path}:{line}: {key}: {first['msg']}", _HINT) from err
    if table.model != path.stem:
        raise ModelError(
            f"{path}:{_line(text, 'model')}: model: {table.model!r} is in a file called "
            f"{path.name}: the configuration finds a model by the name of its file",
            f"call it {table.model}.toml",
        )
    registers = _registers(path, text, rows, kind)
    for name in table.limits:
        if name not in {register.field for register in registers}:
            raise ModelError(
                f"{path}:{_line(text, 'limits', name)}: limits: no register has the field {name!r}",
                _HINT,
            )
    return Model(
        name=table.model,
        title=table.title,
        manual=table.manual,
        registers=registers,
        protocol=table.protocol,
        manufacturer=table.manufacturer or "",
        firmware=table.firmware,
        codes=_codes(path, text, table.codes),
        baudrates=tuple(table.baudrates),
        max_block=table.max_block,
        max_gap=table.max_gap,
        answers=_spans(table.identify.answers),
        refuses=_spans(table.identify.refuses),
        looks=_looks(path, text, table.identify.looks, registers),
        guard=_guard(path, text, table.guard, registers),
        counter_max=None if table.counter_max is None else Decimal(str(table.counter_max)),
        limits={
            name: (Decimal(str(low)), Decimal(str(high)))
            for name, (low, high) in table.limits.items()
        },
    )


def _first(err: ValidationError) -> Mapping[str, Any]:
    """Return the complaint that helps most: a key that is unknown before one that lacks."""
    found = err.errors()
    return min(found, key=lambda one: one["type"] != "extra_forbidden")


def _codes(path: Path, text: str, given: Mapping[str, _Code]) -> Mapping[int, Code]:
    found = {}
    for key, code in given.items():
        try:
            number = int(key, 0)
        except ValueError:
            number = -1
        if not 0 <= number <= 0xFFFF:
            raise ModelError(
                f"{path}:{_line(text, 'codes', key)}: codes: expected 0x0000..0xFFFF, not {key!r}",
                _HINT,
            )
        found[number] = Code(sold_as=code.sold_as, ct=code.ct)
    return found


def _spans(given: Iterable[Sequence[int]]) -> tuple[AddressSpan, ...]:
    return tuple((address, length) for address, length in given)


def _guard(
    path: Path, text: str, given: _Guard | None, registers: Iterable[Register]
) -> Guard | None:
    if given is None:
        return None
    if given.field not in {register.key for register in registers}:
        raise ModelError(
            f"{path}:{_line(text, 'guard')}: guard: no register has the key {given.field!r}",
            _HINT,
        )
    if (given.value is None) == (not given.prefix):
        raise ModelError(
            f"{path}:{_line(text, 'guard')}: guard: expected either value or prefix", _HINT
        )
    return Guard(**given.model_dump())


def _looks(
    path: Path, text: str, given: Iterable[str], registers: Iterable[Register]
) -> tuple[str, ...]:
    keys = {register.key for register in registers}
    for key in given:
        if key not in keys:
            raise ModelError(
                f"{path}:{_line(text, 'identify', 'looks')}: looks: "
                f"no register has the key {key!r}",
                _HINT,
            )
    return tuple(given)


def _rows(path: Path, data: Mapping[str, Any], kind: str) -> list[Any]:
    registers = data.get(kind)
    rows = registers.get("rows") if isinstance(registers, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ModelError(f"{path}: no {kind}: expected a table [{kind}] with rows", _HINT)
    return rows


def _registers(path: Path, text: str, rows: list[Any], kind: str) -> tuple[Register, ...]:
    found: list[Register] = []
    keys: dict[str, str] = {}
    for index, row in enumerate(rows):
        place = f"{path}:{_line(text, kind, 'rows', index)}"
        try:
            register = (
                TableRow.model_validate(row).register()
                if kind == "registers"
                else RecordRow.model_validate(row).record(index + 1)
            )
        except ValidationError as err:
            first = _first(err)
            key = ".".join(str(part) for part in first["loc"])
            raise ModelError(f"{place}: {key}: {first['msg']}", _HINT) from err
        except ValueError as err:
            raise ModelError(f"{place}: {err}", _HINT) from err
        if register.key in keys:
            raise ModelError(
                f"{place}: {register.key} is already the {kind[:-1]} {keys[register.key]}", _HINT
            )
        keys[register.key] = register.place
        found.append(register)
    if kind == "records":
        return _each_once(path, found)
    found.sort(key=lambda register: register.address)
    for before, after in pairwise(found):
        if after.address < before.end:
            raise ModelError(
                f"{path}: 0x{after.address:04X} ({after.name}) overlaps "
                f"0x{before.address:04X} ({before.name}, {before.length} registers)",
                _HINT,
            )
    return tuple(found)


def _each_once(path: Path, rows: Sequence[Register]) -> tuple[Register, ...]:
    """Return `rows`. Raises ModelError when two of them are the same record."""
    places: dict[str, str] = {}
    for row in rows:
        if row.place in places:
            raise ModelError(
                f"{path}: {row.key} and {places[row.place]} are both {row.place}", _HINT
            )
        places[row.place] = row.key
    return tuple(rows)


def _line(text: str, *where: str | int) -> int:
    return line_of(text, where) or 1
