"""`events`: what happened, from the buffer or InfluxDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from logger.cli.moments import FromOption, ToOption, now_ms, report_span
from logger.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from logger.cli.source import BufferOption, MeterOption, known_meters, source

if TYPE_CHECKING:
    from logger.report.events import Event


def events(
    config: ConfigOption = DEFAULT_CONFIG,
    first: FromOption = None,
    last: ToOption = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind; may be repeated.")
    ] = None,
    meter: MeterOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    from_buffer: BufferOption = False,
) -> None:
    """List events: outages, voltage, frequency, counters, clock, settings."""
    import json
    from zoneinfo import ZoneInfo

    from logger.config import load_config
    from logger.derive.events import EventKind
    from logger.report import shape, stored
    from logger.report.events import within

    for name in kind or ():
        if name not in set(EventKind):
            raise typer.BadParameter(f"{name!r} is no kind of event: {', '.join(EventKind)}")
    loaded = load_config(config)
    zone = ZoneInfo(loaded.site.timezone)
    now = now_ms()
    span = report_span(first, last, loaded.site.timezone, now)
    tags: dict[str, list[str]] = {}
    if kind:
        tags["kind"] = kind
    if meter:
        tags["meter"] = meter
    with source(loaded, from_buffer) as points:
        all_events = stored.events(points, max(span[1], now), tags)
    found = within(all_events, span)
    known_meters(config, loaded, meter, {one.meter for one in all_events})
    rows = [shape.event(one, zone) for one in found]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif as_csv:
        typer.echo(shape.csv_text(rows), nl=False)
    else:
        _show(found, rows)


def _show(found: list[Event], rows: list[dict[str, Any]]) -> None:
    from logger.cli.console import console, fitting
    from logger.cli.table import Table
    from logger.derive.events import span

    table = Table("begin", "duration", "kind", "what")
    for event, row in zip(found, rows, strict=True):
        lasted = "goes on" if event.duration_s is None else span(event.duration_s)
        moment = not event.duration_s and event.end_ms is not None
        table.add_row(row["begin"][:19], "" if moment else lasted, event.kind, event.text)
    console().print(fitting(table) if found else "no events")
