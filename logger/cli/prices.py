"""`prices`: what the market asks for each quarter hour, imported and kept beside the buffer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli import pricecosts, priceimport, pricerows
from logger.cli.bufferparts import bar, emit
from logger.cli.moments import FromOption, ToOption, lasting, limits, now_ms
from logger.cli.ondemand import group
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption

if TYPE_CHECKING:
    from logger.config import Config
    from logger.domain.spot import Spots
    from logger.domain.timespan import TimeSpan

app = group("Prices of each hour or quarter hour: import them, look at them.")

_KIND_HELP = "import (what is drawn) or export (what is fed back)"
KindOption = Annotated[str, typer.Option("--kind", help=f"For {_KIND_HELP}.")]
KindsOption = Annotated[
    str | None, typer.Option("--kind", help=f"Only those for {_KIND_HELP}; else both.")
]
_SHOWN_GAPS = 10


@app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, JSON or XML, also compressed by gzip.")
    ],
    zone: Annotated[
        str | None,
        typer.Option("--zone", help="Time zone of times without an offset, as Europe/Vienna."),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option("--unit", help="EUR/MWh, ct/kWh, EUR/kWh ...; else as the file says."),
    ] = None,
    kind: KindOption = "import",
    resolution: Annotated[
        float | None,
        typer.Option(
            "--resolution",
            parser=lasting,
            metavar="DURATION",
            help="How long a price holds: 15m, 30m, 1h; else as the file says.",
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", help="The column or field of the price.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Only what has this area, sequence ...; may be repeated."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Take the good lines although some are bad.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take prices from a file: CSV, JSON or XML of ENTSO-E, energy-charts.info, aWATTar, SMARD,
    Nord Pool, Tibber and others. Prices that are there already are replaced. With a bad line
    nothing is taken, unless --skip-bad."""
    from logger.config import load_config
    from logger.prices import kept
    from logger.prices.reading import How, read
    from logger.store import tools

    loaded = load_config(config)
    wanted = pricerows.one_kind(kind)
    how = How(
        currency=loaded.prices.currency,
        zone=pricerows.known_zone(zone),
        unit=pricerows.known_unit(unit),
        length_ms=pricerows.length_ms(resolution),
        column=column,
        only=tuple(only or ()),
    )
    found = read(source, how)
    refused = bool(found.bad) and not skip_bad
    changed = points = costs = 0
    if not refused and found.spot:
        rows = priceimport.points_as_rows(loaded, wanted, found.spot)
        place = kept.beside(loaded.buffer.path)
        # Until the costs are made: of two imports the later one has the last word everywhere.
        with kept.changing(place, pricerows.waiting):
            old = kept.load(place, loaded.prices.currency)
            new, changed = kept.merged(old, wanted, found.spot)
            late = pricecosts.late(loaded, wanted, old.get(wanted, {}), found.spot, now_ms())
            kept.save(place, new, loaded.prices.currency)
            with (
                tools.changing(loaded.buffer.path, new=True) as database,
                bar("writing points", as_json) as progress,
            ):
                points = tools.add(database, rows, now_ms(), progress)
            if late is not None:
                costs = _late_costs(loaded, new, late, as_json=as_json)
    taken = 0 if refused else len(found.spot)
    if as_json:
        emit(priceimport.told(found, taken, changed, points, costs))
    else:
        priceimport.show_import(found, refused, taken, changed, costs, loaded)
    raise typer.Exit(1 if found.bad or not found.spot else 0)


def _late_costs(loaded: Config, spots: Spots, span: TimeSpan, *, as_json: bool) -> int:
    """Make costs of the past anew; what cannot be read now is told, and can wait."""
    from logger.domain.errors import LoggerError
    from logger.prices import kept

    try:
        count = pricecosts.write(loaded, spots, span, as_json=as_json)
    except LoggerError as err:
        typer.secho(
            f"the prices are kept, the costs in dashboards are as they were: {err}; "
            "later: inepro-logger prices recompute",
            fg="yellow",
            err=True,
        )
        return 0
    kept.paid(kept.beside(loaded.buffer.path), span)
    return count


@app.command()
def recompute(
    first: FromOption = None,
    last: ToOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Make the costs of past quarter hours anew for dashboards: after a change of
    [[prices.valid]], or for what was logged before there were prices. Without --from: since the
    first price of the configuration. Imports do so by themselves."""
    from logger.config import load_config
    from logger.prices import kept

    loaded = load_config(config)
    start, end = limits(first, last, loaded.site.timezone, now_ms())
    count = 0
    if needed := pricerows.needed(loaded):
        first_ms = pricecosts.since(loaded) if start is None else start
        span = (first_ms, now_ms() if end is None else end)
        place = kept.beside(loaded.buffer.path)
        with kept.changing(place, pricerows.waiting):
            spots = kept.load(place, loaded.prices.currency)
            count = pricecosts.write(loaded, spots, span, as_json=as_json)
            kept.paid(place, span)
    if as_json:
        emit({"costs": count})
    elif not needed:
        typer.echo("no entry of [[prices.valid]] has a formula: dashboards take all from counters")
    else:
        typer.echo(f"the costs of {count} quarter hours of meters were made")


@app.command()
def show(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show which prices there are and which are missing; exit code 1 if some are."""
    from zoneinfo import ZoneInfo

    from logger.config import load_config
    from logger.domain.limits import QUARTER_MS
    from logger.domain.spot import gaps
    from logger.prices import kept

    loaded = load_config(config)
    path = kept.beside(loaded.buffer.path)
    spots = kept.load(path, loaded.prices.currency)
    place = ZoneInfo(loaded.site.timezone)
    needed = pricerows.needed(loaded)
    found = [pricerows.about(kind, spot, place) for kind, spot in spots.items()]
    lacking = [kind for kind in needed if kind not in spots]
    if as_json:
        told = {"file": str(path), "currency": loaded.prices.currency, "prices": found}
        emit({**told, "needed": list(needed), "lacking": lacking})
    else:
        if not found:
            typer.echo(f"{path}: no prices yet: inepro-logger prices import FILE")
        for kind, spot in spots.items():
            held = (min(spot), max(spot) + QUARTER_MS)
            low, high = min(spot.values()), max(spot.values())
            mean = sum(spot.values()) / len(spot)
            typer.echo(
                f"{kind}: {len(spot)} quarter hours, {pricerows.between(held, place)}: "
                f"{low:f} to {high:f}, mean {mean:.5f} {loaded.prices.currency} a kWh"
            )
            own = gaps(spot)
            for gap in own[:_SHOWN_GAPS]:
                typer.echo(f"  missing: {pricerows.between(gap, place)}")
            if len(own) > _SHOWN_GAPS:
                typer.echo(f"  ... and {len(own) - _SHOWN_GAPS} more gaps")
        for kind in lacking:
            typer.echo(f"{kind}: prices.valid has a formula, and no price is there", err=True)
    raise typer.Exit(1 if lacking or any(one["gaps"] for one in found) else 0)


@app.command("list")
def list_(
    first: FromOption = None,
    last: ToOption = None,
    kind: KindsOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """List prices: as imported, and what a kWh costs or earns by the formula that holds. Without
    --from and --to: those of today and later."""
    from zoneinfo import ZoneInfo

    from logger.config import load_config
    from logger.prices import kept
    from logger.report.shape import csv_text

    loaded = load_config(config)
    place = ZoneInfo(loaded.site.timezone)
    if first is None and last is None:
        first = "today"
    start, end = limits(first, last, loaded.site.timezone, now_ms())
    spots = kept.load(kept.beside(loaded.buffer.path), loaded.prices.currency)
    rows = pricerows.rows(
        loaded, spots, pricerows.kinds(kind), (start or 0, 2**62 if end is None else end), place
    )
    if as_json:
        emit({"currency": loaded.prices.currency, "prices": rows})
    elif as_csv:
        typer.echo(csv_text(rows), nl=False)
    elif rows:
        pricerows.show(rows, loaded.prices.currency)
    else:
        typer.echo("no price of that time is there: inepro-logger prices show", err=True)


@app.command()
def remove(
    first: FromOption = None,
    last: ToOption = None,
    kind: KindsOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of them, if neither --from nor --to is given.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Remove kept prices of a time: reports then miss them. Points that were written stay."""
    from logger.config import load_config
    from logger.prices import kept

    loaded = load_config(config)
    start, end = limits(first, last, loaded.site.timezone, now_ms())
    if start is None and end is None and not everything:
        raise typer.BadParameter("which prices? Give --from or --to, or --all")
    path = kept.beside(loaded.buffer.path)
    gone = 0
    if path.exists():
        with kept.changing(path, pricerows.waiting):
            old = kept.load(path, loaded.prices.currency)
            until = 2**62 if end is None else end
            left, gone = kept.without(old, pricerows.kinds(kind), start or 0, until)
            if gone:
                kept.save(path, left, loaded.prices.currency)
    if as_json:
        emit({"quarter_hours": gone})
    else:
        typer.echo(f"{gone} quarter hours of prices removed")
