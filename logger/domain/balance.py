"""The balance of a site: the one definition of load, self-consumption and their ratios. Pure.

Powers in one unit (kW or W), energies in kWh. Import is drawn from the grid, export is fed
back; `charge` flows into batteries, `discharge` out of them.

    load             = import - export + PV + discharge - charge
    self-consumed    = PV - export
    self-consumption = self-consumed / PV
    self-sufficiency = (load - import) / load

Without a battery load - import is self-consumed. With one:

- Energy in the battery stays on site: charged from PV it counts as self-consumed when it
  is charged, and it covers load when it is discharged.
- What is charged from the grid is import but no load: it lowers self-sufficiency when it is
  charged and raises it as much, less the loss, when it is discharged. Over a whole cycle
  self-sufficiency is what PV covered, with the battery's losses on the grid's side.
- What the battery feeds into the grid is export and lowers self-consumed, also below zero
  for the time being: meters cannot tell whose energy it was. Charged from the grid and fed
  back, it makes self-consumption a lower bound.

All are sums and differences of counters: over two stretches together they are the sum of
both. So nothing here is clamped.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

# The roles of meters that the balance is made of.
ROLES = ("grid", "pv", "battery")
_ZERO = Decimal(0)


def has_demand(roles: Sequence[str]) -> bool:
    """Return whether a site with meters of these roles has a demand: it is that of its grid
    meter, of which there must be exactly one."""
    return roles.count("grid") == 1


def has_flows(roles: Sequence[str]) -> bool:
    """Return whether there are flows between meters of these roles: with exactly one grid
    meter, and a PV meter or a battery's. With neither, what the grid gives is the load."""
    return has_demand(roles) and ("pv" in roles or "battery" in roles)


def production(power: Decimal) -> Decimal:
    """Return what a PV meter of this signed power produces: its reverse power."""
    return max(_ZERO, -power)


def load(
    drawn: Decimal, fed: Decimal, pv: Decimal, charge: Decimal = _ZERO, discharge: Decimal = _ZERO
) -> Decimal:
    """Return what the site consumes."""
    return drawn - fed + pv + discharge - charge


def self_consumed(pv: Decimal, fed: Decimal) -> Decimal:
    """Return what of the PV stays on site, below zero when a battery feeds back more."""
    return pv - fed


def self_supplied(load_: Decimal, drawn: Decimal) -> Decimal:
    """Return what of the load was not drawn from the grid."""
    return load_ - drawn


def ratio(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    """Return `part / whole`; None where either is not known or `whole` is not positive."""
    return part / whole if part is not None and whole is not None and whole > 0 else None
