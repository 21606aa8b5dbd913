"""What follows from a configuration before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from logger.bus import busload
from logger.config import Config, extras
from logger.models import Model
from logger.models import load as load_model


def models_of(config: Config) -> Mapping[str, Model]:
    """Return the register tables that the configuration names, by name."""
    names = {meter.model for bus in config.bus for meter in bus.meter}
    return {name: load_model(name, config.models_dir) for name in names}


def check_config(config: Config) -> list[tuple[str, float]]:
    """Return each bus and its load.

    Raises ConfigError when the schedule cannot fit, or a package, a token or a
    password is missing.
    """
    found = [(bus.name, load) for bus, load in busload.check(config, models_of(config))]
    for name in ("http", "metrics", "mqtt"):
        if getattr(config, name) is not None:
            extras.require(name)
    if config.influxdb is not None:
        config.influxdb.token()
    if config.mqtt is not None:
        config.mqtt.check_files()
    if config.http is not None:
        config.http.token()
    return found


def state_directory(buffer: Path) -> Path:
    """Return where the state of everything but the points lies, beside the buffer."""
    return buffer.with_name(buffer.name + ".state")
