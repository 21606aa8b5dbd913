"""What `prices import` tells, and the points that it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from logger.cli import pricerows

if TYPE_CHECKING:
    from logger.config import Config
    from logger.domain.spot import PriceKind, Spot
    from logger.prices.reading import Taken
    from logger.store.rows import NewRow

_SHOWN_BAD = 20


def told(found: Taken, taken: int, changed: int, points: int, costs: int) -> dict[str, Any]:
    """Return what became of a file, for JSON."""
    return {
        "quarter_hours": taken,
        "replaced": changed,
        "points": points,
        "costs": costs,
        "rows": found.rows,
        "without_price": found.empty,
        "repeated": found.repeated,
        "unit": found.unit,
        "zone": found.zone or None,
        "bad": found.bad,
    }


def show_import(
    found: Taken, refused: bool, taken: int, changed: int, costs: int, loaded: Config
) -> None:
    """Print what became of a file."""
    from zoneinfo import ZoneInfo

    from logger.domain.limits import QUARTER_MS
    from logger.domain.spot import gaps

    for line in found.bad[:_SHOWN_BAD]:
        typer.secho(line, fg="red", err=True)
    if len(found.bad) > _SHOWN_BAD:
        typer.secho(f"... and {len(found.bad) - _SHOWN_BAD} more", fg="red", err=True)
    if refused:
        typer.echo("nothing imported: mend these lines or add --skip-bad")
        return
    if not taken:
        typer.echo("nothing imported: no line has a price")
        return
    place = ZoneInfo(loaded.site.timezone)
    span = (min(found.spot), max(found.spot) + QUARTER_MS)
    low, high = min(found.spot.values()), max(found.spot.values())
    typer.echo(
        f"{taken} quarter hours, {pricerows.between(span, place)}: {low:f} to {high:f} "
        f"{loaded.prices.currency} a kWh (the file has {found.unit})"
    )
    if changed:
        typer.echo(f"{changed} of them had another price before")
    if costs:
        typer.echo(f"the costs of {costs} quarter hours of meters were made anew")
    if found.empty:
        typer.echo(f"{found.empty} lines have no price", err=True)
    if missing := sum(end - start for start, end in gaps(found.spot)) // QUARTER_MS:
        typer.echo(f"{missing} quarter hours between them have none: prices show", err=True)
    if not pricerows.needed(loaded):
        typer.echo(
            "no entry of [[prices.valid]] has a formula: nothing counts with these prices yet",
            err=True,
        )


def points_as_rows(loaded: Config, kind: PriceKind, spot: Spot) -> list[NewRow]:
    """Return points of the prices as rows of the buffer, which has room for them."""
    from zoneinfo import ZoneInfo

    from logger.domain.datamodel import Lane
    from logger.prices.points import final, points
    from logger.store.rows import new_rows
    from logger.transfer.importing import check_room

    price = final(loaded.prices, kind, ZoneInfo(loaded.site.timezone))
    made = list(points(loaded.site.name, kind, spot, price))
    rows = new_rows(Lane.MAIN, [one.line() for one in made], [one.time_ms for one in made])
    check_room(loaded.buffer.path, loaded.buffer.max_size, rows)
    return rows
