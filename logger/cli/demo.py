"""`demo`: the whole pipeline on virtual meters, with nothing to install or connect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.moments import ForOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logger.cli.live import LiveValues
    from logger.config import Config
    from logger.runtime.app import App
    from logger.simulate.layout import Place

# Noon in June: a demo without sun would show little.
_NOON = "2026-06-21T10:30:00+00:00"
_LINE_EVERY_S, _REFRESH_S = 5.0, 0.5
_QUICK = 4  # so many meters are read every second
_NEXT = """\
Next, with a meter of your own:
  inepro-logger scan     lists the adapters here
  inepro-logger init     writes a configuration
  inepro-logger check    looks at everything
  inepro-logger run      logs"""
# What the whole picture needs; a smaller terminal gets a line a meter.
_FULL_HEIGHT, _FULL_WIDTH = 31, 118
_TABLE_WIDTH = 76  # what the smaller one needs with rules between its columns


def demo(
    for_: ForOption = None,
    buffer: Annotated[
        Path | None, typer.Option(help="Keep the buffer in this file; else it is thrown away.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another house and sky.")] = 1,
    world: Annotated[
        str, typer.Option(help="house (grid and PV), battery, flat (one phase) or building.")
    ] = "house",
) -> None:
    """Show virtual meters, logged by the real pipeline. Ctrl-C ends it."""
    import contextlib
    import logging
    import tempfile
    from datetime import datetime

    from logger.runtime import logs

    logs.set_up("text", logging.WARNING)

    from logger.cli.live import LiveValues
    from logger.runtime.app import App
    from logger.simulate import VirtualClock, VirtualLine, virtual_site
    from logger.simulate.layout import places, usual_model

    start = datetime.fromisoformat(_NOON).timestamp()
    there, model = places(world), usual_model(world)
    site = virtual_site(
        seed,
        start=start,
        meters={address: one.role for address, one in there.items()},
        model=model,
        world=world,
        names={address: one.part for address, one in there.items()},
    )
    latest = LiveValues()
    with contextlib.ExitStack() as stack:
        place = buffer or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "demo.sqlite"
        line = stack.enter_context(
            VirtualLine(site.meters, baudrate=9600, paced=True, clock=VirtualClock(start))
        )
        port = line.start_tcp("127.0.0.1", 0)
        app = App(_config(port, place, there, model), listener=latest.take)
        _show(app, latest, for_)
        good = _summary(app, buffer)
    raise typer.Exit(0 if good else 1)


def _config(port: int, buffer: Path, there: Mapping[int, Place], model: str) -> Config:
    from logger.config import Config

    # What fits on a line of 9600 baud.
    fast, slow = ("1s", "10s") if len(there) <= _QUICK else ("15s", "2m")

    return Config.model_validate(
        {
            "site": {"name": "demo"},
            "intervals": {"fast": fast, "slow": slow, "identity": "10m" if slow == "2m" else "1m"},
            "bus": [
                {
                    "name": "virtual",
                    "port": f"socket://127.0.0.1:{port}",
                    "meter": [
                        {"name": one.name, "model": model, "address": address, "role": one.role}
                        for address, one in there.items()
                    ],
                }
            ],
            "buffer": {"path": buffer.resolve()},
        }
    )


def _show(app: App, latest: LiveValues, for_s: float | None) -> None:
    import threading
    import time

    from rich.console import Console
    from rich.live import Live

    from logger.cli.live import one_line, view
    from logger.runtime.daemon import serve

    console = Console()
    done = threading.Event()

    def draw() -> None:
        if console.is_terminal:
            with Live(console=console, auto_refresh=False, screen=True) as live:
                while not done.wait(_REFRESH_S):
                    small = console.height < _FULL_HEIGHT or console.width < _FULL_WIDTH
                    narrow = console.width < _TABLE_WIDTH
                    shown = view(latest, app.state(), small=small, narrow=narrow)
                    live.update(shown, refresh=True)
        else:
            began = time.monotonic()
            while not done.wait(_LINE_EVERY_S):
                text = one_line(latest, app.state())
                typer.echo(f"{time.monotonic() - began:5.0f} s  {text}")

    painter = threading.Thread(target=draw, name="view", daemon=True)
    count = len(app.readers)
    several = {1: "A virtual meter", 2: "Two virtual PRO380 meters"}
    shown = several.get(count, f"{count} virtual meters")
    typer.echo(f"{shown} on a paced 9600 baud line; Ctrl-C ends the demo.")
    painter.start()
    try:
        serve(app, for_s)
    finally:
        done.set()
        painter.join()


def _summary(app: App, buffer: Path | None) -> bool:
    """Print what was done; return whether every meter was read without an error."""
    meters = app.overview.meters()
    state = app.buffer.state()
    errors = sum(meter.errors for meter in meters)
    missed = sum(meter.missed for meter in meters)
    whose = "1 meter" if len(meters) == 1 else f"{len(meters)} meters"
    typer.echo(
        f"{app.overview.readings} readings of {whose}, {errors} errors, "
        f"{missed} jobs missed, {state.waiting} points in the buffer"
    )
    if buffer is not None and (not state.ok or not state.waiting):
        typer.echo(f"nothing to rely on is in {buffer}: {state.problem or 'no point was kept'}")
    elif buffer is not None:
        typer.echo(f"the points are in {buffer}:")
        typer.echo(f"  inepro-logger buffer export --file {buffer} --out points.csv")
    typer.echo(_NEXT)
    return state.ok and not errors and all(meter.reads for meter in meters)
