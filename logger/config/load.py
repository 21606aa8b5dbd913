"""Reads the configuration file; every complaint names the line, the key and the remedy."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from logger import models
from logger.config import clashes, mistakes
from logger.config.addresses import MBUS_BAUDRATE
from logger.config.buses import BAUDRATE, BAUDRATES, Bus
from logger.config.demandrule import BUILT_IN
from logger.config.section import MisplacedError
from logger.config.types import FROM_FILE
from logger.config.whole import Config
from logger.domain.errors import ConfigError, ModelError
from logger.texts import keep_login


def load_config(path: Path) -> Config:
    """Return the checked configuration in `path`; relative paths in it start beside it.

    Raises ConfigError for a file that is missing, unreadable or not TOML, and with all
    that is wrong in it.
    """
    return checked(path, read(path))


def checked(path: Path, text: str) -> Config:
    """Return the checked configuration `text`, as it would be read from `path`.

    Raises ConfigError as `load_config` does.
    """
    keep_login(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"{path}: not TOML: {err}", _toml_hint(text, err)) from err
    config, found = examined(path, data)
    if config is None:
        raise mistakes.told(path, text, found)
    return config


def examined(path: Path, data: Mapping[str, Any]) -> tuple[Config | None, list[MisplacedError]]:
    """Return the configuration of what was read as TOML from `path`, or all that is wrong."""
    base = path.resolve().parent
    found = [*clashes.clashes(data), *_wrong_models(data, base)]
    try:
        config = Config.model_validate(data, context=FROM_FILE)
    except ValidationError as err:
        return None, [*found, *mistakes.explained(err)]
    return (None, found) if found else (_resolve(config, base), [])


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


def read(path: Path, ends: bool = False) -> str:
    """Return the text of a configuration, with the line ends it has if `ends`, else each a
    newline. Raises ConfigError."""
    try:
        # Editors may put a mark at the beginning.
        with path.open(encoding="utf-8-sig", newline="" if ends else None) as file:
            return file.read()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file",
            "inepro-logger init asks what it needs and writes one; inepro-logger scan --port PORT "
            f"--write {path} writes one with the meters it finds; --config names another file",
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory", "name the file itself") from None
    except PermissionError:
        raise ConfigError(
            f"{path}: not readable for this user",
            "the same command with sudo; ls -l shows who may read it",
        ) from None
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
    if "silent_after" not in config.alerts.model_fields_set:
        # The usual time, or longer where counters are read so seldom.
        slow = max(config.interval(meter, "slow") for bus in config.bus for meter in bus.meter)
        least = max(config.alerts.silent_after, clashes.SLOW_BEFORE_SILENT * slow)
        changes["alerts"] = config.alerts.model_copy(update={"silent_after": least})
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
    if any(price.demand_rule for price in config.prices.valid):
        valid = [
            price
            if not price.demand_rule or price.demand_rule in BUILT_IN
            else price.model_copy(
                update={"demand_rule": str(_beside(base, Path(price.demand_rule)))}
            )
            for price in config.prices.valid
        ]
        changes["prices"] = config.prices.model_copy(update={"valid": valid})
    return config.model_copy(update=changes)


def _beside(base: Path, path: Path) -> Path:
    """Return `path` as seen from `base`, without detours over a parent directory."""
    return Path(os.path.normpath(base / path.expanduser()))


def _wrong_models(data: Mapping[str, Any], base: Path) -> Iterator[MisplacedError]:
    """Yield meters whose register table is unknown, or does not speak as their bus does."""
    given = data.get("models_dir")
    directory = _beside(base, Path(given)) if isinstance(given, str) else None
    for b, bus in clashes.sections(data, "bus"):
        protocol = bus.get("protocol", "modbus")
        baudrate = bus.get("baudrate", MBUS_BAUDRATE if protocol == "mbus" else BAUDRATE)
        silent: set[str] = set()  # models that were complained about for this speed
        for m, meter in clashes.sections(bus, "meter"):
            where = ("bus", b, "meter", m, "model")
            name = meter.get("model")
            if not isinstance(name, str):
                continue
            try:
                model = models.load(name, directory)
            except ModelError as err:
                yield MisplacedError(where, err.message, err.hint)
                continue
            spoken = {"modbus": "Modbus", "mbus": "M-Bus"}
            if protocol in spoken and protocol != model.protocol:
                yield MisplacedError(
                    where,
                    f"a {name} speaks {spoken[model.protocol]}, bus {bus.get('name')!r} "
                    f"{spoken[protocol]}",
                    f'protocol = "{model.protocol}" for this bus, or another model',
                )
            elif baudrate in BAUDRATES and baudrate not in model.baudrates and name not in silent:
                silent.add(name)
                yield MisplacedError(
                    ("bus", b, "baudrate"),
                    f"a {name} ({meter.get('name')}) does not speak {baudrate} baud",
                    f"one of {', '.join(map(str, model.baudrates))}",
                )
