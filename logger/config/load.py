"""Reads the configuration file; every complaint names the line, the key and the remedy."""

from __future__ import annotations

import os
import re
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from logger import models
from logger.config.section import MisplacedError
from logger.config.sections import Bus, Config
from logger.config.types import FROM_FILE
from logger.domain.errors import ConfigError, ModelError, suggestion
from logger.domain.locate import Location, line_of
from logger.texts import keep_login


def load_config(path: Path) -> Config:
    """Return the checked configuration in `path`; relative paths in it start beside it.

    Raises ConfigError for a file that is missing, unreadable, not TOML or wrong.
    """
    text = _read(path)
    keep_login(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{path}: not TOML: {err}", _toml_hint(text, err)) from err
    try:
        config = Config.model_validate(data, context=FROM_FILE)
    except ValidationError as err:
        raise _explain(path, text, err) from None
    config = _resolve(config, path.resolve().parent)
    _check_models(path, text, config)
    return config


def bus_of_options(given: Mapping[str, object]) -> Bus:
    """Return the bus that the options of a command describe, which are named like its keys.

    Raises ConfigError naming the option.
    """
    try:
        return Bus.model_validate(given)
    except ValidationError as err:
        first = err.errors()[0]
        text = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        raise ConfigError(f"--{first['loc'][0]}: {text}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file", "give the file with --config; config/logger.toml is an example"
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory", "name the file itself") from None
    except PermissionError:
        raise ConfigError(f"{path}: not readable for this user", "chmod or chown it") from None
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: not UTF-8 text: {err}", "save it as UTF-8") from err
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {err.strerror}") from err


def _toml_hint(text: str, err: tomllib.TOMLDecodeError) -> str:
    """Say what to mend; the slip made most often is text without quotes."""
    found = re.search(r"at line (\d+)", str(err))
    line = text.splitlines()[int(found[1]) - 1] if found else ""
    if bare := re.fullmatch(r"\s*([\w-]+)\s*=\s*([A-Za-z/][^\"'#]*?)\s*(?:#.*)?", line):
        shown = "..." if re.search("token|pass|secret", bare[1]) else bare[2]
        return f'text needs quotes: {bare[1]} = "{shown}"'
    return "mend the line and column named"


def _resolve(config: Config, base: Path) -> Config:
    changes: dict[str, Any] = {
        "buffer": config.buffer.model_copy(
            update={"path": _beside(base, config.buffer.path)},
        )
    }
    if config.models_dir is not None:
        changes["models_dir"] = _beside(base, config.models_dir)
    if config.influxdb is not None and config.influxdb.token_file is not None:
        file = _beside(base, config.influxdb.token_file)
        changes["influxdb"] = config.influxdb.model_copy(update={"token_file": file})
    if config.mqtt is not None:
        files = {"password_file": config.mqtt.password_file, "ca_file": config.mqtt.ca_file}
        found = {key: _beside(base, file) for key, file in files.items() if file is not None}
        changes["mqtt"] = config.mqtt.model_copy(update=found)
    if config.http is not None and config.http.token_file is not None:
        file = _beside(base, config.http.token_file)
        changes["http"] = config.http.model_copy(update={"token_file": file})
    return config.model_copy(update=changes)


def _beside(base: Path, path: Path) -> Path:
    """Return `path` as seen from `base`, without detours over a parent directory."""
    return Path(os.path.normpath(base / path.expanduser()))


def _check_models(path: Path, text: str, config: Config) -> None:
    for b, bus in enumerate(config.bus):
        for m, meter in enumerate(bus.meter):
            where = ("bus", b, "meter", m, "model")
            try:
                model = models.load(meter.model, config.models_dir)
            except ModelError as err:
                raise ConfigError(f"{_place(path, text, where)}: {err.message}", err.hint) from err
            if bus.protocol != model.protocol:
                spoken = {"modbus": "Modbus", "mbus": "M-Bus"}
                raise ConfigError(
                    f"{_place(path, text, where)}: a {meter.model} speaks "
                    f"{spoken[model.protocol]}, bus {bus.name!r} {spoken[bus.protocol]}",
                    f'protocol = "{model.protocol}" for this bus, or another model',
                )
            if bus.baudrate not in model.baudrates:
                raise ConfigError(
                    f"{_place(path, text, ('bus', b, 'baudrate'))}: a {meter.model} "
                    f"({meter.name}) does not speak {bus.baudrate} baud",
                    f"one of {', '.join(map(str, model.baudrates))}",
                )


def _explain(path: Path, text: str, err: ValidationError) -> ConfigError:
    """Turn one complaint of pydantic into a sentence for the user.

    An unknown key goes first: a misspelt key is also a missing one.
    """
    first = min(err.errors(), key=lambda one: one["type"] != "extra_forbidden")
    location = tuple(part for part in first["loc"] if part not in {"literal['auto']", "bool"})
    place = _place(path, text, location)
    match first["type"]:
        case "extra_forbidden":
            hint = suggestion(str(location[-1]), _keys_at(location[:-1]), "known here: ")
            return ConfigError(f"{place}: unknown key", hint)
        case "missing":
            return ConfigError(f"{place}: missing", "add it; config/logger.toml shows how")
        case "value_error" if isinstance(cause := first["ctx"].get("error"), MisplacedError):
            place = _place(path, text, cause.location)
            return ConfigError(f"{place}: {cause}", cause.hint)
        case "value_error":
            return ConfigError(f"{place}: {first['msg'].removeprefix('Value error, ')}")
        case _:
            given = first.get("input")
            shown = f", not {given!r}" if isinstance(given, str | int | float | bool) else ""
            message = first["msg"].replace("Input should be", "should be")
            return ConfigError(f"{place}: {message}{shown}")


def _keys_at(location: Location) -> list[str]:
    """Return the keys that the section at `location` knows."""
    section: type[BaseModel] = Config
    for part in location:
        if isinstance(part, int):
            continue
        inner = _section_in(section.model_fields[part].annotation)
        if inner is None:
            return []
        section = inner
    return list(section.model_fields)


def _section_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        if (found := _section_in(argument)) is not None:
            return found
    return None


def _place(path: Path, text: str, location: Location) -> str:
    key = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in location)
    line = line_of(text, location)
    where = f"{path}:{line}" if line else str(path)
    return f"{where}: {key.lstrip('.')}" if key else where
