"""What the commands about prices share: their options read, rows to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from logger.domain.limits import QUARTER_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from zoneinfo import ZoneInfo

    from logger.config import Config
    from logger.domain.spot import PriceKind, Spot, Spots
    from logger.domain.timespan import TimeSpan


def waiting() -> None:
    """Say that another command changes the prices."""
    typer.echo("another command is changing the prices: waiting until it has ended", err=True)


def one_kind(text: str) -> PriceKind:
    """Return what `--kind` names; the words of the configuration are known, too."""
    from logger.domain.spot import PriceKind

    words = {**{kind.value: kind for kind in PriceKind}, **{kind.tag: kind for kind in PriceKind}}
    if text not in words:
        raise typer.BadParameter(f"--kind {text}: expected import or export")
    return words[text]


def kinds(text: str | None) -> Collection[PriceKind]:
    """Return what `--kind` names, all without it."""
    from logger.domain.spot import PriceKind

    return list(PriceKind) if text is None else [one_kind(text)]


def known_zone(text: str | None) -> str | None:
    """Return the time zone that `--zone` names."""
    from zoneinfo import ZoneInfo, available_timezones

    from logger.domain.errors import nearest

    if text is None:
        return None
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        near = nearest(text, available_timezones())
        meant = f"did you mean {near}?" if near else "expected one such as Europe/Vienna"
        raise typer.BadParameter(f"--zone {text}: no such time zone: {meant}") from None
    return text


def known_unit(text: str | None) -> str | None:
    """Return what `--unit` says."""
    from logger.prices.units import given

    try:
        if text is not None:
            given(text)
    except ValueError as err:
        raise typer.BadParameter(f"--unit: {err}") from None
    return text


def length_ms(seconds: float | None) -> int | None:
    """Return what `--resolution` says in milliseconds: whole quarter hours."""
    if seconds is None:
        return None
    if seconds * 1000 % QUARTER_MS or seconds > 86_400:
        raise typer.BadParameter("--resolution: expected quarter hours, such as 15m, 30m or 1h")
    return round(seconds * 1000)


def needed(config: Config) -> list[PriceKind]:
    """Return the kinds of prices that a formula of the configuration needs."""
    from logger.domain.spot import PriceKind

    valid = config.prices.valid
    found = [PriceKind.IMPORT] if any(one.buy_formula for one in valid) else []
    return found + ([PriceKind.EXPORT] if any(one.sell_formula for one in valid) else [])


def about(kind: PriceKind, spot: Spot, zone: ZoneInfo) -> dict[str, Any]:
    """Return what there is of a kind, and what is missing."""
    from logger.domain.spot import gaps

    return {
        "kind": kind,
        "from": iso(min(spot), zone),
        "to": iso(max(spot) + QUARTER_MS, zone),
        "quarter_hours": len(spot),
        "lowest": float(min(spot.values())),
        "mean": float(sum(spot.values()) / len(spot)),
        "highest": float(max(spot.values())),
        "gaps": [{"from": iso(start, zone), "to": iso(end, zone)} for start, end in gaps(spot)],
    }


def rows(
    config: Config, spots: Spots, wanted: Collection[PriceKind], span: TimeSpan, zone: ZoneInfo
) -> list[dict[str, Any]]:
    """Return a row for each price that holds in a span."""
    from logger.domain.spot import runs
    from logger.prices.points import final

    found = []
    for kind, spot in spots.items():
        if kind not in wanted:
            continue
        price = final(config.prices, kind, zone)
        inside = {at: own for at, own in spot.items() if span[0] <= at < span[1]}
        for (start, end), own in runs(inside):
            made = price(start, own)
            found.append(
                {
                    "kind": kind.value,
                    "start": iso(start, zone),
                    "end": iso(end, zone),
                    "spot": float(own),
                    "price": None if made is None else float(made),
                }
            )
    return found


def show(found: Sequence[dict[str, Any]], currency: str) -> None:
    """Print the rows as a table."""
    from logger.cli.console import console, fitting
    from logger.cli.table import Table

    table = Table("kind", "from", "to", title=f"{currency} a kWh")
    table.add_column("imported", justify="right")
    table.add_column("by formula", justify="right")
    for one in found:
        made = "" if one["price"] is None else f"{one['price']:.5f}"
        start, end = one["start"].replace("T", " "), one["end"].replace("T", " ")
        table.add_row(one["kind"], start, end, f"{one['spot']:.5f}", made)
    console().print(fitting(table))


def iso(at_ms: int, zone: ZoneInfo) -> str:
    """Return a moment by the clock of the site, with its offset."""
    from datetime import datetime

    return datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec="minutes")


def between(span: TimeSpan, zone: ZoneInfo) -> str:
    """Return a span for people."""
    return " to ".join(iso(at, zone).replace("T", " ") for at in span)
