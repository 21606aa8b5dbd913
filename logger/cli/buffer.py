"""`buffer`: look into the buffer, send it, save it elsewhere. Safe beside a running logger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from logger.cli import setaside
from logger.cli.bufferoptions import (
    PATIENCE_S,
    Chosen,
    FileOption,
    Format,
    PatienceOption,
    Precision,
    RateOption,
)
from logger.cli.bufferparts import Opened, bar, days, emit, nothing_to_export, opened
from logger.cli.moments import FromOption, ToOption, limits, shown
from logger.cli.ondemand import group
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, ForceOption, JsonOption, not_there_yet

app = group("Look into the buffer, deliver it, export it. Safe beside a running logger.")
app.add_typer(setaside.app, name="set-aside")


@app.command()
def status(
    config: ConfigOption = DEFAULT_CONFIG, file: FileOption = None, as_json: JsonOption = False
) -> None:
    """Show the books, the size and the wear; exit code 1 if something is not well."""
    from logger.buffer.overview import report
    from logger.cli.bufferparts import books_table, running_buffer

    place = opened(config, file)
    live = running_buffer(place.path)
    found = report(place.path, place.max_size, live, store=place.store, max_age_ms=place.max_age_ms)
    if as_json:
        emit(found)
    else:
        books_table(found, place.zone)
    raise typer.Exit(1 if found["problems"] else 0)


@app.command()
def verify(
    config: ConfigOption = DEFAULT_CONFIG, file: FileOption = None, as_json: JsonOption = False
) -> None:
    """Recount the file, check every row of it and the chain of days; exit code 1 if
    anything is off."""
    from logger.store.verify import verify as check
    from logger.texts import printable

    place = opened(config, file)
    with bar("checking rows", as_json) as progress:
        found = check(place.path, progress)
    damaged = found.books.total.drops.get("damaged", 0) if found.books is not None else 0
    chain = days(place.path, found.books)
    problems = [*found.problems, *(f"{one.day}: {one.meter}: {one.text}" for one in chain.faults)]
    if as_json:
        emit(
            {
                "ok": not problems,
                "rows": found.rows,
                "points": found.points,
                "problems": problems,
                "damaged": damaged,
                "days": chain.checked_days,
                "days_unchecked": chain.unchecked_days,
                "first_bad_day": next((one.day for one in chain.faults), None),
            }
        )
    else:
        typer.echo(f"{place.path}: {found.rows} rows, {found.points} points")
        if damaged:
            typer.secho(f"  {damaged} points were lost to damage and are booked so", fg="red")
        if chain.checked_days:
            typer.echo(f"  {chain.checked_days} days of meters were checked by their digests")
        for problem in problems:
            typer.secho(f"  {printable(problem)}", fg="red")
        typer.echo("everything agrees" if not problems else f"{len(problems)} problems")
    raise typer.Exit(1 if problems else 0)


@app.command()
def backfill(
    config: ConfigOption = DEFAULT_CONFIG,
    rate: RateOption = None,
    patience: PatienceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Deliver what waits now; exit code 1 if points still wait in the end."""
    _deliver(opened(config, None), rate, patience, {}, as_json=as_json)


@app.command()
def replay(
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="The first time to send again.")
    ],
    end: ToOption = "now",
    config: ConfigOption = DEFAULT_CONFIG,
    rate: RateOption = None,
    patience: PatienceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send delivered points again, for a server that lost data; the buffer has those of
    the last days (`keep`). Sending twice is harmless: a point overwrites itself."""
    from logger.store import tools

    place = opened(config, None)
    place.target()
    now_ms = place.now_ms()
    from_ms, to_ms = limits(start, end, place.zone, now_ms)
    assert from_ms is not None
    assert to_ms is not None
    with tools.changing(place.path) as database, bar("marking rows", as_json) as progress:
        points = tools.replay(database, from_ms, to_ms, now_ms, progress)
    if not as_json:
        typer.echo(f"{points} points from {shown(from_ms, place.zone)} on are sent again")
    _deliver(place, rate, patience, {"replayed": points}, as_json=as_json)


def _deliver(
    place: Opened,
    rate: float | None,
    patience: float | None,
    extra: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    from logger.delivery.backfill import backfill as deliver
    from logger.domain.times import duration_text
    from logger.store import tools

    target = place.target()
    patience_s = PATIENCE_S if patience is None else patience
    if not as_json:
        typer.echo(
            f"delivering to {target.url}; while nothing gets through it is tried for "
            f"{duration_text(patience_s)}; Ctrl-C is safe",
            err=True,
        )
    with tools.changing(place.path) as database, bar("delivering", as_json) as progress:
        stopped = deliver(
            database,
            target,
            now_ms=place.now_ms,
            progress=progress,
            rate=rate,
            patience_s=patience_s,
        )
    books = tools.summary(place.path).books.total
    result = {
        "stopped": stopped,
        "waiting": books.waiting,
        "delivered": books.delivered,
        "set_aside": books.set_aside,
    }
    if as_json:
        emit(extra | result)
    elif stopped:
        typer.secho(f"stopped: {stopped}", fg="red", err=True)
        typer.echo(f"{books.waiting} points still wait; nothing is lost")
    else:
        typer.echo(f"{books.waiting} points wait, {books.set_aside} are set aside")
    raise typer.Exit(1 if stopped else 0)


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; - is the terminal.")],
    kind: Annotated[Format | None, typer.Option("--format", help="Default: by the name.")] = None,
    chosen: Annotated[Chosen, typer.Option("--state", help="Which points.")] = Chosen.ALL,
    measurement: Annotated[
        list[str] | None, typer.Option("--measurement", "-m", help="Only these (repeatable).")
    ] = None,
    start: FromOption = None,
    end: ToOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    file: FileOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write points as CSV, line protocol or Parquet. All are those that wait or were
    delivered and are still kept; points that were set aside only on demand."""
    from logger.transfer.export import export as write
    from logger.transfer.source import source

    place = opened(config, file)
    format_ = kind.value if kind is not None else out.suffix.lstrip(".")
    if format_ not in set(Format):
        raise typer.BadParameter(f"which format is {out.name!r}? Add --format csv, lp or parquet")
    not_there_yet(out, force)
    from_ms, to_ms = limits(start, end, place.zone, place.now_ms())
    with (
        bar("exporting", as_json) as progress,
        source(
            place.path, chosen.value, from_ms, to_ms, frozenset(measurement or ()), progress
        ) as lines,
    ):
        if str(out) != "-" and next(lines(), None) is None:
            raise nothing_to_export(place.path, measurement or ())
        count = write(lines, out, format_)
    if as_json:
        emit({"file": str(out), "format": format_, "points": count})
    else:
        typer.echo(f"{count} points written to {out}", err=str(out) == "-")


@app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE.lp", help="Line protocol to take in, or .lp.gz.")
    ],
    precision: Annotated[
        Precision, typer.Option("--precision", help="Of the timestamps; auto tells by their size.")
    ] = Precision.AUTO,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Take the good lines although some are bad.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take someone's own points into the buffer, which is made if there is none, to be
    delivered with all others. Every line is checked first; with a bad one nothing is taken,
    unless --skip-bad. A file that is taken in again counts again in the books of the buffer,
    and changes no report: a point overwrites itself."""
    from logger.store import tools
    from logger.transfer.importing import check_room, read_lines, summary

    place = opened(config, file)
    found = read_lines(source, precision.value)
    refused = bool(found.bad) and not skip_bad
    points = 0
    if not refused and found.rows:
        check_room(place.path, place.max_size, found.rows)
        with (
            tools.changing(place.path, new=True, directory=file is None) as database,
            bar("importing", as_json) as progress,
        ):
            points = tools.add(database, found.rows, place.now_ms(), progress)
    bad = list(summary(found.bad))
    after = "are kept" if place.store else "wait for delivery"
    if as_json:
        emit({"points": points, "bad": bad, "repeated": found.repeated})
    else:
        for line in bad[:20]:
            typer.secho(line, fg="red", err=True)
        if len(bad) > 20:
            typer.secho(f"... and {len(bad) - 20} more", fg="red", err=True)
        typer.echo(
            "nothing imported: mend these lines or add --skip-bad"
            if refused
            else f"{points} points imported: they {after}"
            if points
            else "nothing imported: no line has a point"
        )
        if found.repeated:
            typer.echo(f"{found.repeated} lines only repeat others", err=True)
    raise typer.Exit(1 if bad else 0)
