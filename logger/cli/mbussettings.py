"""`settings show` and `settings set` for a meter on M-Bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from logger.config import Bus, Config, Meter
    from logger.models import Model


@dataclass(frozen=True, slots=True)
class Options:
    """What was given besides the meter and the value."""

    config: Path
    yes: bool
    dry_run: bool
    force: bool


def show_mbus(
    loaded: Config, bus: Bus, meter: Meter, model: Model, file: Path, as_json: bool
) -> None:
    """Print what a meter on M-Bus says of itself, and what of it can be set."""
    import json
    import time

    from logger.bus import bus_of
    from logger.cli.console import console as on_output
    from logger.cli.console import fitting
    from logger.cli.table import Table
    from logger.meter.readers import reader_of
    from logger.models import Job
    from logger.settings import mbus
    from logger.settings.names import shown
    from logger.survey.context import port_from, shared

    if both := shared(loaded.buffer.path, [bus.port]):
        typer.echo(f"note: {both}", err=True)
    with port_from(file):
        now = mbus.state(bus, meter)
    line = bus_of(bus)
    reader = reader_of(line, meter, model, lambda: time.time_ns() // 1_000_000)
    try:
        values = reader.read(Job.IDENTITY, 0).values
    finally:
        line.close()
    addresses, rates = "0..250", ", ".join(map(str, sorted(model.baudrates)))
    rows: list[dict[str, Any]] = [
        _row(mbus.ADDRESS, "Primary address", str(now.address), addresses, "header"),
        _row(mbus.BAUDRATE, "Baud rate", str(now.baudrate), rates, "the line"),
    ]
    for one in model.of_job(Job.IDENTITY):
        if one.quantity in values:
            rows.append(_row(one.field, one.name, shown(one, values[one.quantity]), "", one.place))
    if as_json:
        found = {"meter": meter.name, "model": model.name, "settings": rows}
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table("name", "value", "record", "can be set to", title=f"{meter.name} ({model.title})")
    for row in rows:
        table.add_row(row["name"], row["value"], row["register"], row["accepts"])
    on_output().print(fitting(table))


def _row(name: str, title: str, value: str, accepts: str, place: str) -> dict[str, Any]:
    return {
        "name": name,
        "register": title,
        "value": value,
        "accepts": accepts,
        "address": place,
    }


def set_mbus(
    loaded: Config,
    bus: Bus,
    meter: Meter,
    model: Model,
    name: str,
    value: str,
    options: Options,
) -> None:
    """Change primary address or baud rate of a meter, and read it back."""
    from logger.config.find import place_of
    from logger.domain.errors import BusError, ConfigError
    from logger.settings import mbus
    from logger.survey.context import port_from, shared

    change = mbus.prepare(model, name, value)
    _check_free(bus, meter, change)
    if options.dry_run:
        frame = change.frame(meter.address)
        typer.echo(f"{meter.name}: {change.name} to {change.value}")
        typer.echo(f"would send: {frame.hex(' ').upper()}")
        return
    if (both := shared(loaded.buffer.path, [bus.port])) and not options.force:
        raise BusError(f"{both}; nothing was sent", "stop the logger first; --force writes anyway")
    with port_from(options.config):
        before = mbus.state(bus, meter)
    typer.echo(f"{meter.name}: {change.name} is {before.of(change)}, will be {change.value}")
    if before.of(change) == change.value:
        typer.echo("It is set so already; nothing was sent.")
        return
    if change.name == mbus.ADDRESS and mbus.occupied(bus, change.value):
        raise ConfigError(
            f"somebody answers at address {change.value} already", "choose a free address"
        )
    if not options.yes:
        typer.confirm("Write it to the meter?", abort=True)
    after = mbus.make(bus, meter, change, before)
    if after.of(change) != change.value:
        said = f"Written, but the meter says {after.of(change)}, not {change.value}"
        typer.secho(said, fg="red", err=True)
        raise typer.Exit(1)
    typer.secho(f"Done: it was {before.of(change)}, it is {after.of(change)}.", fg="green")
    undo = f"inepro-logger settings set {meter.name!r} {change.name} '{before.of(change)}'"
    typer.echo(f"To undo: {undo}")
    if change.name == mbus.ADDRESS and meter.secondary is not None:
        return  # it is reached by its number as before
    own = meter.name if change.key == "address" else ""
    place = place_of(options.config, loaded, bus.name, own, change.key)
    typer.echo(f"Now edit {place}: {change.key} = {change.value}")
    if not own and len(bus.meter) > 1:
        others = len(bus.meter) - 1
        typer.echo(f"The {others} other meters of the bus speak as before: change them, too.")


def _check_free(bus: Bus, meter: Meter, change: Any) -> None:
    from logger.domain.errors import ConfigError

    for other in bus.meter:
        if change.key == "address" and other is not meter and other.address == change.value:
            raise ConfigError(
                f"address {change.value} belongs to {other.name!r} on the same bus",
                "choose a free address",
            )
