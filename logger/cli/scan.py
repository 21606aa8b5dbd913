"""`scan`: find the meters on a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli import INTERRUPTED
from logger.cli.moments import lasting, now_ms
from logger.cli.options import JsonOption
from logger.cli.quiet import quiet
from logger.cli.sweep import addresses_of, show, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logger.config.metertable import Entry
    from logger.domain.errors import LoggerError
    from logger.meter.identify import Found
    from logger.models import Model


def scan(
    port: Annotated[
        str,
        typer.Option(
            "--port",
            "-p",
            help="A device such as /dev/serial/by-id/usb-..., tcp://host:502 (Modbus TCP) or "
            "socket://host:port (RTU over TCP). Without it the adapters here are listed.",
        ),
    ] = "",
    addresses: Annotated[
        str,
        typer.Option(
            "--range", help="Addresses to try: 1-20, 3,7,30-40; else all: 1-247, on M-Bus 0-250."
        ),
    ] = "",
    protocol: Annotated[str, typer.Option(help="modbus or mbus.")] = "modbus",
    baudrate: Annotated[
        int | None, typer.Option(help="The line's speed; 9600, on M-Bus 2400.")
    ] = None,
    parity: Annotated[str, typer.Option(help="even, odd or none.")] = "even",
    all_settings: Annotated[
        bool, typer.Option("--all", help="Then try every other speed and parity, too.")
    ] = False,
    patience: Annotated[
        float | None,
        typer.Option(
            parser=lasting,
            metavar="DURATION",
            help="How long each address is waited for; else 70ms, for Modbus TCP 500ms.",
        ),
    ] = None,
    models_dir: Annotated[
        Path | None, typer.Option(help="Directory with register tables of your own.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option("--write", help="Write a configuration with what was found.")
    ] = None,
    meters: Annotated[
        Path | None,
        typer.Option(
            metavar="TABLE.CSV",
            help="With --write: names, roles and other keys, by serial number or address.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find the meters on a line and say what they are. It only reads.

    The full range takes most of a minute at 9600 baud, and a third of a second for each meter
    that is found. On M-Bus every address is tried, then
    meters that share one are told apart by their serial numbers.
    """
    import json
    import sys
    from dataclasses import asdict

    from logger.config.addresses import MBUS_BAUDRATE
    from logger.disk.newfiles import may_be_made
    from logger.domain.errors import ConfigError
    from logger.models import available
    from logger.models import load as load_model
    from logger.survey import ports

    quiet()
    if protocol not in ("modbus", "mbus"):
        raise typer.BadParameter(f"{protocol!r}: modbus or mbus", param_hint="--protocol")
    if write is not None:
        may_be_made(write)
    elif meters is not None:
        raise typer.BadParameter(
            "what is written is named by it: add --write", param_hint="--meters"
        )
    table = _table(meters, protocol)
    if not port:
        raise _no_port(ports.adapters())
    if all_settings and not ports.is_device(port) and not port.lower().startswith("rfc2217://"):
        raise ConfigError(
            "--all: the gateway sets speed and parity of its line, not this program",
            "change them in the gateway and scan again",
        )
    models = [load_model(name, models_dir) for name in available(models_dir)]
    port = ports.lasting_name(port)
    _note_a_logger(port)
    wanted = addresses_of(addresses, *((0, 250) if protocol == "mbus" else (1, 247)))
    speed = baudrate or (MBUS_BAUDRATE if protocol == "mbus" else 9600)
    found, stopped = sweep(
        protocol,
        port,
        wanted,
        speed,
        parity,
        all_settings,
        models,
        patience or (0.5 if port.lower().startswith("tcp://") else 0.07),
    )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    elif found or stopped is None:
        show(found, port, speed if protocol == "mbus" else None)
    if stopped is not None:
        unwritten = f"; {write} was not written" if write is not None else ""
        typer.echo(f"stopped at address {stopped}{unwritten}", err=True)
        raise typer.Exit(INTERRUPTED)
    if write is not None:
        asking = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
        _write(write, port, found, {model.name: model for model in models}, table, asking=asking)
    if not found:
        raise typer.Exit(1)


def _write(
    file: Path,
    port: str,
    found: list[Found],
    models: dict[str, Model],
    table: Sequence[Entry],
    *,
    asking: bool,
) -> None:
    """Write a configuration that was checked before."""
    from logger.cli.ask import places
    from logger.config.load import checked
    from logger.disk.newfiles import NewFile, write_new
    from logger.domain.times import hour_of
    from logger.survey import draft, machine, naming, roles

    zone = machine.zone()
    usual = draft.most_usual(found)
    seen = roles.read_now(draft.line_of(port, usual, models), usual, models)
    guessed = roles.guess([seen.get(one, roles.Now()) for one in usual], hour_of(now_ms(), zone))
    given = dict(zip(usual, draft.named(usual, guessed), strict=True))
    named = naming.by_table(table, usual, port)
    given |= {one: naming.place(one, row, given[one]) for one, row in named.rows.items()}
    open_ones = [one for one in usual if one not in named.rows]
    if table:
        for text in named.notes:
            typer.echo(f"note: {text}", err=True)
    if asking and open_ones:
        taken = [given[one].name for one in named.rows]
        asked = places(open_ones, [given[one] for one in open_ones], seen, taken)
        given |= dict(zip(open_ones, asked, strict=True))
    text = draft.config_text(
        port, found, models, list(given.values()), zone, draft.buffer_of(file), named.bus
    )
    checked(file, text)
    write_new([NewFile(file, text)])
    look = (
        "" if asking or not open_ones else "look at each meter's name and role in it first, then: "
    )
    typer.echo(f"{file}: written; {look}inepro-logger check --config {file}", err=True)


def _table(file: Path | None, protocol: str) -> Sequence[Entry]:
    """Return the rows of a table, which is right for meters that are found on a line."""
    from logger.config.fromtable import check_names, load_table

    if file is None:
        return ()
    table = load_table(file)
    check_names(table, protocol)
    return table.entries


def _no_port(adapters: list[str]) -> LoggerError:
    """Say which ports there are."""
    from logger.domain.errors import ConfigError

    gateway = "a gateway is --port tcp://host:502 (Modbus TCP) or socket://host:port (RTU over TCP)"
    return ConfigError(
        f"--port is missing; adapters here: {', '.join(adapters) or 'none'}",
        f"--port {adapters[0]}; {gateway}" if adapters else gateway,
    )


def _note_a_logger(port: str) -> None:
    """Say that a logger on the usual configuration reads `port`, too."""
    import os

    from logger.cli.options import CONFIG_VARIABLE, DEFAULT_CONFIG
    from logger.config import load_config
    from logger.domain.errors import LoggerError
    from logger.survey.context import shared

    try:
        config = load_config(Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG))
    except LoggerError:  # scan needs none
        return
    if both := shared(config.buffer.path, [port]):
        typer.echo(f"note: {both}", err=True)
