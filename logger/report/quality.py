"""The quality report: shares of valid windows within limits, per week and phase. Pure.

    share = valid windows with a mean within the limits / valid windows

An indication, not an EN 50160 measurement; `REASONS` says why, beside every figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from logger.domain.limits import (
    FREQUENCY_SHARES,
    FREQUENCY_WINDOW_MS,
    VOLTAGE_SHARES,
    VOLTAGE_WINDOW_MS,
    voltage_bands,
)
from logger.domain.wiring import LINE_PHASES, NEUTRAL_PHASES, SQRT3
from logger.report import frequency
from logger.report.calendar import Period
from logger.report.source import Bands, Source, Tags, Tally

TITLE = "Indication of voltage and frequency quality, not an EN 50160 measurement"
REASONS = (
    "The meter's own measuring window and refresh time are undocumented.",
    "Values are sampled, not measured without gaps as IEC 61000-4-30 wants.",
    "The accuracy of the meter's voltage and frequency readings is not stated.",
    "The meter is dead when the mains are: the worst moments are missing.",
    "The meter sits at the board, not at the supply terminals: the drop on the cable counts.",
    "A window counts only with at least 80 % of its planned samples and no step of the clock.",
)

_ENOUGH = 0.5  # of the windows of the period must be valid for a verdict
_WINDOW_MS = {"voltage": VOLTAGE_WINDOW_MS, "frequency": FREQUENCY_WINDOW_MS}
BINS = tuple(round(49.80 + 0.02 * step, 2) for step in range(20))


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One line of the report: a period, a meter, a phase ("" for the frequency)."""

    period: str
    quantity: str  # "voltage" or "frequency"
    meter: str
    phase: str
    windows: int
    valid: int
    narrow: float | None  # share within the narrow band, None without valid windows
    wide: float | None
    low: float
    high: float
    verdict: str


def quality(source: Source, shown: Sequence[Period], tags: Tags) -> list[QualityRow]:
    """Return the lines for each of `shown`, meter and phase that has windows."""
    labels = {(period.start_ms, period.end_ms): period.label for period in shown}
    spans = list(labels)
    found: list[QualityRow] = []
    bands: Bands = {
        phases: voltage_bands(factor)
        for phases, factor in (((*NEUTRAL_PHASES, "total"), 1.0), (LINE_PHASES, SQRT3))
    }
    tallies = source.tally("quality_voltage", spans, tags, bands)
    found += [_line(each, "voltage", labels, VOLTAGE_SHARES) for each in tallies]
    found += [
        _line(each, "frequency", labels, FREQUENCY_SHARES)
        for each in frequency.tallies(source, spans, tags)
    ]
    order = {label: place for place, label in enumerate(labels.values())}
    return sorted(
        found, key=lambda one: (order[one.period], one.meter, one.quantity != "voltage", one.phase)
    )


def _line(
    tally: Tally, quantity: str, labels: dict[tuple[int, int], str], needed: Sequence[float]
) -> QualityRow:
    shares = [count / tally.valid for count in tally.within] if tally.valid else [None, None]
    planned = (tally.span[1] - tally.span[0]) / _WINDOW_MS[quantity]
    if tally.valid < _ENOUGH * planned:
        verdict = "not enough data"
    elif all(s is not None and s >= need for s, need in zip(shares, needed, strict=True)):
        verdict = "within"
    else:
        verdict = "outside"
    return QualityRow(
        period=labels[tally.span],
        quantity=quantity,
        meter=tally.tags["meter"],
        phase=tally.tags.get("phase", ""),
        windows=tally.windows,
        valid=tally.valid,
        narrow=shares[0],
        wide=shares[1],
        low=tally.low,
        high=tally.high,
        verdict=verdict,
    )


def histogram(source: Source, span: tuple[int, int], meter: str) -> list[int]:
    """Return how many valid frequency windows fall into each bin of 0.02 Hz from
    49.80 to 50.20 Hz; the first and last count what is outside."""
    edges = [0.0, *BINS[1:], 1000.0]
    bands = [(low, high if high == 1000.0 else high - 1e-9) for low, high in pairwise(edges)]
    tallies = source.tally("quality_frequency", [span], {"meter": (meter,)}, {("",): bands})
    return list(tallies[0].within) if tallies else [0] * len(bands)
