"""`config check`: everything about the file that can be known without a meter."""

from __future__ import annotations

import typer

from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption

app = typer.Typer(help="The configuration file.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `check` a command of its own while it is the only one."""


@app.command()
def check(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check the configuration file and the load it puts on each bus."""
    import json

    from logger.config import load_config
    from logger.domain.times import duration_text
    from logger.runtime.configured import check_config

    loaded = load_config(config)
    loads = check_config(loaded)
    if as_json:
        typer.echo(json.dumps({"ok": True, "buses": [{"name": n, "load": x} for n, x in loads]}))
        return
    typer.echo(f"{config}: good")
    for bus, (_, load) in zip(loaded.bus, loads, strict=True):
        typer.echo(f"  bus {bus.name}: {len(bus.meter)} meters, line busy {load:.0%} of the time")
        for meter in bus.meter:
            fast, slow = (duration_text(loaded.interval(meter, job)) for job in ("fast", "slow"))
            typer.echo(
                f"    {meter.name}: {meter.model} at address {meter.address}, role {meter.role}, "
                f"power every {fast}, energy every {slow}"
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
