"""Looks over a line for meters, and shows who is there: for `scan` and `init`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from logger.meter.identify import Found
    from logger.models import Model


def sweep(
    protocol: str,
    port: str,
    addresses: list[int],
    baudrate: int,
    parity: str,
    everything: bool,
    models: list[Model],
    patience_s: float,
) -> tuple[list[Found], int | None]:
    """Return the meters on the line, and the address at which somebody stopped the search.

    With `everything` a speed or parity that the port cannot be set to is passed over.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from logger.domain.errors import SettingsError
    from logger.survey import mbusscan, scan

    sweeps = mbusscan if protocol == "mbus" else scan
    settings = [(baudrate, parity)]
    if everything:
        settings += [one for one in sweeps.all_settings() if one not in settings]
    found: dict[tuple[int, str], Found] = {}
    stopped: int | None = None
    refused: list[SettingsError] = []
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

            def progress(
                done: int, total: int, met: int, first: int = number, known: int = known
            ) -> None:
                bar.update(
                    task,
                    completed=first * total + done,
                    total=len(settings) * total,
                    met=known + met,
                )

            try:
                met = sweeps.sweep(config, models, addresses, progress, patience_s)
            except scan.Stopped as end:
                met, stopped = end.found, end.address
            except SettingsError as err:
                refused.append(err)
                if not everything or len(refused) == len(settings):
                    raise refused[0] from None
                continue
            found |= {(one.address, one.serial or f"{speed} {bits}"): one for one in met}
            if stopped is not None:
                break
    return sorted(found.values(), key=lambda one: one.address), stopped


def addresses_of(text: str, lowest: int, highest: int) -> list[int]:
    """Return the addresses that a text such as 1-20,30 names; all for an empty one."""
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


def _mbus_remedy(port: str, baudrate: int) -> str:
    """Say what to try when nobody answers on the M-Bus line at `port`."""
    from logger.config.ports import network

    place = network(port)
    line = (
        "--all for other speeds"
        if place is None or place.scheme == "rfc2217"
        else f"is the level converter set to {baudrate} baud, even parity, and does it pass bytes"
    )
    return (
        f"{line}; is it powered and the meter on its M-Bus side, no other program connected? "
        "--patience 500ms for a slow network"
    )


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


def show(found: list[Found], port: str, mbus: int | None = None) -> None:
    """Print a table of the meters on `port`, or what to try when there is none.

    `mbus` is the speed of an M-Bus line.
    """
    from logger.cli.console import console as on_output
    from logger.cli.console import fitting, plain
    from logger.cli.table import Table
    from logger.config.addresses import MBUS_SELECTED

    console = on_output()
    if not found:
        console.print(f"No meter answers on {plain(port)}.", highlight=False)
        remedy = _remedy(port) if mbus is None else _mbus_remedy(port, mbus)
        console.print(f"  try: {remedy}", highlight=False)
        return

    def place(one: Found) -> str:
        return f"by {one.serial or 'number'}" if one.address == MBUS_SELECTED else str(one.address)

    table = Table(
        "address", "model", "sold as", "serial number", "firmware", "CT", "tariff", "line"
    )
    table.columns[0].justify = "right"
    table.columns[-1].no_wrap = True
    for one in found:
        table.add_row(
            place(one),
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
            where = place(one) if one.address == MBUS_SELECTED else f"address {one.address}"
            console.print(f"[yellow]{where}:[/] {plain(one.note)}", highlight=False)
