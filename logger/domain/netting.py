"""Netting over the phases, and demand: the one definition of both. Pure.

The counters of these meters count each phase for itself: what L1 draws while L2 feeds back is
in both. A meter that nets over the phases counts the sign of the total power instead. Of a
stretch with the counters' differences dI (import) and dE (export), kWh, this is known:

    import_netted - export_netted = dI - dE                            exactly
    max(0, dI - dE) <= import_netted <= dI                             bounds

How it splits between the bounds is estimated from the signed total power P, read every few
seconds and joined by straight lines:

    A = integral of max(P, 0), B = integral of max(-P, 0)              over the covered time
    A, B are divided by the share of the time that readings cover
    r = (dI - dE) - (A - B)                                            what P missed
    import_netted = A + r * A / (A + B) = A * (dI - dE + 2 * B) / (A + B)
                    moved into the bounds
    export_netted = import_netted - (dI - dE)

Without any reading of the power the middle of the bounds is taken: no value is nearer to all
that are possible. The sum over stretches keeps the difference of the counters.

    demand = import_netted / length                                    kW over a quarter hour
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from logger.domain.limits import QUARTER_MS

_ZERO = Decimal(0)
_Energy = TypeVar("_Energy", Decimal, float)
# Fields of `site`: the demand of the quarter hour that runs, and its forecast, kW.
DEMAND_FIELDS = ("demand", "demand_forecast")
_MS_PER_HOUR = 3_600_000
_DIGITS = 6  # of an estimate, kWh: more say nothing


@dataclass(frozen=True, slots=True)
class Netted:
    """Import and export netted over the phases, kWh, and the bounds of the import."""

    drawn: Decimal
    fed: Decimal
    low: Decimal
    high: Decimal


def netted(
    drawn: Decimal, fed: Decimal, positive: float, negative: float, coverage: float
) -> Netted:
    """Return what a netting meter would have counted, from the counters' differences and the
    integrals of the positive and the negative power (kWh) over the share `coverage`."""
    net = drawn - fed
    low, high = max(_ZERO, net), drawn
    if high <= low:  # one of the counters stood still, or fell by its last digits
        return Netted(low, low - net, low, low)
    total = positive + negative
    if coverage > 0 and total > 0:
        unseen = 2 * negative / min(1.0, coverage)
        estimate = Decimal(min(positive / total * (float(net) + unseen), float(high)))
    else:
        estimate = (low + high) / 2
    estimate = min(high, max(low, round(estimate, _DIGITS)))
    return Netted(estimate, estimate - net, low, high)


def parts(before_kw: float, after_kw: float, passed_ms: float) -> tuple[float, float]:
    """Return the energy drawn and fed back (kWh) while the power went from `before_kw` to
    `after_kw` on a straight line."""
    hours = passed_ms / _MS_PER_HOUR
    if before_kw >= 0 and after_kw >= 0:
        return (before_kw + after_kw) / 2 * hours, 0.0
    if before_kw <= 0 and after_kw <= 0:
        return 0.0, -(before_kw + after_kw) / 2 * hours
    share = before_kw / (before_kw - after_kw)  # of the time until the line meets zero
    first, second = abs(before_kw) / 2 * hours * share, abs(after_kw) / 2 * hours * (1 - share)
    return (first, second) if before_kw > 0 else (second, first)


def demand(energy_kwh: _Energy, length_ms: int = QUARTER_MS) -> _Energy:
    """Return the mean power, kW, of `energy_kwh` in `length_ms`."""
    return energy_kwh * _MS_PER_HOUR / length_ms
