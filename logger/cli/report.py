"""`report energy` and `report quality`: tables, JSON, CSV, a page; others beside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli import demand, statement
from logger.cli.moments import FromOption, ToOption, now_ms, report_span
from logger.cli.ondemand import group
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, ForceOption, JsonOption, not_there_yet
from logger.cli.source import BufferOption, MeterOption, known_meters, source

if TYPE_CHECKING:
    from decimal import Decimal

    from logger.report.energyrow import EnergyRow
    from logger.report.quality import QualityRow

app = group("Energy, demand, quality, statements over days, weeks, months.")

app.command()(demand.demand)
app.command()(statement.statement)

CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV.")]


@app.command()
def energy(
    config: ConfigOption = DEFAULT_CONFIG,
    first: FromOption = None,
    last: ToOption = None,
    by: Annotated[
        str, typer.Option("--by", help="quarter, hour, day, week, month or year.")
    ] = "day",
    netted: Annotated[
        bool, typer.Option("--netted", help="Also netted over the phases; reads quarter hours.")
    ] = False,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    from_buffer: BufferOption = False,
) -> None:
    """Show what was drawn, fed back, produced and used, and what it cost."""
    import json
    from zoneinfo import ZoneInfo

    from logger.config import load_config
    from logger.domain.errors import ReportError
    from logger.report import shape, stored
    from logger.report.calendar import By, touched

    if by not in set(By):
        raise typer.BadParameter(f"--by {by}: expected {', '.join(By)}")
    loaded = load_config(config)
    zone = ZoneInfo(loaded.site.timezone)
    span = report_span(first, last, loaded.site.timezone, now_ms())
    shown = touched(span, By(by), zone)
    with source(loaded, from_buffer) as points:
        found = stored.energy(points, loaded, shown, netted=netted)
    rows, total = list(found.rows), found.total
    if not rows:
        raise ReportError(
            f"no counters of a grid or PV meter from {shown[0].label} to {shown[-1].label}",
            "is a meter's role grid, and did the logger run then?",
        )
    currency = loaded.prices.currency
    if as_json:
        typer.echo(json.dumps(found.plain(loaded, by), indent=2))
    elif as_csv:
        typer.echo(shape.csv_text([shape.energy(row, currency) for row in rows]), nl=False)
    else:
        _show_energy(rows, total, currency, list(found.uncertain))


def _show_energy(
    rows: list[EnergyRow], total: EnergyRow, currency: str, uncertain: list[dict[str, str]]
) -> None:
    from logger.cli.console import console, fitting, in_parts, plain
    from logger.cli.table import Table
    from logger.report import amounts

    tariffs = sorted(total.tariffs)
    heads = ["", "import", *tariffs, "export", "netted import", "netted export"]
    heads += ["PV", "self-used", "charged", "discharged", "load"]
    every = [*rows, total]
    heads += ["self-cons.", "self-suff.", *amounts.heads(every, currency)]
    lines = [[*_energy_cells(row, tariffs), *amounts.cells(row, every)] for row in every]
    # A column without a single value says nothing (no PV meter, no prices).
    full = [place for place in range(len(heads)) if place < 2 or any(one[place] for one in lines)]
    heads, lines = [heads[p] for p in full], [[one[p] for p in full] for one in lines]
    out = console()
    spare = [
        "netted export",
        "netted import",
        "load",
        "self-used",
        "discharged",
        "charged",
        *tariffs,
        "self-suff.",
        "self-cons.",
    ]
    title = "energy in kWh"
    for places in in_parts(heads, lines, out.width, spare):
        table = Table(title=title)
        for place in places:
            table.add_column(heads[place], justify="left" if place == 0 else "right")
        for line in lines[:-1]:
            table.add_row(*(line[place] for place in places))
        table.add_section()
        table.add_row(*(lines[-1][place] for place in places), style="bold")
        out.print(fitting(table))
        title = "the same, further columns"
    if total.divided:
        out.print(
            f"~ {total.divided:.2f} kWh were counted over gaps longer than two hours across "
            "a border and are divided by time; their sum is exact.",
        )
    for one in uncertain:
        out.print(
            f"? {plain(one['meter'])}: its counters went on from other values between "
            f"{one['begin'][:19]} and {one['end'][:19]}: energy there may be missing."
        )
    if text := amounts.remark(total):
        out.print(f"(part): {text}.")
    if total.pv is not None:
        out.print(
            "self-cons. = self-used / PV, self-suff. = (load - import) / load; self-used = PV - "
            "export. The meter counts each phase for itself, so a netting meter may show more.",
        )


def _energy_cells(row: EnergyRow, tariffs: list[str]) -> list[str]:
    from logger.report.amounts import kwh

    def percent(value: Decimal | None) -> str:
        return "" if value is None else f"{100 * value:.1f} %"

    return [
        f"{'~' if row.divided else ''}{row.label}{'' if row.sure else ' ?'}",
        kwh(row.grid_import),
        *(kwh(row.tariffs.get(name)) for name in tariffs),
        kwh(row.grid_export),
        *(kwh(one) if row.saved else "" for one in (row.import_netted, row.export_netted)),
        kwh(row.pv),
        kwh(row.self_consumed),
        kwh(row.charge),
        kwh(row.discharge),
        kwh(row.load) if row.pv is not None or row.charge is not None else "",
        percent(row.self_consumption),
        percent(row.self_sufficiency),
    ]


@app.command()
def quality(
    config: ConfigOption = DEFAULT_CONFIG,
    first: FromOption = None,
    last: ToOption = None,
    meter: MeterOption = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with plots to this file.")
    ] = None,
    force: ForceOption = False,
    from_buffer: BufferOption = False,
) -> None:
    """Show shares of voltage and frequency within limits, per week: an indication."""
    import json
    from zoneinfo import ZoneInfo

    from logger.config import load_config
    from logger.disk.newfiles import writing
    from logger.domain.errors import ReportError
    from logger.report import quality as report
    from logger.report import shape
    from logger.report.calendar import By, touched
    from logger.report.page import page

    if html is not None:
        not_there_yet(html, force)
    loaded = load_config(config)
    zone = ZoneInfo(loaded.site.timezone)
    span = report_span(first, last, loaded.site.timezone, now_ms())
    shown = touched(span, By.WEEK, zone)
    span = (shown[0].start_ms, shown[-1].end_ms)
    tags = {"meter": tuple(meter)} if meter else {}
    with source(loaded, from_buffer) as points:
        lines = report.quality(points, shown, tags)
        known_meters(config, loaded, meter, {line.meter for line in lines})
        if not lines:
            raise ReportError(
                f"no quality windows from {shown[0].label} to {shown[-1].label}",
                "did the logger run then? A meter that sends counters only (pro380-mb) has none",
            )
        if html is not None:
            names = {line.meter for line in lines if line.quantity == "frequency"}
            text = page(
                loaded.site.name,
                zone,
                span,
                lines,
                list(points.read("quality_voltage", [span], tags, ("mean", "valid"))),
                {name: report.histogram(points, span, name) for name in sorted(names)},
            )
            with writing(html):
                html.write_text(text, encoding="utf-8")
    plain = [shape.quality(line) for line in lines]
    if as_json:
        notes = {"note": report.TITLE, "reasons": report.REASONS}
        typer.echo(json.dumps({"site": loaded.site.name, **notes, "lines": plain}, indent=2))
    elif as_csv:
        typer.echo(shape.csv_text(plain), nl=False)
    else:
        _show_quality(lines)
    if html is not None:
        typer.echo(f"{html}: written", err=True)


def _show_quality(lines: list[QualityRow]) -> None:
    from logger.cli.console import console, fitting
    from logger.cli.table import Table
    from logger.domain.limits import FREQUENCY_TEXTS, VOLTAGE_TEXTS
    from logger.report.page import percent
    from logger.report.quality import REASONS, TITLE

    out = console()
    for quantity, narrow, wide, unit in (
        ("voltage", *VOLTAGE_TEXTS, "V"),
        ("frequency", *FREQUENCY_TEXTS, "Hz"),
    ):
        table = Table("week", "meter", "phase", title=f"{quantity}, shares of valid windows")
        for head in ("windows", "valid", narrow, wide, f"lowest {unit}", f"highest {unit}"):
            table.add_column(head, justify="right")
        table.add_column("indication")
        for line in lines:
            if line.quantity != quantity:
                continue
            table.add_row(
                line.period, line.meter, line.phase, str(line.windows), str(line.valid),
                percent(line.narrow), percent(line.wide), f"{line.low:.2f}",
                f"{line.high:.2f}", line.verdict,
            )  # fmt: skip
        if table.row_count:
            out.print(fitting(table))
    out.print(f"[bold]{TITLE}[/], because:")
    for reason in REASONS:
        out.print(f"- {reason}")
