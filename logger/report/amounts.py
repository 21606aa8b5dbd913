"""Energy and amounts of money for people: the columns of tables and pages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from logger.report.energyrow import EnergyRow

_CHARGES = (
    ("standing", "standing charge"),
    ("demand_charge", "demand charge"),
)


def kwh(value: Decimal | None) -> str:
    """Return an energy for people."""
    return "" if value is None else f"{value:.2f}"


def money(row: EnergyRow, value: Decimal | None) -> str:
    """Return an amount for people, marked where a price lacks."""
    if value is None:
        return "no price" if row.missing else ""
    return kwh(value) + (" (part)" if row.unpriced else "")


def heads(rows: Sequence[EnergyRow], currency: str) -> list[str]:
    """Return the heads of the columns of money: charges only where there are any."""
    names = [text for name, text in _CHARGES if any(getattr(r, name) is not None for r in rows)]
    found = [f"cost {currency}", f"revenue {currency}"]
    return [*found, *(f"{text} {currency}" for text in names), *([f"net {currency}"] * bool(names))]


def cells(row: EnergyRow, rows: Sequence[EnergyRow]) -> list[str]:
    """Return the amounts of a row for the columns that `heads` has for `rows`."""
    found = [money(row, row.cost), money(row, row.revenue)]
    names = [name for name, _ in _CHARGES if any(getattr(r, name) is not None for r in rows)]
    found += [kwh(getattr(row, name)) for name in names]
    return [*found, *([money(row, row.net)] * bool(names))]


def remark(total: EnergyRow) -> str:
    """Return what is to be said where prices are missing; empty where none is."""
    if not total.unpriced or (total.net is None and not total.missing):
        return ""
    text = f"no price was valid for {total.unpriced:.2f} kWh: they cost nothing here"
    if total.missing:
        text += f"; {total.missing} quarter hours lack an imported price (prices show)"
    return text
