"""`settings show` and `settings set`: the only command that writes to a meter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from logger.cli.ondemand import group
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from logger.cli.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from logger.config import Bus, Config, Meter
    from logger.models import Model
    from logger.settings import Change, Changer, Outcome

app = group("Show and change the settings of a meter.")

_FINAL = "This cannot be taken back."
MeterArgument = Annotated[str, typer.Argument(help="The meter's name in the configuration.")]


@app.command()
def show(
    meter: MeterArgument, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Print every setting of a meter, in words."""
    import json

    from logger.bus import bus_of
    from logger.cli.console import console as on_output
    from logger.cli.console import fitting
    from logger.cli.table import Table
    from logger.settings import accepted, listed, read_settings, shown
    from logger.survey.context import port_from, shared

    quiet()
    loaded, bus_config, meter_config, model = _find(config, meter)
    if model.protocol == "mbus":
        from logger.cli.mbussettings import show_mbus

        show_mbus(loaded, bus_config, meter_config, model, config, as_json)
        return
    registers = listed(model)
    if both := shared(loaded.buffer.path, [bus_config.port]):
        typer.echo(f"note: {both}", err=True)
    bus = bus_of(bus_config)
    try:
        with port_from(config):
            values = read_settings(bus, meter_config, model, registers)
    finally:
        bus.close()
    rows: list[dict[str, Any]] = [
        {
            "name": register.field,
            "register": register.name,
            "value": shown(register, values[register.key]) if register.key in values else None,
            "accepts": accepted(register),
            "address": register.place,
        }
        for register in registers
    ]
    if as_json:
        typer.echo(json.dumps({"meter": meter, "model": model.name, "settings": rows}, indent=2))
        return
    table = Table("name", "value", "register", "can be set to", title=f"{meter} ({model.title})")
    for row in rows:
        value = "not answered" if row["value"] is None else row["value"]
        table.add_row(row["name"], value, row["register"], row["accepts"])
    on_output().print(fitting(table))


@app.command(name="set")
def set_(
    meter: MeterArgument,
    name: Annotated[str, typer.Argument(help="The setting, as `settings show` names it.")],
    value: Annotated[str, typer.Argument(help='The new value: "10", "even", "250/5", "reset".')],
    config: ConfigOption = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, for scripts.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the frame that would be sent, send nothing.")
    ] = False,
    again: Annotated[
        str | None,
        typer.Option("--again", help="The value once more, for what can never be taken back."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write even while a logger reads the same gateway.")
    ] = False,
) -> None:
    """Change one setting of a meter, and read it back."""
    from logger.domain.errors import BusError, ConfigError
    from logger.settings import Changer, advice, prepare
    from logger.survey.context import port_from, shared

    quiet()
    loaded, bus_config, meter_config, model = _find(config, meter)
    if model.protocol == "mbus":
        from logger.cli.mbussettings import Options, set_mbus

        options = Options(config, yes, dry_run, force)
        set_mbus(loaded, bus_config, meter_config, model, name, value, options)
        return
    change = prepare(model, name, value)
    _check_address(bus_config, meter_config, change)
    if dry_run:
        frame = change.frame(meter_config.address)
        typer.echo(f"{meter}: {change.register.name} to {change.wanted}")
        if change.final:
            typer.secho(f"{_FINAL} It takes --again {value!r}.", fg="red")
        typer.echo(
            f"would send: {frame[:-2].hex(' ').upper()}  checksum {frame[-2:].hex(' ').upper()}"
        )
        return
    changer = Changer(bus_config, meter_config, model, change)
    both = shared(loaded.buffer.path, [bus_config.port])
    if both and not force:
        raise BusError(f"{both}; nothing was sent", "stop the logger first; --force writes anyway")
    with port_from(config):
        before = changer.before()
    typer.echo(f"{meter}: {change.register.name} is {before}, will be {change.wanted}")
    if note := advice(change.register):
        typer.echo(f"  note: {note}")
    if before == change.wanted and not change.resets:
        typer.echo("It is set so already; nothing was sent.")
        return
    if changer.occupied():
        raise ConfigError(
            f"somebody answers at address {change.wanted} already", "choose a free address"
        )
    _confirm(change, value, yes, again)
    outcome = changer.make(before)
    _report(meter, name, change, outcome)
    _follow(config, loaded, bus_config, meter_config, changer, change, outcome)
    if not outcome.verified:
        raise typer.Exit(1)


def _find(path: Path, name: str) -> tuple[Config, Bus, Meter, Model]:
    from logger import models
    from logger.config import load_config
    from logger.config.find import find_meter

    loaded = load_config(path)
    bus, meter = find_meter(path, loaded, name)
    return loaded, bus, meter, models.load(meter.model, loaded.models_dir)


def _check_address(bus: Bus, meter: Meter, change: Change) -> None:
    from logger.domain.errors import ConfigError

    if change.write.config != "address":
        return
    for other in bus.meter:
        if other is not meter and str(other.address) == change.wanted:
            raise ConfigError(
                f"address {change.wanted} belongs to {other.name!r} on the same bus",
                "choose a free address",
            )


def _confirm(change: Change, value: str, yes: bool, again: str | None) -> None:
    from logger.domain.errors import ConfigError

    if change.final:
        typer.secho(_FINAL, fg="red", err=True)
        typed = again
        if typed is None and not yes:
            typed = typer.prompt(f"Type the value again ({value})")
        if typed is None or typed.strip() != value.strip():
            raise ConfigError(
                "the value was not repeated: nothing was sent",
                f"add --again {value!r} when you are sure",
            )
    elif not yes:
        typer.confirm("Write it to the meter?", abort=True)


def _report(meter: str, name: str, change: Change, outcome: Outcome) -> None:
    if outcome.after is None:
        typer.secho(f"Written, but it could not be read back: {outcome.error}", fg="red", err=True)
    elif not outcome.verified:
        typer.secho(
            f"Written, but the meter says {outcome.after}, not {change.wanted}", fg="red", err=True
        )
    else:
        typer.secho(f"Done: it was {outcome.before}, it is {outcome.after}.", fg="green")
    if change.resets:
        typer.echo(f"A reset cannot be undone; the counter stood at {outcome.before}.")
    elif not change.final:
        old = outcome.before.removesuffix(change.register.unit).strip()
        typer.echo(f"To undo: inepro-logger settings set {meter!r} {name} {old!r}")


def _follow(
    path: Path,
    config: Config,
    bus: Bus,
    meter: Meter,
    changer: Changer,
    change: Change,
    outcome: Outcome,
) -> None:
    """Tell what to edit when the meter is reached in another way from now on."""
    from logger.config.find import place_of

    key, value = change.write.config, changer.config_value()
    if not key or outcome.after is None:
        return
    own = meter.name if key == "address" else ""
    typer.echo(f"Now edit {place_of(path, config, bus.name, own, key)}: {key} = {value}")
    if not own and len(bus.meter) > 1:
        typer.echo(
            f"The {len(bus.meter) - 1} other meters of the bus speak as before: change them, too."
        )
