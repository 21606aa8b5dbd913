"""The section of evcc's configuration that reads meters through the logger. Pure.

evcc counts what a roof and a battery give as positive (its meter types "custom" with the plugin
modbus, and the template "sunspec-meter").
"""

from __future__ import annotations

from collections.abc import Sequence

from logger.domain.quantity import Quantity
from logger.share.offers import Offer, Reach, Row, plain, slug

_PHASES = ("L1", "L2", "L3")


def evcc(offers: Sequence[Offer], reach: Reach) -> str:
    """Return the section `meters` of evcc.yaml, one meter for each unit."""
    lines = ["# evcc.yaml; the names go into site.meters (grid, pv, battery, aux) or a loadpoint"]
    lines.append("meters:")
    for offer in offers:
        lines.append(f"  - name: {slug(offer.name)}  # {offer.role}")
        if offer.map.startswith("sunspec"):
            lines += _evcc_sunspec(offer, reach)
            continue
        gives = offer.role in ("pv", "battery")  # positive is what comes out of it
        lines.append("    type: custom")
        ways = ("export", "import") if gives else ("import", "export")
        for key, quantity in (
            ("power", Quantity("active_power", "total")),
            ("energy", Quantity(f"active_{ways[0]}", "total", "total")),
            ("returnenergy", Quantity(f"active_{ways[1]}", "total", "total")),
        ):
            if (row := offer.by_quantity.get(quantity)) is not None:
                lines.append(f"    {key}:")
                sign = -1 if gives and key == "power" else 1
                lines += _evcc_register(offer, reach, row, sign, "      ")
        for key, field in (
            ("currents", "current"),
            ("voltages", "voltage"),
            ("powers", "active_power"),
        ):
            rows = [offer.by_quantity.get(Quantity(field, phase)) for phase in _PHASES]
            if all(rows):
                lines.append(f"    {key}:")
                sign = -1 if gives and key != "voltages" else 1
                for row in rows:
                    assert row is not None
                    first, *rest = _evcc_register(offer, reach, row, sign, "        ")
                    lines += [f"      - {first.strip()}", *rest]
    return "\n".join(lines)


def _evcc_register(offer: Offer, reach: Reach, row: Row, sign: int, indent: str) -> list[str]:
    scale = row.factor * sign
    found = [
        "source: modbus",
        f"uri: {reach.address}",
        f"id: {offer.unit}",
        f"rtu: {'true' if reach.rtu else 'false'}",
        "register:",
        f"  address: {row.address}",
        "  type: holding",
        f"  encoding: {row.kind}",
        *([f"scale: {plain(scale)}"] if scale != 1 else []),
    ]
    return [indent + line for line in found]


def _evcc_sunspec(offer: Offer, reach: Reach) -> list[str]:
    usage = {"grid": "grid", "pv": "pv"}.get(offer.role, "charge")
    found = [
        "type: template",
        "template: sunspec-meter",
        f"usage: {usage}",
        "modbus: tcpip",
        f"id: {offer.unit}",
        f"host: {reach.host}",
        f"port: {reach.port}",
    ]
    return ["    " + line for line in found]
