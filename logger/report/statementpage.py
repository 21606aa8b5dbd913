"""Statements as plain rows, as CSV, and as one HTML file fit to print. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from logger.domain.timespan import TimeSpan
from logger.report.amounts import cells, heads, kwh, remark
from logger.report.daychain import Checked
from logger.report.energyrow import EnergyRow
from logger.report.shape import amounts, iso, number
from logger.report.statement import NOTE, Exchange, Statement, together
from logger.texts.spreadsheet import cell

Plain = dict[str, Any]
STYLE = """
body { font: 11pt/1.4 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem;
       color: #000; background: #fff; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem;
        font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; }
th, td { padding: .2rem .5rem; text-align: right; border-bottom: 1px solid #999; }
th:first-child, td:first-child, .text td { text-align: left; }
tfoot td { font-weight: 600; border-top: 2px solid #000; }
.note { border: 1px solid #000; padding: .5rem; }
code { overflow-wrap: anywhere; font-size: 9pt; }
section { break-before: page; }
section:first-of-type { break-before: auto; }
@page { size: A4; margin: 18mm; }
@media print {
  body { margin: 0; max-width: none; padding: 0; font-size: 10pt; }
  thead { display: table-header-group; }
  tr, caption, .note { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


def plain(found: Statement, currency: str, zone: ZoneInfo) -> Plain:
    """Return one statement for JSON: kWh, money as it is, times with their offset."""
    return {
        "meter": found.meter,
        "role": found.role,
        "cost_centre": found.cost_centre,
        "serials": [{"serial": text, "since": iso(at, zone)} for at, text in found.serials],
        "registers": [
            {
                "register": one.name,
                "opening": iso(one.opening[0], zone),
                "opening_kwh": float(one.opening[1]),
                "closing": iso(one.closing[0], zone),
                "closing_kwh": float(one.closing[1]),
            }
            for one in found.registers
        ],
        "swaps": [
            {"register": one.name,
             "last": iso(one.last[0], zone), "last_kwh": float(one.last[1]),
             "first": iso(one.first[0], zone), "first_kwh": float(one.first[1])}
            for one in found.exchanges
        ],
        "rows": [energy(row, currency) for row in found.rows],
        "total": energy(found.total, currency),
        "events": [
            {
                "kind": one.kind,
                "begin": iso(one.start_ms, zone),
                "end": None if one.end_ms is None else iso(one.end_ms, zone),
                "text": one.text,
            }
            for one in found.events
        ],
        "estimates": [
            {"begin": iso(one.span[0], zone), "end": iso(one.span[1], zone),
             "import_kwh": one.drawn, "text": one.text}
            for one in found.estimates
        ],
        "demand_charges": [
            {"begin": iso(one.span[0], zone), "end": iso(one.span[1], zone), **one.plain()}
            for one in found.charges
        ],
        "sure": found.sure,
    }  # fmt: skip


def energy(row: EnergyRow, currency: str) -> Plain:
    """Return energy and money of a period for JSON."""
    return {
        "period": row.label,
        "import_kwh": number(row.grid_import),
        **{f"import_{name.lower()}_kwh": number(row.tariffs[name]) for name in sorted(row.tariffs)},
        "export_kwh": number(row.grid_export),
        **amounts(row, currency),
        "divided_kwh": number(row.divided),
        "sure": row.sure,
    }


def csv_text(statements: Sequence[Statement], currency: str, zone: ZoneInfo, *, comma: bool) -> str:
    """Return a line for each period of each meter, and one for all of it with the readings; of
    several meters then one for all meters. `kind`, the last column, tells them apart.

    `comma` writes numbers with a decimal comma and parts cells by ";".
    """
    lines: list[Plain] = []
    for found in statements:
        whole = plain(found, currency, zone)
        head = {
            "cost_centre": found.cost_centre,
            "meter": found.meter,
            "serial": " / ".join(text for _, text in found.serials),
        }
        lines += [{**head, **row, "kind": "period"} for row in whole["rows"]]
        readings = {
            f"{end}_{one['register']}{unit}": one[f"{end}{unit}"]
            for one in whole["registers"]
            for end in ("opening", "closing")
            for unit in ("", "_kwh")
        }
        told = {"remarks": "; ".join(remarks(found)), "kind": "meter"}
        lines.append({**head, **whole["total"], **readings, **told})
    if len(statements) > 1:
        every = energy(together(statements), currency)
        lines.append({**every, "period": "all meters", "kind": "all"})
    columns = [*dict.fromkeys(name for line in lines for name in line if name != "kind"), "kind"]
    out = io.StringIO()
    delimiter = ";" if comma else ","
    writer = csv.DictWriter(out, columns, lineterminator="\n", delimiter=delimiter)
    writer.writeheader()
    writer.writerows({name: _cell(value, comma) for name, value in one.items()} for one in lines)
    return out.getvalue()


def _cell(value: Any, comma: bool) -> Any:
    if isinstance(value, float):
        return str(value).replace(".", ",") if comma else value
    return cell(value) if isinstance(value, str) else value


def remarks(found: Statement) -> list[str]:
    """Return in a few words what makes a statement less than sure."""
    kinds = [one.kind.replace("_", " ") for one in found.events]
    said = [f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds)]
    if found.estimates:
        count = len(found.estimates)
        said.append(f"{count} part{'s' * (count != 1)} estimated or missing")
    if found.total.divided:
        said.append(f"{found.total.divided:.2f} kWh divided by time")
    if text := remark(found.total):
        said.append(text)
    return said


def page(
    site: str,
    zone: ZoneInfo,
    span: TimeSpan,
    statements: Sequence[Statement],
    currency: str,
    chain: Checked,
    verified: bool,
) -> str:
    """Return the page: a section for each meter, and the sum of all if there are several."""
    title = f"{escape(site)}: statement"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>",
        f"<p>{moment(span[0], zone)} to {moment(span[1], zone)}, {escape(str(zone))}.</p>",
        f"<p class='note'><strong>{escape(NOTE)}</strong></p>",
    ]
    if len(statements) > 1:
        parts.append(_table("all meters", *summed(statements, currency)))
    parts += [_section(found, zone, currency, chain, verified) for found in statements]
    return "\n".join([*parts, "</body></html>\n"])


def summed(
    statements: Sequence[Statement], currency: str
) -> tuple[list[str], list[list[str]], list[str]]:
    """Return heads, a line for each meter, and the line of their sum."""
    every = [*(one.total for one in statements), together(statements)]
    rows = [
        [kwh(row.grid_import), kwh(row.grid_export), *cells(row, every)]
        for row in every
    ]  # fmt: skip
    names = [[one.meter, one.cost_centre or ""] for one in statements]
    body = [[*name, *row] for name, row in zip(names, rows[:-1], strict=True)]
    columns = ["meter", "cost centre", "import kWh", "export kWh", *heads(every, currency)]
    return columns, body, ["total", "", *rows[-1]]


def _section(
    found: Statement, zone: ZoneInfo, currency: str, chain: Checked, verified: bool
) -> str:
    serials = ", ".join(
        f"{text} (since {moment(at, zone)})" if number else text
        for number, (at, text) in enumerate(found.serials)
    )
    centre = f"Cost centre {escape(found.cost_centre)}. " if found.cost_centre else ""
    parts = [
        f"<section><h2>{escape(found.meter)}</h2>",
        f"<p>{centre}Serial number: {escape(serials or 'not told')}.</p>",
        _table(
            "readings, kWh",
            ["register", "opening", "reading", "closing", "reading"],
            [
                [one.name, moment(one.opening[0], zone), str(one.opening[1]),
                 moment(one.closing[0], zone), str(one.closing[1])]
                for one in found.registers
            ],
        ),
    ]  # fmt: skip
    tariffs = sorted(found.total.tariffs)
    every = [*found.rows, found.total]
    rows = [
        [row.label, kwh(row.grid_import), *(kwh(row.tariffs.get(name)) for name in tariffs),
         kwh(row.grid_export), *cells(row, every)]
        for row in every
    ]  # fmt: skip
    names = ["period", "import", *tariffs, "export", *heads(every, currency)]
    parts.append(_table("energy, kWh", names, rows[:-1], rows[-1]))
    parts += [f"<p>{escape(swapped(one, zone))}.</p>" for one in found.exchanges]
    if found.charges:
        lines = [
            [*(moment(at, zone) for at in one.span), one.text(currency)] for one in found.charges
        ]
        parts.append(_table("demand charges", ["from", "to", "remark"], lines))
    told = [
        [one.kind.replace("_", " "), moment(one.start_ms, zone),
         moment(one.end_ms, zone) if one.end_ms is not None else "goes on", one.text]
        for one in found.events
    ]  # fmt: skip
    told += [
        ["estimated", *(moment(at, zone) for at in one.span),
         one.text + ("" if one.drawn is None else f"; import {one.drawn:.3f} kWh")]
        for one in found.estimates
    ]  # fmt: skip
    if told:
        parts.append(
            _table("gaps, swaps, resets, estimates", ["what", "from", "to", "remark"], told)
        )
    else:
        parts.append("<p>No gaps, swaps, resets or estimated parts.</p>")
    parts.append(f"<p>{_chain(found.meter, chain, verified)}</p></section>")
    return "\n".join(parts)


def _chain(meter: str, chain: Checked, verified: bool) -> str:
    if meter not in chain.digests:
        return "No digest of a day yet."
    day, digest = chain.digests[meter]
    text = f"Digest of {escape(day)}: <code>{escape(digest)}</code>."
    if not verified:
        return text
    faults = [one for one in chain.faults if one.meter == meter]
    if faults:
        return f"{text} <strong>{escape(faults[0].day)}: {escape(faults[0].text)}.</strong>"
    return f"{text} {chain.days.get(meter, 0)} days were checked and agree."


def _table(
    caption: str,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    total: Sequence[str] | None = None,
) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(one)}</{tag}>" for one in cells) + "</tr>"

    kind = " class='text'" if names[-1] == "remark" else ""
    foot = f"<tfoot>{line(total, 'td')}</tfoot>" if total else ""
    body = "".join(line(row, "td") for row in rows)
    return (
        f"<table{kind}><caption>{escape(caption)}</caption><thead>{line(names, 'th')}</thead>"
        f"<tbody>{body}</tbody>{foot}</table>"
    )


def moment(at_ms: int, zone: ZoneInfo) -> str:
    """Return a moment for people, by the clock of the site, with its offset."""
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):%Y-%m-%d %H:%M:%S%z}"


def swapped(one: Exchange, zone: ZoneInfo) -> str:
    """Return the readings at a swap for people."""
    old, new = (f"{value} kWh on {moment(at, zone)}" for at, value in (one.last, one.first))
    return f"{one.name} at the swap: old meter {old}, new meter {new}"
