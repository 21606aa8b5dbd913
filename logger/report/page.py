"""The quality report as one HTML file that needs nothing else. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from zoneinfo import ZoneInfo

from logger.domain.limits import FREQUENCY_TEXTS, VOLTAGE_TEXTS, VOLTAGE_WINDOW_MS, voltage_bands
from logger.domain.wiring import voltage_factor
from logger.points.line import Point
from logger.report import svg
from logger.report.quality import BINS, REASONS, TITLE, QualityRow

_MINUS = "\N{MINUS SIGN}"
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto;
       padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #8884; }
td { white-space: nowrap; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
.outside { color: #c0392b; font-weight: 600; }
.wide { overflow-x: auto; }
svg { width: 100%; height: auto; font-size: 12px; }
svg text { fill: currentColor; }
svg path { fill: none; stroke-width: 1.3; }
.grid { stroke: #8883; } .limit { stroke: #c0392b; stroke-dasharray: 6 4; }
.end { text-anchor: end; } .middle { text-anchor: middle; } .start { text-anchor: start; }
"""

# What a window needs to be drawn; somebody else may have stored it without.
_TAGS, _FIELDS = {"meter", "phase"}, {"mean", "valid"}


def page(
    site: str,
    zone: ZoneInfo,
    span: tuple[int, int],
    lines: Sequence[QualityRow],
    windows: Sequence[Point],
    histograms: Mapping[str, Sequence[int]],
) -> str:
    """Return the page. `windows` are points of `quality_voltage`, `histograms` the bins
    of the frequency by meter (`logger.report.quality.histogram`)."""
    first, last = (datetime.fromtimestamp(ms / 1000, zone) for ms in (span[0], span[1] - 1))
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in REASONS)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{escape(site)}: voltage and frequency</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(site)}: voltage and frequency</h1>",
        f"<p>{first:%Y-%m-%d} to {last:%Y-%m-%d}, {escape(str(zone))}.</p>",
        f"<p><strong>{escape(TITLE)}</strong>, because:</p><ul>{reasons}</ul>",
        "<h2>Shares within limits</h2>",
        f"<div class='wide'>{_table(lines)}</div>",
        "<p>Share = valid windows with a mean within the limits / valid windows.</p>",
    ]
    whole = (p for p in windows if p.tags.keys() >= _TAGS and p.fields.keys() >= _FIELDS)
    ordered = sorted(whole, key=lambda p: (p.tags["meter"], p.tags["phase"], p.time_ms))
    for meter, own in groupby(ordered, key=lambda point: point.tags["meter"]):
        parts += _voltage(meter, list(own), zone)
    for meter, counts in sorted(histograms.items()):
        labels = [f"{low:.2f}" for low in BINS]
        parts.append(f"<h2>{escape(meter)}: frequency, means of ten seconds</h2>")
        parts.append(svg.bars(list(zip(labels, map(float, counts), strict=True)), "windows"))
        parts.append(
            "<p>Bins of 0.02 Hz, named by their lower edge; "
            "the first and last hold everything outside.</p>"
        )
    return "\n".join([*parts, "</body></html>\n"])


def _table(lines: Sequence[QualityRow]) -> str:
    narrow, wide = (
        f"{volts.replace('-', _MINUS)} / {hertz}"
        for volts, hertz in zip(VOLTAGE_TEXTS, FREQUENCY_TEXTS, strict=True)
    )
    head = (
        "<tr><th>week</th><th>meter</th><th>of</th><th>windows</th><th>valid</th>"
        f"<th>{narrow}</th><th>{wide}</th><th>lowest</th>"
        "<th>highest</th><th>indication</th></tr>"
    )
    rows = "".join(
        f"<tr><td>{escape(line.period)}</td><td>{escape(line.meter)}</td>"
        f"<td>{escape(line.phase or line.quantity)}</td><td>{line.windows}</td>"
        f"<td>{line.valid}</td><td>{percent(line.narrow)}</td><td>{percent(line.wide)}</td>"
        f"<td>{line.low:.2f}</td><td>{line.high:.2f}</td>"
        f"<td class='{line.verdict}'>{line.verdict}</td></tr>"
        for line in lines
    )
    return f"<table>{head}{rows}</table>"


def _voltage(meter: str, windows: Sequence[Point], zone: ZoneInfo) -> list[str]:
    lines = []
    factor = 1.0
    for phase, own in groupby(windows, key=lambda point: point.tags["phase"]):
        factor = voltage_factor(phase)
        points: list[tuple[float, float | None]] = []
        for point in own:
            if not point.fields["valid"]:
                continue
            if points and point.time_ms - points[-1][0] > 1.5 * VOLTAGE_WINDOW_MS:
                points.append((points[-1][0] + VOLTAGE_WINDOW_MS, None))  # no line across a hole
            points.append((float(point.time_ms), float(point.fields["mean"])))
        lines.append(svg.Curve(phase, points))
    limits = [(volts, f"{volts:.1f} V") for volts in voltage_bands(factor)[0]]
    plot = svg.curves(
        lines,
        limits,
        "V",
        lambda ms: f"{datetime.fromtimestamp(ms / 1000, zone):%d %b %H:%M}",
    )
    return [f"<h2>{escape(meter)}: voltage, means of ten minutes</h2>", plot]


def percent(share: float | None) -> str:
    """Return a share for people; 99.99 is not rounded up to 100."""
    if share is None:
        return ""
    return "100 %" if share == 1 else f"{int(share * 10000) / 100:.2f} %"
