"""`scan`: find the meters on a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.moments import lasting
from logger.cli.options import JsonOption
from logger.cli.quiet import quiet

if TYPE_CHECKING:
    from logger.domain.errors import LoggerError
    from logger.meter.identify import Found
    from logger.models import Model

# The exit code of a program that was interrupted (128 and the number of SIGINT).
_INTERRUPTED = 130


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
    as_json: JsonOption = False,
) -> None:
    """Find the meters on a line and say what they are. It only reads.

    The full range takes under a minute at 9600 baud. On M-Bus every address is tried, then
    meters that share one are told apart by their serial numbers.
    """
    import json
    from dataclasses import asdict

    from logger.config.addresses import MBUS_BAUDRATE
    from logger.domain.errors import ConfigError
    from logger.models import available
    from logger.models import load as load_model
    from logger.survey import draft, ports

    quiet()
    if protocol not in ("modbus", "mbus"):
        raise typer.BadParameter(f"{protocol!r}: modbus or mbus", param_hint="--protocol")
    if write is not None and write.exists():
        raise ConfigError(f"{write} exists already", "choose another name, or move it away")
    if not port:
        raise _no_port(ports.adapters())
    if all_settings and not ports.is_device(port) and not port.startswith("rfc2217://"):
        raise ConfigError(
            "--all: the gateway sets speed and parity of its line, not this program",
            "change them in the gateway and scan again",
        )
    models = [load_model(name, models_dir) for name in available(models_dir)]
    port = ports.lasting_name(port)
    _note_a_logger(port)
    wanted = _addresses(addresses, *((0, 250) if protocol == "mbus" else (1, 247)))
    speed = baudrate or (MBUS_BAUDRATE if protocol == "mbus" else 9600)
    found, stopped = _sweep(
        protocol,
        port,
        wanted,
        speed,
        parity,
        all_settings,
        models,
        patience or (0.5 if port.startswith("tcp://") else 0.07),
    )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    elif found or stopped is None:
        _show(found, port)
    if stopped is not None:
        unwritten = f"; {write} was not written" if write is not None else ""
        typer.echo(f"stopped at address {stopped}{unwritten}", err=True)
        raise typer.Exit(_INTERRUPTED)
    if write is not None:
        text = draft.config_text(port, found, {model.name: model for model in models})
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text(text, encoding="utf-8")
        typer.echo(
            f"{write}: written; set each meter's name and role in it first, "
            f"then: inepro-logger check --config {write}",
            err=True,
        )
    if not found:
        raise typer.Exit(1)


def _no_port(adapters: list[str]) -> LoggerError:
    """Say which ports there are."""
    from logger.domain.errors import ConfigError

    return ConfigError(
        f"--port is missing; adapters here: {', '.join(adapters) or 'none'}",
        "a gateway is --port tcp://host:502 (Modbus TCP) or socket://host:port (RTU over TCP)",
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


def _sweep(
    protocol: str,
    port: str,
    addresses: list[int],
    baudrate: int,
    parity: str,
    everything: bool,
    models: list[Model],
    patience_s: float,
) -> tuple[list[Found], int | None]:
    """Return the meters on the line, and the address at which somebody stopped the search."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from logger.survey import mbusscan, scan

    sweeps = mbusscan if protocol == "mbus" else scan
    settings = [(baudrate, parity)]
    if everything:
        settings += [one for one in sweeps.all_settings() if one not in settings]
    found: dict[tuple[int, str], Found] = {}
    stopped: int | None = None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[met]} found"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, met=0)
        for number, (speed, bits) in enumerate(settings):
            config = sweeps.line_config(port, speed, bits)
            bar.update(task, description=f"{speed} baud, parity {bits}")
            known = len(found)

            def show(
                done: int, total: int, met: int, first: int = number, known: int = known
            ) -> None:
                bar.update(
                    task,
                    completed=first * total + done,
                    total=len(settings) * total,
                    met=known + met,
                )

            try:
                met = sweeps.sweep(config, models, addresses, show, patience_s)
            except scan.Stopped as end:
                met, stopped = end.found, end.address
            found |= {(one.address, one.serial or f"{speed} {bits}"): one for one in met}
            if stopped is not None:
                break
    return sorted(found.values(), key=lambda one: one.address), stopped


def _addresses(text: str, lowest: int, highest: int) -> list[int]:
    found: set[int] = set()
    for part in (text or f"{lowest}-{highest}").split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise typer.BadParameter(
                f"{part!r}: write 1-247, 1-20 or 3,7,30-40", param_hint="--range"
            )
        if last and int(first) > int(last):
            raise typer.BadParameter(
                f"{part!r}: the lower address comes first: {last}-{first}", param_hint="--range"
            )
        found |= set(range(int(first), int(last or first) + 1))
    if not found or min(found) < lowest or max(found) > highest:
        raise typer.BadParameter(
            f"{text!r}: addresses go from {lowest} to {highest}", param_hint="--range"
        )
    return sorted(found)


def _remedy(port: str) -> str:
    """Say what to try when nobody answers on `port`."""
    from logger.bus.faults import lacks_parity
    from logger.config.ports import network
    from logger.survey.scan import line_config

    place = network(port)
    if place is None or place.scheme == "rfc2217":
        swap = "swap A and B; " if place is None else ""
        return lacks_parity(line_config(port)) or (
            f"--all for other speeds and parities; {swap}is the meter powered, "
            "its address 1 to 247, and no logger running on the port?"
        )
    other = {"tcp": "socket", "socket": "tcp"}.get(place.scheme)
    return (
        "--patience 1s; are speed and parity of its line right in the gateway (9600 baud, even "
        "parity, one stop bit from the factory), the meter powered, no logger connected to it?"
        + (f" Or it speaks the other way: --port {other}://{place.address}" if other else "")
    )


def _show(found: list[Found], port: str) -> None:
    from logger.cli.console import console as on_output
    from logger.cli.console import fitting, plain
    from logger.cli.table import Table
    from logger.config.addresses import MBUS_SELECTED

    console = on_output()
    if not found:
        console.print(f"No meter answers on {plain(port)}.", highlight=False)
        console.print(f"  try: {_remedy(port)}", highlight=False)
        return
    table = Table(
        "address", "model", "sold as", "serial number", "firmware", "CT", "tariff", "line"
    )
    table.columns[0].justify = "right"
    for one in found:
        table.add_row(
            f"by {one.serial}" if one.address == MBUS_SELECTED else str(one.address),
            one.model or "?",
            one.sold_as,
            one.serial,
            one.software_version,
            one.ct_ratio,
            one.tariff,
            f"{one.baudrate} 8{one.parity[0].upper()}1",
        )
    console.print(fitting(table))
    for one in found:
        if one.note:
            console.print(f"[yellow]address {one.address}:[/] {plain(one.note)}", highlight=False)
