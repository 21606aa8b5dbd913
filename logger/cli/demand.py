"""`report demand`: the highest quarter hours or hours, and what a rule makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logger.cli.moments import FromOption, ToOption, now_ms, report_span
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, ForceOption, JsonOption, not_there_yet
from logger.cli.source import BufferOption, MeterOption, source

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from logger.config.demandrule import DemandRule
    from logger.report.demand import DemandRow


def demand(
    config: ConfigOption = DEFAULT_CONFIG,
    first: FromOption = None,
    last: ToOption = None,
    rule: Annotated[
        str, typer.Option(help="belgium, norway, germany, or a file of your own.")
    ] = "",
    by: Annotated[str | None, typer.Option("--by", help="quarter or hour.")] = None,
    per: Annotated[str | None, typer.Option(help="month or year.")] = None,
    highest: Annotated[
        int | None, typer.Option(min=1, max=1000, help="The value is the mean of so many.")
    ] = None,
    different_days: Annotated[
        bool | None, typer.Option("--different-days/--any-day", help="At most one of each day.")
    ] = None,
    netted: Annotated[
        bool | None, typer.Option("--netted/--phases", help="Netted over the phases, or not.")
    ] = None,
    weekdays: Annotated[str, typer.Option("--days", help="Only these, such as mon-fri.")] = "",
    hours: Annotated[str, typer.Option(help="Only these, such as 07:00-22:00.")] = "",
    months: Annotated[str, typer.Option(help="Only these, such as 11-3.")] = "",
    limit: Annotated[
        float | None,
        typer.Option(min=0, help="kW; without it that of events.demand_high."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="Show so many peaks.")] = 3,
    meter: MeterOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with bars to this file.")
    ] = None,
    force: ForceOption = False,
    from_buffer: BufferOption = False,
) -> None:
    """Show the highest quarter hours of demand by month, and when they were."""
    import json
    from zoneinfo import ZoneInfo

    from logger.config import load_config
    from logger.domain.errors import ExportError, ReportError
    from logger.report import demand as report
    from logger.report import demandpage, shape
    from logger.report.calendar import By, touched
    from logger.report.quarters import quarter_hours

    if html is not None:
        not_there_yet(html, force)
    loaded = load_config(config)
    given = {
        "window": by, "per": per, "highest": highest,
        "different_days": different_days, "netted": netted,
    }  # fmt: skip
    when = {"days": weekdays, "hours": hours, "months": months}
    chosen = _rule(rule, given, when)
    zone = ZoneInfo(loaded.site.timezone)
    span = report_span(first, last, loaded.site.timezone, now_ms())
    shown = touched(span, By(chosen.per), zone)
    tags = {"meter": tuple(meter)} if meter else {"role": ("grid",)}
    with source(loaded, from_buffer) as points:
        found = quarter_hours(points, (shown[0].start_ms, shown[-1].end_ms), tags)
    most = limit if limit is not None else loaded.events.demand_high
    rows = report.report(found, shown, chosen, zone, most, max(top, chosen.highest))
    if not rows:
        raise ReportError(
            f"no quarter hours from {shown[0].label} to {shown[-1].label}",
            "they are made while the logger runs, of the meters with role grid; --meter names "
            "others",
        )
    if html is not None:
        text = demandpage.page(loaded.site.name, zone, chosen, rows, most)
        try:
            html.write_text(text, encoding="utf-8")
        except OSError as err:
            raise ExportError(f"{html}: {err.strerror}", "give another file") from err
    if as_json:
        whole = {"site": loaded.site.name, "timezone": loaded.site.timezone, "limit_kw": most}
        told = {"rule": chosen.model_dump(), "note": demandpage.NOTE}
        plain = [demandpage.row(row, zone) for row in rows]
        typer.echo(json.dumps({**whole, **told, "rows": plain}, indent=2))
    elif as_csv:
        each = [line for row in rows for line in demandpage.lines(row, zone)]
        typer.echo(shape.csv_text(each), nl=False)
    else:
        _show(rows, chosen, most, zone)
    if html is not None:
        typer.echo(f"{html}: written", err=True)


def _rule(name: str, given: dict[str, Any], when: dict[str, str]) -> DemandRule:
    """Return the rule called `name`, changed by what the command line says."""
    from logger.config.demandrule import DemandRule, changed, load_rule

    base = load_rule(name) if name else DemandRule()
    wanted = {key: value for key, value in given.items() if value is not None}
    if any(when.values()):
        wanted["when"] = [when]
    if not wanted:
        return base
    try:
        # Of a changed rule the title would say what it no longer is.
        title = f"{base.title}, changed" if name else "highest windows of each period"
        return changed(base, wanted, title)
    except ValueError as err:
        raise typer.BadParameter(f"--{str(err).replace('window', 'by', 1)}") from None


def _show(rows: list[DemandRow], rule: DemandRule, limit: float | None, zone: ZoneInfo) -> None:
    from logger.cli.console import console, fitting, plain
    from logger.cli.table import Table
    from logger.report.demandpage import NOTE, cell

    out = console()
    table = Table(title=plain(rule.title))
    table.add_column("meter")
    table.add_column(rule.per)
    table.add_column("kW", justify="right")
    if rule.mean_of > 1:
        table.add_column(f"mean of {rule.mean_of}", justify="right")
    for rank in range(1, max(len(row.peaks) for row in rows) + 1):
        table.add_column(f"{rank}. highest", justify="right")
    if limit is not None:
        table.add_column(f"above {limit:g} kW", justify="right")
    for row in rows:
        cells = [plain(row.meter), f"{row.label}{'' if row.sure else ' ?'}", f"{row.value:.2f}"]
        if rule.mean_of > 1:
            cells.append(f"{row.billed:.2f}")
        cells += [cell(peak, zone) for peak in row.peaks]
        cells += [""] * (max(len(one.peaks) for one in rows) - len(row.peaks))
        if limit is not None:
            cells.append(str(row.above))
        table.add_row(*cells)
    out.print(fitting(table))
    if missing := sum(row.missing for row in rows):
        out.print(f"{missing} quarter hours are missing: a peak may be, too.")
    if any(not row.sure for row in rows):
        out.print(
            "? a gap, a reset, a swap or a step of the clock touches it, or a part is missing"
        )
    if rule.netted:
        out.print(NOTE)
    if rule.source:
        out.print(f"source of the rule: {plain(rule.source)}")
