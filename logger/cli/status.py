"""`status`: what a running logger is doing, asked from another process."""

from __future__ import annotations

from typing import Any

import typer

from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption


def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what the running logger is doing; exit code 0 when all is well, 1 when not."""
    import json

    from logger.config import load_config
    from logger.runtime.status import ask

    state = ask(load_config(config).buffer.path)
    if as_json:
        typer.echo(json.dumps(state, indent=2))
    else:
        _show(state)
    raise typer.Exit(0 if state["healthy"] else 1)


def _show(state: dict[str, Any]) -> None:
    from logger.cli.bufferparts import scrubbed, until_full_of
    from logger.cli.console import console as on_output
    from logger.cli.console import fitting, plain
    from logger.cli.table import Table
    from logger.derive.events import span

    console = on_output()
    console.soft_wrap = True
    running = (state["now"] - state["started"]) / 1000
    console.print(
        f"inepro-logger {state['version']}, site [bold]{plain(state['site'])}[/], process "
        f"{state['pid']}, running for {span(running)}, {state['readings']} readings"
    )
    table = Table("meter", "bus", "role", "age", "read", "answered", "errors", "missed")
    for meter in state["meters"]:
        age = "never" if meter["age_s"] is None else f"{meter['age_s']:.1f} s"
        took = "" if meter["read_ms"] is None else f"{meter['read_ms']:.0f} ms"
        counts = (str(meter[name]) for name in ("reads", "read_errors", "missed"))
        table.add_row(meter["name"], meter["bus"], meter["role"], age, took, *counts)
    console.print(fitting(table))
    for bus in state["buses"]:
        console.print(
            f"bus {plain(bus['name'])} ({plain(bus['port'])}): busy {bus['busy']:.0%}, planned "
            f"{bus['planned_load']:.0%}; {bus['requests']} requests, {bus['silent']} silent, "
            f"{bus['garbled']} garbled, {bus['refused']} refused"
            + (f"; shared with another master ({bus['foreign']} frames)" if bus["shared"] else "")
        )
    buffer = state["buffer"]
    wear, room = buffer["written_per_day"], buffer["room_to_make"]
    kept = "are kept: no [influxdb], this file is the store" if buffer["store"] else "wait"
    console.print(
        f"buffer {plain(buffer['path'])}: {buffer['waiting']} points {plain(kept)}, "
        f"{buffer['file_size'] / 1e6:.1f} MB of {buffer['max_size'] / 1e6:.0f} MB"
        + (f", {room / 1e6:.1f} MB of it still to be given up" if room else "")
        + (f", {wear / 1e6:.0f} MB a day go to the medium" if wear is not None else ""),
    )
    if buffer["store"]:
        console.print(f"buffer: {until_full_of(buffer)}")
    console.print(f"buffer {scrubbed(buffer['scrub'], 'UTC')}")
    for lane in state["delivery"].values():
        lag = "" if lane["lag_s"] is None else f", newest point {lane['lag_s']:.0f} s old"
        console.print(
            f"bucket {plain(lane['bucket'])}: {lane['status']}, {lane['delivered']} delivered "
            f"since the start, {lane['set_aside']} set aside{lag}",
        )
    if mqtt := state.get("mqtt"):
        trusting = ", whoever answers there is believed" if mqtt["insecure"] else ""
        console.print(
            f"mqtt {plain(mqtt['url'])}: {mqtt['status']}, {mqtt['published']} messages since "
            f"the start{trusting}"
        )
    if (shared := state.get("share")) is not None:
        console.print(
            f"Modbus server on {plain(', '.join(shared['listening']) or 'nothing')}: "
            f"{shared['clients']} clients, {shared['requests']} requests, {shared['refused']} "
            f"refused, {shared['asked']} questions to a line"
        )
    if http := state.get("http"):
        asked = "with a token" if http["token"] else "for this machine"
        heard = f"{http['pages']} pages" if http["listening"] else "not listening"
        console.print(f"http {plain(http['url'])}: {asked}, {heard}")
    for problem in state["problems"]:
        console.print(f"[red]problem:[/] {plain(problem)}")
    if state["healthy"]:
        console.print("[green]all is well[/]")
