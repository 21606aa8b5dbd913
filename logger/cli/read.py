"""`read METER`: one reading of all registers, as the meter sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from logger.cli.moments import ForOption
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from logger.cli.quiet import quiet

if TYPE_CHECKING:
    from logger.meter.reader import Reader
    from logger.meter.reading import Reading
    from logger.models import Job, Model

# What fails for a moment on a line is read again: so often at most.
_TRIES = 3


def read(
    meter: Annotated[str, typer.Argument(help="The meter's name in the configuration.")],
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Again and again, by phase: to see what turning does.")
    ] = False,
    for_: ForOption = None,
) -> None:
    """Read every register of one meter once and show it as the meter sends it."""
    import contextlib
    import json
    import time

    from logger import models
    from logger.bus import bus_of
    from logger.config import load_config
    from logger.config.find import find_meter
    from logger.meter.adapt import named
    from logger.meter.readers import reader_of
    from logger.models import Job
    from logger.survey.context import port_from, shared
    from logger.texts import printable

    quiet()
    loaded = load_config(config)
    bus_config, meter_config = find_meter(config, loaded, meter)
    model = models.load(meter_config.model, loaded.models_dir)
    if (watch and as_json) or (for_ is not None and not watch):
        raise typer.BadParameter("--watch takes --for, and no --json")
    order = (Job.IDENTITY, *(job for job in Job if job is not Job.IDENTITY))  # who it is first
    if both := shared(loaded.buffer.path, [bus_config.port]):
        typer.echo(f"note: {both}", err=True)
    bus = bus_of(bus_config)
    plain = meter_config.model_copy(update={"invert": False})
    reader = reader_of(bus, plain, model, lambda: time.time_ns() // 1_000_000, foreign=True)
    if watch:
        with contextlib.closing(bus), port_from(config):
            _watch(reader, for_)
        return
    try:
        with port_from(config):
            bus.open()
        readings = [_best(reader, job) for job in order if reader.blocks(job)]
    finally:
        bus.close()
    wrong, failures = reader.wrong, [one for each in readings for one in each.failures]
    if failures and not any(reading.values for reading in readings):
        with port_from(config):
            raise wrong or failures[0].error
    lacking = [model.by_quantity[one] for one in reader.left_out]
    if as_json:
        found = _as_json(meter, model, readings)
        found["left_out"] = [one.key for one in lacking]
        found["wrong_model"] = str(wrong or "")
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(meter, model, readings)
        if lacking:
            is_mbus = model.protocol == "mbus"
            names = ", ".join(one.name for one in lacking) if is_mbus else named(lacking)
            typer.echo(f"left out: the meter does not answer {names}")
    if wrong is not None:
        raise wrong
    if failures:
        for text in dict.fromkeys(f"not read: {one.error}" for one in failures):
            typer.echo(printable(text), err=True)
        raise typer.Exit(1)


def _best(reader: Reader, job: Job) -> Reading:
    """Return what `job` gives, of a few tries while something fails on the line."""
    from logger.domain.errors import PortError

    found: list[Reading] = []
    while len(found) < _TRIES:
        found.append(reader.read(job, 0))
        failures = found[-1].failures
        if not failures or reader.away or isinstance(failures[-1].error, PortError):
            break
    return min(found, key=lambda one: (bool(one.failures), -len(one.values)))


def _watch(reader: Reader, for_s: float | None) -> None:
    """Show the measured values of a meter, read again for each look."""
    from rich.console import Group
    from rich.text import Text

    from logger.cli.live import LiveValues, by_phase, phases
    from logger.cli.watching import repeat
    from logger.models import Job
    from logger.texts import printable

    latest = LiveValues()

    def look() -> str:
        """Read once; return what failed."""
        reading = reader.read(Job.FAST, 0)
        latest.take(reading)
        return "; ".join(printable(str(one.error)) for one in reading.failures)

    def line() -> str:
        failed = look()
        return f"not read: {failed}" if failed else by_phase(latest)

    def drawn(_height: int, _width: int) -> Group:
        failed = look()
        return Group(Text(f"not read: {failed}" if failed else ""), phases(latest))

    repeat(drawn, line, for_s)


def _rows(model: Model, readings: list[Reading]) -> list[dict[str, Any]]:
    from decimal import Decimal

    values = {one: value for reading in readings for one, value in reading.values.items()}
    return [
        {
            "address": register.place,
            "name": register.name,
            "field": register.field,
            "phase": register.phase,
            "tariff": register.tariff,
            "value": float(value) if isinstance(value, Decimal) else value,
            "unit": register.value_unit,
        }
        for register in model.registers
        if (value := values.get(register.quantity)) is not None
    ]


def _as_json(meter: str, model: Model, readings: list[Reading]) -> dict[str, Any]:
    return {
        "meter": meter,
        "model": model.name,
        "time": readings[-1].taken_ms,
        "requests": sum(reading.requests for reading in readings),
        "values": _rows(model, readings),
        "rejected": [
            {
                "address": model.by_quantity[one.quantity].place,
                "field": str(one.quantity),
                "reason": one.reason,
            }
            for reading in readings
            for one in reading.rejected
        ],
        "failures": [
            {"block": str(failure.block), "error": str(failure.error)}
            for reading in readings
            for failure in reading.failures
        ],
    }


def _show(meter: str, model: Model, readings: list[Reading]) -> None:
    from logger.cli.console import console as on_output
    from logger.cli.console import fitting, plain
    from logger.cli.table import Table

    where = "address" if model.protocol == "modbus" else "record"
    table = Table(where, "register", "value", "unit", title=f"{meter} ({model.title})")
    table.columns[2].justify = "right"
    for row in _rows(model, readings):
        table.add_row(row["address"], row["name"], str(row["value"]), row["unit"])
    console = on_output()
    console.print(fitting(table))
    for reading in readings:
        for one in reading.rejected:
            console.print(
                f"[yellow]not believed:[/] {model.by_quantity[one.quantity].place} {one.quantity}: "
                f"{plain(one.reason)}"
            )
        for failure in reading.failures:
            console.print(
                f"[red]not read:[/] {failure.block}: {plain(failure.error)}", highlight=False
            )
