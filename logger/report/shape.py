"""Reports as rows of plain values: for JSON, CSV and tables. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from logger.report.countervalues import CounterValues
from logger.report.energyrow import EnergyRow
from logger.report.events import Event
from logger.report.quality import QualityRow
from logger.texts.spreadsheet import cell

Plain = dict[str, Any]


def energy(row: EnergyRow, currency: str) -> Plain:
    """Return one period of the energy report; kWh, money and ratios as they are."""
    return {
        "period": row.label,
        "start": iso(row.start_ms),
        "end": iso(row.end_ms),
        "import_kwh": number(row.grid_import),
        "export_kwh": number(row.grid_export),
        **{f"import_{name.lower()}_kwh": number(row.tariffs[name]) for name in sorted(row.tariffs)},
        "import_netted_kwh": number(row.import_netted),
        "export_netted_kwh": number(row.export_netted),
        "pv_kwh": number(row.pv),
        "self_consumed_kwh": number(row.self_consumed),
        "load_kwh": number(row.load),
        "charge_kwh": number(row.charge),
        "discharge_kwh": number(row.discharge),
        "self_consumption": number(row.self_consumption),
        "self_sufficiency": number(row.self_sufficiency),
        **amounts(row, currency),
        "divided_kwh": number(row.divided),
        "sure": row.sure,
    }


def amounts(row: EnergyRow, currency: str) -> Plain:
    """Return the money of a row, and how much of it is missing."""
    told = row.net is not None or row.missing
    return {
        "cost": number(row.cost),
        "revenue": number(row.revenue),
        "standing_charge": number(row.standing),
        "demand_charge": number(row.demand_charge),
        "net": number(row.net),
        "currency": currency if told else None,
        "unpriced_kwh": number(row.unpriced) if told else None,
        "quarters_without_price": row.missing,
    }


def uncertain(found: CounterValues, total: EnergyRow, zone: ZoneInfo) -> list[dict[str, str]]:
    """Return the stretches of the report in which counters restarted or were swapped."""
    seen = {
        (begin, end, series.meter)
        for series, counts in found.counted().items()
        for begin, end in counts.uncertain
        if begin < total.end_ms and end > total.start_ms
    }
    return [
        {"meter": meter, "begin": iso(begin, zone), "end": iso(end, zone)}
        for begin, end, meter in sorted(seen)
    ]


def quality(line: QualityRow) -> Plain:
    """Return one line of the quality report; shares 0..1."""
    unit, narrow, wide = (
        ("v", "plus_minus_10_percent", "plus_10_minus_15_percent")
        if line.quantity == "voltage"
        else ("hz", "49_5_to_50_5_hz", "47_to_52_hz")
    )
    return {
        "period": line.period,
        "quantity": line.quantity,
        "meter": line.meter,
        "phase": line.phase or None,
        "windows": line.windows,
        "valid": line.valid,
        f"share_{narrow}": line.narrow,
        f"share_{wide}": line.wide,
        f"lowest_seen_{unit}": line.low,
        f"highest_seen_{unit}": line.high,
        "indication": line.verdict,
    }


def event(found: Event, zone: ZoneInfo) -> Plain:
    """Return one event, its times in `zone`."""
    return {
        "kind": found.kind,
        "meter": found.meter or None,
        "phase": found.phase or None,
        "begin": iso(found.start_ms, zone),
        "end": None if found.end_ms is None else iso(found.end_ms, zone),
        "duration_s": found.duration_s,
        "extreme": found.extreme,
        "text": found.text,
    }


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV; the columns are those of all rows, in order of appearance. No text
    in it is a formula for a spreadsheet."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: cell(one) if isinstance(one, str) else one for name, one in row.items()}
        )
    return out.getvalue()


def number(value: Decimal | None) -> float | None:
    """Return a sum as JSON knows it."""
    return None if value is None else float(value)


def iso(stamp_ms: int, zone: ZoneInfo | None = None) -> str:
    """Return a time as ISO 8601 in `zone` (UTC without one), with its offset. It has
    milliseconds only where there are any: borders of periods have none."""
    stamp = datetime.fromtimestamp(stamp_ms / 1000, zone or UTC)
    return stamp.isoformat(timespec="milliseconds" if stamp_ms % 1000 else "seconds")
