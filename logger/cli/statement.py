"""`report statement`: what a meter counted from one reading to another, to print and to file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logger.cli.moments import FromOption, ToOption, now_ms, report_span
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, ForceOption, JsonOption, not_there_yet
from logger.cli.source import BufferOption, MeterOption, known_meters, source

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from logger.config import Config
    from logger.report.daychain import Checked
    from logger.report.statement import Statement

# So many parts that are estimated or missing are named on a terminal.
_PARTS = 5
_AT_ONCE = 8  # meters: what is stored of them is read once for all


def statement(
    config: ConfigOption = DEFAULT_CONFIG,
    first: FromOption = None,
    last: ToOption = None,
    meter: MeterOption = None,
    cost_centre: Annotated[
        str | None, typer.Option("--cost-centre", help="All meters with this cost_centre.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="day, week, month or year.")] = "month",
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Check the chain of days; exit code 1 if it is broken."),
    ] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    decimal_comma: Annotated[
        bool, typer.Option("--decimal-comma", help="CSV with ; and a decimal comma.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page fit to print to this file.")
    ] = None,
    force: ForceOption = False,
    from_buffer: BufferOption = False,
) -> None:
    """Show opening and closing readings, energy by tariff, cost, and what is not sure."""
    import json
    from zoneinfo import ZoneInfo

    from logger.config import load_config
    from logger.domain.errors import ExportError, ReportError
    from logger.models import load as load_model
    from logger.report import daychain, statementpage, stored
    from logger.report.bounds import bounds
    from logger.report.calendar import By, touched
    from logger.report.once import SharedSource
    from logger.report.statement import NOTE, together
    from logger.report.statement import statement as made

    if by not in {By.DAY, By.WEEK, By.MONTH, By.YEAR}:
        raise typer.BadParameter(f"--by {by}: expected day, week, month or year")
    if html is not None:
        not_there_yet(html, force)
    loaded = load_config(config)
    zone, now = ZoneInfo(loaded.site.timezone), now_ms()
    shown = touched(report_span(first, last, loaded.site.timezone, now), By(by), zone)
    span = (shown[0].start_ms, shown[-1].end_ms)
    centres = {one.name: one.cost_centre for bus in loaded.bus for one in bus.meter}
    names = _chosen(loaded, meter, cost_centre)
    models = {
        one.name: load_model(one.model, loaded.models_dir)
        for bus in loaded.bus
        for one in bus.meter
        if one.name in names
    }
    spots = stored.spots(loaded)
    with source(loaded, from_buffer) as points:
        most = bounds(points, span, models, loaded.counters.margin)
        every = []
        for place in range(0, len(names), _AT_ONCE):
            some = names[place : place + _AT_ONCE]
            own = SharedSource(points, some)
            every += [
                made(own, shown, name, centres.get(name), loaded.prices, zone, most, spots, now)
                for name in some
            ]
        found = [one for one in every if one is not None]
        known_meters(config, loaded, meter, {one.meter for one in found})
        kept = daychain.Kept.ALL if points.shared else daychain.Kept.NEWEST
        tags = {"meter": tuple(names)}
        chain = daychain.check(points, span, tags, kept, contents=verify)
    if not found:
        raise ReportError(
            f"no counters of {', '.join(names)} from {shown[0].label} to {shown[-1].label}",
            "did the logger run then?",
        )
    currency = loaded.prices.currency
    if html is not None:
        text = statementpage.page(loaded.site.name, zone, span, found, currency, chain, verify)
        try:
            html.write_text(text, encoding="utf-8")
        except OSError as err:
            raise ExportError(f"{html}: {err.strerror}", "give another file") from err
    if as_json:
        whole: dict[str, Any] = {"site": loaded.site.name, "timezone": loaded.site.timezone}
        whole |= {"note": NOTE}
        whole |= {"statements": [statementpage.plain(one, currency, zone) for one in found]}
        whole |= {"total": statementpage.energy(together(found), currency)}
        digests = daychain.plain(chain)
        whole |= {"chain": digests if verify else {"digests": digests["digests"]}}
        typer.echo(json.dumps(whole, indent=2))
    elif as_csv or decimal_comma:
        typer.echo(statementpage.csv_text(found, currency, zone, comma=decimal_comma), nl=False)
    else:
        _show(found, currency, zone, chain)
    if html is not None:
        typer.echo(f"{html}: written", err=True)
    if verify:
        _tell(chain)
        raise typer.Exit(1 if chain.faults else 0)


def _chosen(config: Config, meters: list[str] | None, cost_centre: str | None) -> list[str]:
    """Return the meters to show: those named, those of the cost centre, else all."""
    from logger.domain.errors import ConfigError, suggestion

    every = [one for bus in config.bus for one in bus.meter]
    names = list(dict.fromkeys(meters or ()))
    if cost_centre is not None:
        own = [one.name for one in every if one.cost_centre == cost_centre]
        if not own:
            known = sorted({one.cost_centre for one in every if one.cost_centre})
            raise ConfigError(
                f"no meter has cost_centre = {cost_centre!r}",
                suggestion(cost_centre, known, "cost centres: "),
            )
        names += [name for name in own if name not in names]
    return names or [one.name for one in every]


def _show(found: list[Statement], currency: str, zone: ZoneInfo, chain: Checked) -> None:
    from logger.cli.console import console, fitting, plain
    from logger.cli.table import Table
    from logger.report.amounts import cells, heads, kwh
    from logger.report.statement import NOTE
    from logger.report.statementpage import moment, remarks, summed, swapped

    out = console()
    for one in found:
        serials = " / ".join(text for _, text in one.serials) or "not told"
        centre = f", cost centre {one.cost_centre}" if one.cost_centre else ""
        table = Table("register", title=plain(f"{one.meter}{centre}, serial number {serials}"))
        for head in ("opening", "kWh", "closing", "kWh"):
            table.add_column(head, justify="right")
        for register in one.registers:
            (since, begin), (until, end) = register.opening, register.closing
            table.add_row(
                register.name, moment(since, zone), str(begin), moment(until, zone), str(end)
            )
        out.print(fitting(table))
        tariffs = sorted(one.total.tariffs)
        every = [*one.rows, one.total]
        names = ["import", *tariffs, "export", *heads(every, currency)]
        table = Table("", title="energy in kWh")
        for head in names:
            table.add_column(head, justify="right")
        for row in every:
            table.add_row(
                f"{row.label}{'' if row.sure else ' ?'}", kwh(row.grid_import),
                *(kwh(row.tariffs.get(name)) for name in tariffs), kwh(row.grid_export),
                *cells(row, every),
            )  # fmt: skip
        out.print(fitting(table))
        for exchange in one.exchanges:
            out.print(plain(swapped(exchange, zone)))
        for charge in one.charges:
            span = " to ".join(moment(at, zone) for at in charge.span)
            out.print(plain(f"demand {span}: {charge.text(currency)}"))
        for remark in remarks(one):
            out.print(f"? {plain(remark)}")
        for part in one.estimates[:_PARTS]:
            out.print(plain(f"  {' to '.join(moment(at, zone) for at in part.span)}: {part.text}"))
        if len(one.estimates) > _PARTS:
            out.print(f"  and {len(one.estimates) - _PARTS} more: --html or --json has all")
        if one.meter in chain.digests:
            day, digest = chain.digests[one.meter]
            out.print(f"digest of {plain(day)}: {plain(digest)}")
    if len(found) > 1:
        columns, lines, last = summed(found, currency)
        table = Table(*columns[:2], title="all meters")
        for head in columns[2:]:
            table.add_column(head, justify="right")
        for line in lines:
            table.add_row(*(plain(cell) for cell in line))
        table.add_section()
        table.add_row(*last, style="bold")
        out.print(fitting(table))
    out.print(NOTE)


def _tell(chain: Checked) -> None:
    """Say on standard error what the check of the chain found."""
    from logger.texts import printable

    for one in chain.faults:
        typer.secho(printable(f"{one.day}: {one.meter}: {one.text}"), fg="red", err=True)
    for one in chain.unchecked:
        typer.echo(printable(f"not checked: {one.meter} {one.day}: {one.text}"), err=True)
    if not chain.faults:
        typer.echo(f"{sum(chain.days.values())} days of meters checked: they agree", err=True)
