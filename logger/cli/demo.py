"""`demo`: the whole pipeline on virtual meters, with nothing to install or connect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.moments import ForOption

if TYPE_CHECKING:
    from logger.cli.live import Latest
    from logger.config import Config
    from logger.runtime.app import App

# Noon in June: a demo without sun would show little.
_NOON = "2026-06-21T10:30:00+00:00"
_LINE_EVERY_S, _REFRESH_S = 5.0, 0.5
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
) -> None:
    """Show two virtual meters, grid and PV, logged by the real pipeline. Ctrl-C ends it."""
    import contextlib
    import logging
    import tempfile
    from datetime import datetime

    from logger.runtime import logs

    logs.set_up("text", logging.WARNING)

    from logger.cli.live import Latest
    from logger.runtime.app import App
    from logger.simulate import VirtualClock, VirtualLine, virtual_site

    start = datetime.fromisoformat(_NOON).timestamp()
    site = virtual_site(seed, start=start, meters={1: "grid", 2: "pv"})
    latest = Latest()
    with contextlib.ExitStack() as stack:
        place = buffer or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "demo.sqlite"
        line = stack.enter_context(
            VirtualLine(site.meters, baudrate=9600, paced=True, clock=VirtualClock(start))
        )
        port = line.start_tcp("127.0.0.1", 0)
        app = App(_config(port, place), listener=latest.take)
        _show(app, latest, for_)
        good = _summary(app, buffer)
    raise typer.Exit(0 if good else 1)


def _config(port: int, buffer: Path) -> Config:
    from logger.config import Config

    return Config.model_validate(
        {
            "site": {"name": "demo"},
            "intervals": {"fast": "1s", "slow": "10s", "identity": "1m"},
            "bus": [
                {
                    "name": "virtual",
                    "port": f"socket://127.0.0.1:{port}",
                    "meter": [
                        {"name": "grid", "model": "pro380", "address": 1, "role": "grid"},
                        {"name": "roof", "model": "pro380", "address": 2, "role": "pv"},
                    ],
                }
            ],
            "buffer": {"path": buffer.resolve()},
        }
    )


def _show(app: App, latest: Latest, for_s: float | None) -> None:
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
    typer.echo("Two virtual PRO380 meters on a paced 9600 baud line; Ctrl-C ends the demo.")
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
    typer.echo(
        f"{app.overview.readings} readings of {len(meters)} meters, {errors} errors, "
        f"{missed} jobs missed, {state.waiting} points in the buffer"
    )
    if buffer is not None and (not state.ok or not state.waiting):
        typer.echo(f"nothing to rely on is in {buffer}: {state.problem or 'no point was kept'}")
    elif buffer is not None:
        typer.echo(f"the points are in {buffer}:")
        typer.echo(f"  inepro-logger buffer export --file {buffer} --out points.csv")
    typer.echo(_NEXT)
    return state.ok and not errors and all(meter.reads for meter in meters)
