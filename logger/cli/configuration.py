"""`config check`: everything about the file that can be known without a meter; others beside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from logger.cli import metertable
from logger.cli.ondemand import group
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption

if TYPE_CHECKING:
    from logger.config import Config

app = group("The configuration file.")


@app.command()
def check(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check the configuration file and the load it puts on each bus."""
    import json

    from logger.bus import busload
    from logger.bus.busload import meters_text
    from logger.config import load_config
    from logger.config.share import units_of
    from logger.domain.times import duration_text
    from logger.mbus.frames import Place
    from logger.models import Job
    from logger.runtime.configured import check_config, models_of

    loaded = load_config(config)
    loads = check_config(loaded)
    tables = models_of(loaded)
    warnings = list(_warnings(loaded))
    if as_json:
        buses = [{"name": n, "load": x} for n, x in loads]
        typer.echo(json.dumps({"ok": True, "buses": buses, "warnings": warnings}))
        return
    typer.echo(f"{config}: good")
    for bus, (_, load) in zip(loaded.bus, loads, strict=True):
        typer.echo(f"  bus {bus.name}: {meters_text(bus)}, line busy {load:.0%} of the time")
        for meter in bus.meter:
            jobs = {"power": Job.FAST, "energy": Job.SLOW}
            often = (
                f"{what} every {duration_text(loaded.interval(meter, job))}"
                for what, job in jobs.items()
                if tables[meter.model].of_job(job)  # some have counters only
            )
            place = Place(meter.address, meter.secondary or "")
            typer.echo(
                f"    {meter.name}: {meter.model} at {place}, role {meter.role}, {', '.join(often)}"
            )
    if (share := loaded.share.modbus) is not None:
        count = len(units_of(share, loaded.bus))
        typer.echo(f"  Modbus server on {', '.join(share.listen)}: {count} units")
        for bus in loaded.bus:
            lent = busload.lending(loaded, bus, tables)
            if bus.protocol == "modbus":
                typer.echo(
                    f"    bus {bus.name}: up to {lent.share:.0%} of the line for others, "
                    f"{1000 * lent.longest_s:.0f} ms at a time"
                )
    if loaded.influxdb is None:
        typer.echo(f"  no [influxdb]: the buffer {loaded.buffer.path} is the store")
    else:
        buckets = {loaded.influxdb.bucket, loaded.influxdb.fast_bucket or loaded.influxdb.bucket}
        typer.echo(f"  InfluxDB {loaded.influxdb.url}, buckets {', '.join(sorted(buckets))}")
    if loaded.mqtt is not None:
        typer.echo(f"  MQTT {loaded.mqtt.url}, topics below {loaded.mqtt.prefix}/")
    if loaded.http is not None:
        typer.echo(f"  HTTP {loaded.http.url}")
    for warning in warnings:
        typer.echo(f"warn: {warning}")


app.command()(metertable.meters)
app.command("import")(metertable.import_)


def _warnings(config: Config) -> Iterator[str]:
    """Yield what does not keep the logger from starting, and is not what was meant.

    Raises ConfigError for what does.
    """
    from contextlib import suppress
    from pathlib import Path

    from logger.config.answers import NO_PORT
    from logger.domain.errors import ConfigError
    from logger.runtime.configured import models_of
    from logger.store.place import check_first, directory_fault
    from logger.survey import ports, surroundings

    here = ", ".join(ports.on_machine()) or "none"
    for bus in config.bus:
        if bus.port.endswith(NO_PORT):
            raise ConfigError(
                f"bus {bus.name}: its port was never named: {bus.port}", f"adapters here: {here}"
            )
        if ports.is_device(bus.port) and not Path(bus.port).exists():
            yield f"bus {bus.name}: no {bus.port} here, run waits for it; adapters here: {here}"
    with suppress(PermissionError):
        if directory_fault(config.buffer.path):
            check_first(config.buffer.path)
    try:
        check_first(config.buffer.path)
    except ConfigError as err:
        yield str(err)
    days = surroundings.days_of_room(config.buffer.max_size, config, models_of(config))
    if days < 1:
        yield (
            f"buffer.max_size holds {24 * days:.1f} hours of points at these intervals: "
            "a night without InfluxDB would lose some"
        )
    for one in surroundings.quarter_hours(config):
        yield f"{one.text}; try {one.remedy}"
