"""Complaints about a configuration file in plain words: place, what is wrong, what to write."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from logger.config.section import MisplacedError
from logger.config.whole import Config
from logger.domain.datamodel import ROLES
from logger.domain.errors import ConfigError, nearest, suggestion
from logger.domain.locate import Location, line_of

# What pydantic puts between the keys of a place when a key takes several types.
_INNER = {"literal['auto']", "bool"}
_WHOLE_FILE = (
    "inepro-logger init asks for what it needs and writes a whole file; "
    "inepro-logger scan --port PORT --write FILE writes one with the meters it finds"
)
_QUOTED_ROLES = [f'"{role}"' for role in ROLES]
# Keys that a file cannot do without, as they are written.
_EXAMPLES: Mapping[str, str] = {
    "site": 'a section [site] with name = "home"',
    "bus": "a section [[bus]] for the line, and a [[bus.meter]] for each meter on it",
    "meter": "a section [[bus.meter]] for each meter on the line",
    "name": 'name = "..."',
    "port": 'port = "/dev/serial/by-id/..." or "tcp://HOST:502"; inepro-logger scan lists adapters',
    "model": 'model = "pro380"; inepro-logger models lists them',
    "address": "address = 1, as the meter's display or inepro-logger scan shows it",
    "role": f"role = {', '.join(_QUOTED_ROLES[:-1])} or {_QUOTED_ROLES[-1]}",
    "url": 'url = "http://localhost:8086"',
    "bucket": 'bucket = "energy"',
}
_TYPES: Mapping[str, tuple[str, str]] = {
    "int": ("should be a whole number", "write it without quotes and without a point"),
    "float": ("should be a number", "write it without quotes, with a point: 0.25"),
    "string": ("should be text", "put it into quotes"),
    "bool": ("should be true or false", "write it without quotes"),
    "model": ("should be a section", "write [{key}] alone on a line, its keys below"),
    "list": ("there may be several, so its name stands in two brackets", "write [[{full}]]"),
    "date": ("should be a day", "write it without quotes: 2026-01-31"),
}


def told(path: Path, text: str, found: Sequence[MisplacedError]) -> ConfigError:
    """Return one error that tells all mistakes of the file, in the order of its lines."""
    placed = sorted(found, key=lambda one: line_of(text, one.location) or 0)
    unique = {(_place(path, text, one.location), str(one)): one.hint for one in placed}
    if len(unique) == 1:
        ((place, message), hint) = next(iter(unique.items()))
        return ConfigError(f"{place}: {message}", hint)
    rows = [f"{path}: {len(unique)} mistakes"]
    for (place, message), hint in unique.items():
        rows.append(f"{place}: {message}")
        rows += [f"  try: {hint}"] if hint else []
    return ConfigError("\n".join(rows))


def explained(err: ValidationError) -> Iterator[MisplacedError]:
    """Yield what pydantic complains about. A misspelt key is a missing one, too: it is told
    once. What was found by looking at several keys names its own place."""
    every = [(_location(one), one) for one in err.errors()]
    unknown = [place for place, one in every if one["type"] == "extra_forbidden"]
    meant = {(*place[:-1], nearest(str(place[-1]), _keys_at(place[:-1]))) for place in unknown}
    for location, one in every:
        found = one.get("ctx", {}).get("error")
        if isinstance(found, MisplacedError):
            yield found
            continue
        if not location or (one["type"] == "missing" and location in meant):
            continue
        yield _one(location, one)


def _location(one: Any) -> Location:
    return tuple(part for part in one["loc"] if part not in _INNER)


def _one(location: Location, one: Any) -> MisplacedError:
    kind, key = str(one["type"]), str(location[-1])
    cause = one.get("ctx", {}).get("error")
    if isinstance(cause, MisplacedError):
        return cause
    if kind == "extra_forbidden":
        hint = suggestion(key, _keys_at(location[:-1]), "known here: ")
        return MisplacedError(location, "unknown key", hint)
    if kind == "missing":
        whole = key in ("site", "bus") and len(location) == 1
        hint = f"add it: {_EXAMPLES.get(key, f'{key} = ...')}"
        return MisplacedError(location, "missing", f"{hint}; {_WHOLE_FILE}" if whole else hint)
    if kind == "value_error":
        return MisplacedError(location, one["msg"].removeprefix("Value error, "), "")
    given = one.get("input")
    shown = f", not {_written(given)}" if isinstance(given, str | int | float | bool) else ""
    message, hint = _plainly(kind, location, one)
    return MisplacedError(location, f"{message}{shown}", hint)


def _plainly(kind: str, location: Location, one: Any) -> tuple[str, str]:
    """Return what is wrong with a value, and what to write."""
    key = str(location[-1])
    if kind == "literal_error":
        allowed = str(one["ctx"]["expected"])
        names = [name.strip("'") for name in allowed.replace(" or ", ", ").split(", ")]
        near = nearest(str(one.get("input")), names)
        return f"should be {allowed}", f"did you mean {near!r}?" if near else ""
    if kind in ("too_short", "string_too_short"):
        empty = "needs at least one" if kind == "too_short" else "is empty"
        return empty, f"add {_EXAMPLES.get(key, f'{key} = ...')}"
    if kind == "string_pattern_mismatch":
        return "is not written as expected", _EXAMPLES.get(key, _PATTERNS.get(key, ""))
    for name, (message, hint) in _TYPES.items():
        if kind.startswith(f"{name}_"):
            full = ".".join(str(part) for part in location if not isinstance(part, int))
            return message, hint.format(key=key, full=full)
    return str(one["msg"]).replace("Input should", "should"), ""


_PATTERNS: Mapping[str, str] = {"secondary": 'eight digits in quotes: secondary = "12345678"'}


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _keys_at(location: Location) -> list[str]:
    """Return the keys that the section at `location` knows."""
    section: type[BaseModel] = Config
    for part in location:
        if isinstance(part, int):
            continue
        inner = section_in(section.model_fields[part].annotation)
        if inner is None:
            return []
        section = inner
    return list(section.model_fields)


def section_in(annotation: object) -> type[BaseModel] | None:
    """Return the section that a key of this type holds, None if it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        if (found := section_in(argument)) is not None:
            return found
    return None


def _place(path: Path, text: str, location: Location) -> str:
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location)
    line = line_of(text, location)
    where = f"{path}:{line}" if line else str(path)
    return f"{where}: {key.lstrip('.')}" if key else where
