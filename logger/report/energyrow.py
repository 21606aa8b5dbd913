"""One period of the energy report: sums, and what follows from them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from logger.domain import balance

_ZERO = Decimal(0)
_SUMS = (
    *("grid_import", "grid_export", "pv", "charge", "discharge"),
    *("cost", "revenue", "standing", "saved"),
)


@dataclass(slots=True)
class EnergyRow:
    """Energy in kWh of one period. None where no meter tells."""

    label: str
    start_ms: int
    end_ms: int
    grid_import: Decimal | None = None
    grid_export: Decimal | None = None
    tariffs: dict[str, Decimal] = field(default_factory=dict)
    pv: Decimal | None = None
    charge: Decimal | None = None
    discharge: Decimal | None = None
    cost: Decimal | None = None
    revenue: Decimal | None = None
    # Part of the above that was counted over a gap across the period's border, and is
    # divided by time: the sum is exact, its place is not.
    divided: Decimal = _ZERO
    # Energy drawn and fed back without a price: it is in neither sum of money. `missing` are
    # the quarter hours with energy for which an imported price is missing.
    unpriced: Decimal = _ZERO
    missing: int = 0
    # Standing charges; charges on demand of the months (or years) that lie wholly inside.
    standing: Decimal | None = None
    demand_charge: Decimal | None = None
    # A counter restarted or was swapped in it: the energy is what was seen, and maybe more.
    sure: bool = True
    # What netting over the phases takes off import and export alike; None where no quarter
    # hour tells. Where only some do, the rest counts as the meter does.
    saved: Decimal | None = None

    @property
    def import_netted(self) -> Decimal | None:
        """What a meter that nets over the phases would have drawn, about."""
        return _less(self.grid_import, self.saved)

    @property
    def export_netted(self) -> Decimal | None:
        """What a meter that nets over the phases would have fed back, about."""
        return _less(self.grid_export, self.saved)

    @property
    def net(self) -> Decimal | None:
        """Cost and charges less revenue; None where nothing has a price."""
        known = (self.cost, self.standing, self.demand_charge)
        if all(one is None for one in (*known, self.revenue)):
            return None
        return sum((one or _ZERO for one in known), _ZERO) - (self.revenue or _ZERO)

    @property
    def self_consumed(self) -> Decimal | None:
        """PV energy that stayed on site; below zero when a battery fed back more."""
        if self.pv is None or self.grid_export is None:
            return None
        return balance.self_consumed(self.pv, self.grid_export)

    @property
    def load(self) -> Decimal | None:
        """What the site consumed; without PV that is what it drew."""
        if self.grid_import is None or self.grid_export is None:
            return None
        return balance.load(
            self.grid_import,
            self.grid_export,
            self.pv or _ZERO,
            self.charge or _ZERO,
            self.discharge or _ZERO,
        )

    @property
    def self_consumption(self) -> Decimal | None:
        """Self-consumed over PV."""
        return balance.ratio(self.self_consumed, self.pv)

    @property
    def self_sufficiency(self) -> Decimal | None:
        """What of the load was not drawn from the grid, over the load; None without PV."""
        load, drawn = self.load, self.grid_import
        if self.pv is None or load is None or drawn is None:
            return None
        return balance.ratio(balance.self_supplied(load, drawn), load)

    def add(self, row: EnergyRow) -> None:
        """Add the energy and the money of another period; not what is charged on demand."""
        for name in _SUMS:
            if (value := getattr(row, name)) is not None:
                setattr(self, name, (getattr(self, name) or _ZERO) + value)
        for tariff, energy in row.tariffs.items():
            self.tariffs[tariff] = self.tariffs.get(tariff, _ZERO) + energy
        self.divided += row.divided
        self.unpriced += row.unpriced
        self.missing += row.missing
        self.sure &= row.sure


def _less(energy: Decimal | None, saved: Decimal | None) -> Decimal | None:
    return None if energy is None or saved is None else energy - saved
