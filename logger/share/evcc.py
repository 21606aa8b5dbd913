"""The section of evcc's configuration that reads meters through the logger. Pure.

evcc counts what a roof and a battery give as positive (its meter type "custom" with the plugins
modbus, sunspec, mqtt and http; its template "sunspec-meter" leaves the signs as they are).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial

from logger.domain.quantity import Quantity
from logger.domain.wiring import NEUTRAL_PHASES
from logger.share.offers import Offer, Reach, plain
from logger.share.outlets import Broker, Subject, Web
from logger.share.quoted import text

_BY_PHASE = (("currents", "current"), ("voltages", "voltage"), ("powers", "active_power"))
# Points of the SunSpec models 201 to 204 and 211 to 214.
_POINTS = {"active_power": "W", "active_import": "TotWhImp", "active_export": "TotWhExp",
           "current": "A", "voltage": "PhV"}  # fmt: skip
_NO_NEUTRAL = ("3P3W", "voltage")
# What gives a quantity, multiplied by a sign: lines, none where the meter has it not.
Source = Callable[[Quantity, int], Sequence[str]]


def evcc(*parts: Sequence[str]) -> str:
    """Return the section `meters` of evcc.yaml with the meters of all `parts`."""
    return "\n".join(
        [
            "# evcc.yaml; the names go into site.meters (grid, pv, battery, aux) or a loadpoint",
            "meters:",
            *(line for part in parts for line in part),
        ]
    )


def over_modbus(offers: Sequence[Offer], reach: Reach) -> list[str]:
    """Return a meter for each unit."""
    lines = []
    for offer in offers:
        lines.append(f"  - name: {offer.slug}  # {offer.role}")
        source = _point if offer.map.startswith("sunspec") else _register
        lines += _custom(offer.role, partial(source, offer, reach))
    return lines


def over_mqtt(subjects: Sequence[Subject], broker: Broker, ending: str) -> list[str]:
    """Return a meter for each meter; `ending` ends its name."""
    lines = ["  # the broker of evcc's section mqtt has to be", f"  # {broker.url}"]
    for one in subjects:
        if one.name:
            lines.append(f"  - name: {one.slug}{ending}  # {one.role}")
            lines += _custom(one.role, partial(_message, one, broker))
    return lines


def over_http(subjects: Sequence[Subject], web: Web, ending: str) -> list[str]:
    """Return a meter for each meter; `ending` ends its name."""
    lines = []
    for one in subjects:
        if one.name:
            lines.append(f"  - name: {one.slug}{ending}  # {one.role}")
            lines += _custom(one.role, partial(_request, one, web))
    return lines


def _custom(role: str, source: Source) -> list[str]:
    gives = role in ("pv", "battery")  # positive is what comes out of it
    ways = ("export", "import") if gives else ("import", "export")
    found = ["type: custom"]
    for key, quantity in (
        ("power", Quantity("active_power", "total")),
        ("energy", Quantity(f"active_{ways[0]}", "total", "total")),
        ("returnenergy", Quantity(f"active_{ways[1]}", "total", "total")),
    ):
        lines = source(quantity, -1 if gives and key == "power" else 1)
        if lines:
            found += [f"{key}:", *(f"  {line}" for line in lines)]
    for key, field in _BY_PHASE:
        sign = -1 if gives and key != "voltages" else 1
        phases = [source(Quantity(field, phase), sign) for phase in NEUTRAL_PHASES]
        if all(phases):
            found.append(f"{key}:")
            for first, *rest in phases:
                found += [f"  - {first}", *(f"    {line}" for line in rest)]
    return [f"    {line}" for line in found]


def _register(offer: Offer, reach: Reach, quantity: Quantity, sign: int) -> list[str]:
    row = offer.by_quantity.get(quantity)
    if row is None:
        return []
    scale = row.factor * sign
    return [
        "source: modbus",
        f"uri: {text(reach.address)}",
        f"id: {offer.unit}",
        f"rtu: {'true' if reach.rtu else 'false'}",
        "register:",
        f"  address: {row.address}",
        "  type: holding",
        f"  encoding: {row.kind}",
        *([f"scale: {plain(scale)}"] if scale != 1 else []),
    ]


def _message(subject: Subject, broker: Broker, quantity: Quantity, sign: int) -> list[str]:
    value = subject.value(quantity)
    if value is None:
        return []
    return [
        "source: mqtt",
        f"topic: {text(broker.topics.state(subject.name))}",
        f"jq: .{value.key}",
        f"timeout: {subject.gone_s}s",
        *(["scale: -1"] if sign < 0 else []),
    ]


def _request(subject: Subject, web: Web, quantity: Quantity, sign: int) -> list[str]:
    if subject.value(quantity) is None:
        return []
    wanted = [f'.field == "{quantity.field}"', f'.phase == "{quantity.phase}"']
    if quantity.tariff:
        wanted.append(f'.tariff == "{quantity.tariff}"')
    # One request serves all values of a meter: the cache is younger than evcc's interval.
    return [
        "source: http",
        f"uri: {text(web.url(subject))}",
        f"jq: '.values[] | select(.fresh and {' and '.join(wanted)}) | .value'",
        "cache: 2s",
        *(["auth:", "  type: bearer", "  token: TOKEN"] if web.token else []),
        *(["scale: -1"] if sign < 0 else []),
    ]


def _point(offer: Offer, reach: Reach, quantity: Quantity, sign: int) -> list[str]:
    """Return a point of the SunSpec meter, whichever of its models the wiring makes it."""
    phased = quantity.phase in NEUTRAL_PHASES
    if phased and (offer.wiring == "1P2W" or (offer.wiring, quantity.field) == _NO_NEUTRAL):
        return []
    name = _POINTS[quantity.field] + (
        f"ph{'ABC'[NEUTRAL_PHASES.index(quantity.phase)]}" if phased else ""
    )
    first = 210 if offer.map == "sunspec-float" else 200
    counter = quantity.field in ("active_import", "active_export")
    scale = sign * (Decimal("0.001") if counter else 1)
    return [
        "source: sunspec",
        f"uri: {text(reach.address)}",
        f"id: {offer.unit}",
        f"rtu: {'true' if reach.rtu else 'false'}",
        "value:",
        *(f"  - {first + kind}:{name}" for kind in (1, 2, 3, 4)),
        *([f"scale: {plain(Decimal(scale))}"] if scale != 1 else []),
    ]
