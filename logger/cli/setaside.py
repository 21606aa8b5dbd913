"""`buffer set-aside`: points that the server refused, and what to do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from logger.cli.bufferparts import bar, emit, opened
from logger.cli.moments import shown
from logger.cli.ondemand import group
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption

app = group("Points that the server refused: kept with its reason.")

Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[NUMBER]...", help="Rows, as `list` shows them.")
]
All = Annotated[bool, typer.Option("--all", help="All that are set aside.")]


@app.command("list")
def list_(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List what is set aside, and why."""
    from logger.store.database import Database
    from logger.store.tools import refused
    from logger.texts import one_line

    place = opened(config, None)
    database = Database.open_readonly(place.path)
    try:
        found = list(refused(database))
    finally:
        database.close()
    if as_json:
        emit(
            [
                {
                    "number": one.row.id,
                    "points": one.row.points,
                    "since_ms": one.since_ms,
                    "reason": one.reason,
                    "lines": one.row.lines,
                }
                for one in found
            ]
        )
        return
    for one in found:
        typer.echo(f"{one.row.id}: {one.row.points} points, {shown(one.since_ms, place.zone)}")
        typer.secho(f"  {one_line(one.reason, 300)}", fg="red")
        typer.echo(f"  {one_line(one.row.lines[0], 300)}" + (" ..." if one.row.points > 1 else ""))
    typer.echo(f"{sum(one.row.points for one in found)} points are set aside")


@app.command()
def retry(
    numbers: Numbers = None,
    everything: All = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let them wait for delivery again, after what was wrong is mended."""
    from logger.store import tools

    place = opened(config, None)
    wanted = _wanted(numbers, everything)
    with tools.changing(place.path) as database, bar("moving rows", as_json) as progress:
        points = tools.retry(database, wanted, place.now_ms(), progress)
    _done(points, "wait for delivery again", place.path, as_json)


@app.command()
def discard(
    numbers: Numbers = None,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Delete them for good; they are counted as dropped."""
    from logger.store import tools

    place = opened(config, None)
    wanted = _wanted(numbers, everything)
    if not yes:
        typer.confirm("Delete these points for good?", abort=True, err=True)
    with tools.changing(place.path) as database, bar("deleting rows", as_json) as progress:
        points = tools.discard(database, wanted, progress)
    _done(points, "discarded", place.path, as_json)


def _wanted(numbers: list[int] | None, everything: bool) -> list[int] | None:
    if bool(numbers) == everything:
        raise typer.BadParameter("name the numbers of rows, or --all")
    return None if everything else numbers


def _done(points: int, what: str, path: Path, as_json: bool) -> None:
    if as_json:
        emit({"points": points})
    else:
        typer.echo(f"{path}: {points} points {what}")
