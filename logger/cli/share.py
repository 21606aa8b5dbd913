"""`share`: what other programs have to be told to read the meters through the logger."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from logger.cli.options import DEFAULT_CONFIG, ConfigOption

_SECTION = """# Nothing is shared yet. This goes into the configuration of the logger:
#
# [share.modbus]
# listen = ["tcp://127.0.0.1:1502"]    # "tcp://0.0.0.0:1502" for the whole network
"""


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
        typer.Option("--for", help="For this program only; may be given several times."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="This machine as others reach it; else as the logger listens.")
    ] = "",
) -> None:
    """Print sections for other programs that read the meters through the logger.

    They are made from [share.modbus] and ready to paste: evcc, mbmd, Telegraf, Home Assistant,
    openHAB, ioBroker.
    """
    import socket

    from logger.config import load_config
    from logger.config.share import ModbusShare
    from logger.runtime.configured import models_of
    from logger.share.offers import offers_of, reach_of
    from logger.share.paste import FORMATS
    from logger.share.units import pro380

    loaded = load_config(config)
    section = loaded.share.modbus or ModbusShare()
    reach = reach_of(section, host, socket.gethostname())
    offers = offers_of(loaded, section, models_of(loaded), pro380())
    if loaded.share.modbus is None:
        typer.echo(_SECTION)
    for program in programs or list(Program):
        typer.echo(FORMATS[program.value](offers, reach))
        typer.echo()
