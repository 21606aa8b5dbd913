"""`share`: what other programs have to be told to read the meters through the logger."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.options import DEFAULT_CONFIG, ConfigOption
from logger.cli.source import MeterOption

if TYPE_CHECKING:
    from logger.config import Config
    from logger.share.told import Ways

_SECTION = """# Nothing is shared yet. This goes into the configuration (or [mqtt], or [http]):
#
# [share.modbus]
# listen = ["tcp://127.0.0.1:1502"]    # "tcp://0.0.0.0:1502" for the whole network
"""
_ALONE = "# [{}] answers this machine only: {} lets others in.\n"


class Way(StrEnum):
    """How it is read."""

    MODBUS = "modbus"
    MQTT = "mqtt"
    HTTP = "http"


class Program(StrEnum):
    """Who reads."""

    EVCC = "evcc"
    MBMD = "mbmd"
    TELEGRAF = "telegraf"
    HOME_ASSISTANT = "home-assistant"
    OPENHAB = "openhab"
    IOBROKER = "iobroker"


def share(
    config: ConfigOption = DEFAULT_CONFIG,
    programs: Annotated[
        list[Program] | None,
        typer.Option("--for", help="For this program only; may be repeated."),
    ] = None,
    over: Annotated[
        list[Way] | None,
        typer.Option(help="Only over this, of what the configuration opens; may be repeated."),
    ] = None,
    meter: MeterOption = None,
    host: Annotated[
        str, typer.Option(help="This machine as others reach it; else as the logger listens.")
    ] = "",
) -> None:
    """Print sections for other programs that read the meters through the logger.

    They are made from [share.modbus], [mqtt] and [http] and ready to paste: evcc, mbmd, Telegraf,
    Home Assistant, openHAB, ioBroker.
    """
    from logger.config import load_config
    from logger.config.find import find_meter
    from logger.share.told import told

    loaded = load_config(config)
    for name in meter or ():
        find_meter(config, loaded, name)
    ways = _ways(loaded, over or list(Way), host, meter or ())
    if host and ways.modbus is not None and ways.modbus[1].alone:
        typer.echo(_ALONE.format("share.modbus", 'listen = ["tcp://0.0.0.0:1502"]'))
    if host and ways.http is not None and ways.http.alone:
        typer.echo(_ALONE.format("http", 'host = "0.0.0.0", with a token,'))
    for program in programs or list(Program):
        typer.echo(told(program.value, ways))
        typer.echo()


def _ways(loaded: Config, over: Sequence[Way], host: str, meters: Sequence[str]) -> Ways:
    """Return what is open, of all meters or of `meters`; where nothing is, Modbus as it would be.

    Raises ConfigError when `over` leaves nothing.
    """
    import socket

    from logger.config.share import ModbusShare, units_of
    from logger.domain.errors import ConfigError
    from logger.runtime.configured import models_of
    from logger.share.offers import offers_of, reach_of
    from logger.share.outlets import broker_of, subjects_of, web_of
    from logger.share.told import Ways
    from logger.share.units import pro380

    sections = {Way.MODBUS: loaded.share.modbus, Way.MQTT: loaded.mqtt, Way.HTTP: loaded.http}
    there = [way for way, section in sections.items() if section is not None]
    if not there:
        typer.echo(_SECTION)
        there = [Way.MODBUS]
    wanted = [way for way in there if way in over]
    if not wanted:
        raise ConfigError(
            f"--over {over[0]}: the configuration has no such section",
            f"there is: {', '.join(there)}",
        )
    models, here = models_of(loaded), socket.gethostname()
    modbus = None
    if Way.MODBUS in wanted:
        section = loaded.share.modbus or ModbusShare()
        offers = offers_of(loaded, section, models, pro380())
        units = units_of(section, loaded.bus)
        own = [
            offer
            for unit, offer in zip(units, offers, strict=True)
            if not meters or any(one in meters for one in unit.sources)
        ]
        modbus = (own, reach_of(section, host, here))
    return Ways(
        modbus,
        broker_of(loaded, loaded.mqtt, host) if loaded.mqtt and Way.MQTT in wanted else None,
        web_of(loaded.http, host, here) if loaded.http and Way.HTTP in wanted else None,
        [one for one in subjects_of(loaded, models) if not meters or one.name in meters],
    )
