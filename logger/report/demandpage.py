"""The demand report as plain rows, and as one HTML file that needs nothing else. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from logger.config.demandrule import DemandRule
from logger.report import svg
from logger.report.demand import DemandRow, Peak
from logger.report.page import STYLE
from logger.report.shape import iso

Plain = dict[str, Any]
NOTE = "Netting over the phases is an estimate; what is billed is the operator's own meter."


def moment(at_ms: int, zone: ZoneInfo) -> str:
    """Return a moment for people, by the clock of the site: "Mon 2026-11-02 17:15"."""
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):%a %Y-%m-%d %H:%M}"


def row(found: DemandRow, zone: ZoneInfo) -> Plain:
    """Return one period with its peaks; kW."""
    return {
        "meter": found.meter,
        "period": found.label,
        "value_kw": round(found.value, 6),
        "billed_kw": round(found.billed, 6),
        "peaks": [
            {
                "start": iso(peak.start_ms, zone),
                "end": iso(peak.end_ms, zone),
                "demand_kw": round(peak.demand, 6),
                "coverage": round(peak.coverage, 6),
                "sure": peak.sure,
            }
            for peak in found.peaks
        ],
        "windows": found.windows,
        "above_limit": found.above,
        "missing_quarters": found.missing,
        "sure": found.sure,
    }


def lines(found: DemandRow, zone: ZoneInfo) -> list[Plain]:
    """Return a line for each peak of a period, for CSV."""
    whole = row(found, zone)
    peaks = whole.pop("peaks")
    whole["sure_period"] = whole.pop("sure")
    return [
        {"meter": found.meter, "period": found.label, "rank": rank, **peak, **whole}
        for rank, peak in enumerate(peaks, start=1)
    ]


def page(
    site: str,
    zone: ZoneInfo,
    rule: DemandRule,
    rows: Sequence[DemandRow],
    limit: float | None,
) -> str:
    """Return the page: a table of all periods and a bar for each, by meter."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{escape(site)}: demand</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(site)}: demand</h1><p>{escape(rule.title)}. Times in {escape(str(zone))}.",
        f" Limit: {limit:g} kW." if limit is not None else "",
        f"</p><p><strong>{escape(NOTE)}</strong></p>",
    ]
    for meter, own in groupby(rows, key=lambda one: one.meter):
        periods = list(own)
        parts.append(f"<h2>{escape(meter)}</h2><div class='wide'>{_table(periods, zone)}</div>")
        bars = [(one.label, max(0.0, one.value)) for one in periods]
        parts.append(svg.bars(bars, "kW", limit))
    return "\n".join([*parts, "</body></html>\n"])


def _table(rows: Sequence[DemandRow], zone: ZoneInfo) -> str:
    count = max(len(one.peaks) for one in rows)
    head = "".join(f"<th>{rank}. highest</th>" for rank in range(1, count + 1))
    body = "".join(
        f"<tr><td>{escape(one.label)}{'' if one.sure else ' ?'}</td><td>{one.value:.2f}</td>"
        f"<td>{one.billed:.2f}</td>"
        + "".join(f"<td>{escape(cell(peak, zone))}</td>" for peak in one.peaks)
        + "<td></td>" * (count - len(one.peaks))
        + f"<td>{one.above}</td><td>{one.missing}</td></tr>"
        for one in rows
    )
    return (
        f"<table><tr><th>period</th><th>value kW</th><th>billed kW</th>{head}"
        f"<th>above the limit</th><th>quarters missing</th></tr>{body}</table>"
    )


def cell(peak: Peak, zone: ZoneInfo) -> str:
    """Return demand and moment of a peak, "?" where it is not sure."""
    return f"{peak.demand:.2f} kW {moment(peak.start_ms, zone)}{'' if peak.sure else ' ?'}"
