"""The balance of a site: the one definition of load, self-consumption and their ratios. Pure.

Powers in one unit (kW or W), energies in kWh. Import is drawn from the grid, export is fed
back; `charge` flows into batteries, `discharge` out of them.

    load             = import - export + PV + discharge - charge
    self-consumed    = PV - export
    self-consumption = self-consumed / PV
    self-sufficiency = self-consumed / load
"""

from __future__ import annotations

from decimal import Decimal

_ZERO = Decimal(0)


def production(power: Decimal) -> Decimal:
    """Return what a PV meter of this signed power produces: its reverse power."""
    return max(_ZERO, -power)


def load(
    drawn: Decimal, fed: Decimal, pv: Decimal, charge: Decimal = _ZERO, discharge: Decimal = _ZERO
) -> Decimal:
    """Return what the site consumes."""
    return drawn - fed + pv + discharge - charge


def self_consumed(pv: Decimal, fed: Decimal) -> Decimal:
    """Return what of the PV stays on site."""
    return pv - fed


def ratio(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    """Return `part / whole`; None where either is not known or `whole` is not positive."""
    return part / whole if part is not None and whole is not None and whole > 0 else None
