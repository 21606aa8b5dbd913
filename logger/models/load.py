"""Reads register tables (TOML, one file a model) and refuses what makes no sense."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from logger.domain.errors import ModelError
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
    model_config = ConfigDict(extra="forbid", strict=True)

    sold_as: Annotated[str, Field(min_length=1)]
    ct: bool = False


_SpanIn = Annotated[list[int], Field(min_length=2, max_length=2)]


class _Identify(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    answers: list[_SpanIn] = []
    refuses: list[_SpanIn] = []


class _Guard(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    field: str
    value: int
    reason: Annotated[str, Field(min_length=1)]
    remedy: str = ""


class _Table(BaseModel):
    """The head of a table file; the rows are checked one by one for better messages."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    manual: Annotated[str, Field(min_length=1)]
    firmware: str = ""
    codes: dict[str, _Code] = {}
    baudrates: list[Annotated[int, Field(gt=0)]] = [9600]
    max_block: Annotated[int, Field(ge=1, le=MAX_REGISTERS_PER_REQUEST)] = MAX_REGISTERS_PER_REQUEST
    max_gap: Annotated[int, Field(ge=0, le=MAX_REGISTERS_PER_REQUEST)] = MAX_REGISTERS_PER_REQUEST
    identify: _Identify = _Identify()
    guard: _Guard | None = None
    limits: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = {}


def available(models_dir: Path | None = None) -> tuple[str, ...]:
    """Return the names of the bundled models and of those in `models_dir`, sorted."""
    directories = [_BUILT_IN] if models_dir is None else [_BUILT_IN, models_dir]
    return tuple(sorted({path.stem for one in directories for path in one.glob("*.toml")}))


def load(name: str, models_dir: Path | None = None) -> Model:
    """Return the table of `name`; a file in `models_dir` goes before a bundled one.

    Raises ModelError when there is none, or when the file makes no sense.
    """
    if models_dir is not None and (own := models_dir / f"{name}.toml").is_file():
        return load_file(own)
    if name in available():
        return _bundled(name)
    known = available(models_dir)
    near = difflib.get_close_matches(name, known, n=1)
    raise ModelError(
        f"unknown model {name!r}",
        f"did you mean {near[0]!r}?" if near else f"known models: {', '.join(known)}",
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
        first = _first(err)
        key = ".".join(str(part) for part in first["loc"])
        line = _line_of(text, *first["loc"])
        raise ModelError(f"{path}:{line}: {key}: {first['msg']}", _HINT) from err
    if table.model != path.stem:
        raise ModelError(
            f"{path}:{_line_of(text, 'model')}: model: {table.model!r} is in a file called "
            f"{path.name}: the configuration finds a model by the name of its file",
            f"call it {table.model}.toml",
        )
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
        firmware=table.firmware,
        codes=_codes(path, text, table.codes),
        baudrates=tuple(table.baudrates),
        max_block=table.max_block,
        max_gap=table.max_gap,
        answers=_spans(table.identify.answers),
        refuses=_spans(table.identify.refuses),
        guard=_guard(path, text, table.guard, registers),
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
                f"{path}:{_line_of(text, key)}: codes: expected 0x0000..0xFFFF, not {key!r}", _HINT
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
            f"{path}:{_line_of(text, 'guard')}: guard: no register has the key {given.field!r}",
            _HINT,
        )
    return Guard(**given.model_dump())


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
            register = TableRow.model_validate(row).register()
        except ValidationError as err:
            first = _first(err)
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


def _line_of(text: str, *where: str | int) -> int:
    """Return the line of the key at `where`, in which the numbers are places in lists."""
    name = next((part for part in reversed(where) if isinstance(part, str)), "")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.split("=")[0].strip() == name or line.strip().startswith(f"[{name}]"):
            return number
    return 1
