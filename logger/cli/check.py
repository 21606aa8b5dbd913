"""`check`: one screen for the installer, a verdict and a remedy in each line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from logger.cli.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from logger.config import Config, Influx
    from logger.survey.finding import Finding

# Of so many lines the beginning has left the screen at the end.
_SCREEN = 40
_COLOURS = {"ok": "green", "note": "cyan", "warn": "yellow", "fail": "red"}


def check(
    config: ConfigOption = DEFAULT_CONFIG,
    meters_only: Annotated[
        bool, typer.Option("--meters-only", help="Look at buses and meters only.")
    ] = False,
    user: Annotated[
        str, typer.Option(help="Who runs the logger; else the service's user, or this one.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Check the whole installation: buses, meters, wiring, InfluxDB, MQTT, HTTP, sharing, clock,
    disk.

    It only reads from the meters. The exit code is 1 when something fails.
    """
    import json
    from dataclasses import asdict, replace

    from logger.config import load_config

    quiet()
    loaded = load_config(config)
    found = []
    from logger.cli.console import console as on_output
    from logger.cli.console import plain

    console = on_output()
    subject = ""
    for finding in _findings(config, loaded, user, meters_only):
        found.append(finding)
        if not as_json:
            if finding.subject != subject:
                subject = finding.subject
                console.print(f"[bold]{plain(subject)}[/]")
            _print(console, finding)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        bad = [one for one in found if one.verdict in ("warn", "fail")]
        if len(found) > _SCREEN and bad:
            console.print("[bold]Not well, of all the above[/]")
            for finding in bad:
                _print(console, replace(finding, about=f"{finding.subject}: {finding.about}"))
        counts = {name: sum(one.verdict == name for one in found) for name in _COLOURS}
        console.print(", ".join(f"[{_COLOURS[n]}]{count} {n}[/]" for n, count in counts.items()))
    if any(one.verdict == "fail" for one in found):
        raise typer.Exit(1)


def _findings(file: Path, config: Config, user: str, meters_only: bool) -> Iterator[Finding]:
    from dataclasses import replace

    from logger.derive.clock import Clock
    from logger.derive.timesync import synchronised
    from logger.meter.state import StateStore
    from logger.models import available
    from logger.models import load as load_model
    from logger.mqtt import try_broker
    from logger.runtime.configured import state_directory
    from logger.survey import check as survey
    from logger.survey import place, running, surroundings
    from logger.survey.context import from_file, shared
    from logger.survey.finding import note

    configured = (meter.model for bus in config.bus for meter in bus.meter)
    names = dict.fromkeys((*available(config.models_dir), *configured))
    models = {name: load_model(name, config.models_dir) for name in names}
    states = StateStore(state_directory(config.buffer.path) / "meters")
    if both := shared(config.buffer.path, [bus.port for bus in config.bus]):
        yield note("logger", "running", both, "stop it for a while if meters seem to be garbled")
    state = running.state_of(config.buffer.path)
    for bus in config.bus:
        if running.has(state, bus):
            yield from running.seen(state, bus)
            continue
        for one in survey.check_bus(config, bus, models, states):
            at_port = one.about == "port" and one.verdict == "fail"
            yield replace(one, remedy=from_file(one.remedy, file)) if at_port else one
    if meters_only:
        return
    yield from surroundings.quarter_hours(config)
    yield from surroundings.influxdb(config, _try_write)
    yield from surroundings.mqtt(config, try_broker)
    yield from surroundings.sharing(config)
    yield from surroundings.http(config)
    yield from surroundings.clock(Clock().trusted, synchronised())
    yield from place.buffer(config, user or place.service_user(file))
    yield from surroundings.disk(config, models)


def _try_write(settings: Influx, bucket: str) -> tuple[str, str]:
    """Send a write without points: the server checks everything but the points."""
    from logger.influx.outcome import OutcomeKind
    from logger.influx.write import Client

    client = Client(settings, bucket)
    try:
        outcome = client.write(["# inepro-logger check"])
    finally:
        client.close()
    if outcome.kind in (OutcomeKind.DELIVERED, OutcomeKind.REJECTED):
        return "", ""
    return f"{outcome.kind.value}: {outcome.text}", outcome.hint


def _print(console: object, finding: Finding) -> None:
    from rich.console import Console

    from logger.cli.console import plain

    assert isinstance(console, Console)
    colour = _COLOURS[finding.verdict]
    console.print(
        f"  [{colour}]{finding.verdict:<4}[/] {plain(finding.about):<17} {plain(finding.text)}",
        soft_wrap=True,
    )
    if finding.remedy and finding.verdict != "ok":
        console.print(f"       {'':<17} -> {plain(finding.remedy)}", soft_wrap=True)
