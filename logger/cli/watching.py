"""`live`: what the running logger reads, as it comes, asked through its local socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from logger.cli.moments import ForOption
from logger.cli.options import DEFAULT_CONFIG, ConfigOption
from logger.cli.source import MeterOption

if TYPE_CHECKING:
    from rich.console import RenderableType

_EVERY_S = 1.0
_LINE_EVERY_S = 5.0
# What two meters need in full; a smaller terminal, or more of them, gets a line a meter.
_FULL_HEIGHT, _FULL_WIDTH, _HEIGHT_A_METER = 21, 118, 5


def live(
    config: ConfigOption = DEFAULT_CONFIG, meter: MeterOption = None, for_: ForOption = None
) -> None:
    """Show what the running logger reads now. Ctrl-C ends it."""
    from logger.cli.live import LiveValues, one_line, view
    from logger.config import load_config
    from logger.config.find import find_meter
    from logger.runtime.status import ask

    loaded = load_config(config)
    for name in meter or ():
        find_meter(config, loaded, name)
    latest = LiveValues()

    def look() -> dict[str, Any]:
        state = ask(loaded.buffer.path)
        if meter:
            found = [one for one in state["latest"]["meters"] if one["name"] in meter]
            state["latest"]["meters"] = found
        latest.show(state)
        return state

    def drawn(height: int, width: int) -> RenderableType:
        state = look()
        needed = _FULL_HEIGHT + _HEIGHT_A_METER * len(state["latest"]["meters"])
        return view(latest, state, small=height < needed or width < _FULL_WIDTH)

    repeat(drawn, lambda: one_line(latest, look()), for_, line_every_s=_LINE_EVERY_S)


def repeat(
    drawn: Callable[[int, int], RenderableType],
    line: Callable[[], str],
    for_s: float | None,
    *,
    line_every_s: float = _EVERY_S,
) -> None:
    """Show again and again what `drawn` gives for the height and width of a terminal, where
    the last picture stays, or print `line` where there is none, until Ctrl-C or for so many
    seconds."""
    import contextlib
    import time

    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    until = None if for_s is None else time.monotonic() + for_s

    def wait(seconds: float) -> bool:
        """Wait, no longer than to the end; tell whether there is more to come."""
        left = seconds if until is None else min(seconds, until - time.monotonic())
        time.sleep(max(0.0, left))
        return until is None or time.monotonic() < until

    last: RenderableType = ""
    with contextlib.suppress(KeyboardInterrupt):
        if not console.is_terminal:
            typer.echo(line())
            while wait(line_every_s):
                typer.echo(line())
            return
        last = drawn(console.height, console.width)
        with Live(last, console=console, auto_refresh=False, screen=True) as screen:
            while wait(_EVERY_S):
                last = drawn(console.height, console.width)
                screen.update(last, refresh=True)
    console.print(last)
