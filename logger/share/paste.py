"""Sections for the configuration of others who read registers, ready to paste. Pure.

Formats as documented by their makers in 2026: mbmd (`adapters`, `devices`), Telegraf
(inputs.modbus in the style "request"), Home Assistant (`modbus`), openHAB (things of the Modbus
binding), ioBroker (a table for the import of holding registers).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from logger.domain.datamodel import MEASUREMENT_OF
from logger.models.plan import Block
from logger.mqtt import entities
from logger.share.offers import Offer, Reach, Row, plain
from logger.share.quoted import text

# mbmd knows this table by this name.
_MBMD = {"pro380": "inepro"}
_KIND_WORDS = {"float32": 2, "int32": 2, "uint32": 2, "int16": 1, "uint16": 1}


def mbmd(offers: Sequence[Offer], reach: Reach) -> str:
    """Return `adapters` and `devices` of mbmd.yaml, for the tables that mbmd knows."""
    lines = [
        "# mbmd.yaml",
        "adapters:",
        f"  - device: {text(reach.address)}",
        f"    rtu: {'true' if reach.rtu else 'false'}",
        "devices:",
    ]
    for offer in offers:
        kind = "sunspec" if offer.map.startswith("sunspec") else _MBMD.get(offer.model)
        if kind is None:
            lines.append(
                f'  # {text(offer.name)}: mbmd does not know a {offer.model}; map = "pro380" helps'
            )
            continue
        lines += [
            f"  - name: {offer.slug}",
            f"    type: {kind}",
            f"    id: {offer.unit}",
            f"    adapter: {text(reach.address)}",
        ]
    return "\n".join(lines)


def _integers(offer: Offer) -> str:
    return f"{text(offer.name)}: integers of SunSpec; map = sunspec-float is read"


def telegraf(offers: Sequence[Offer], reach: Reach) -> str:
    """Return an input of Telegraf with one request for each unit."""
    lines = [
        "# telegraf.conf",
        "[[inputs.modbus]]",
        '  name = "inepro-logger"',
        f"  controller = {text(f'tcp://{reach.address}')}",
        '  transmission_mode = "RTUoverTCP"' if reach.rtu else '  transmission_mode = "TCP"',
        '  timeout = "3s"',
        "  busy_retries = 3",
        '  busy_retries_wait = "500ms"',
        '  configuration_type = "request"',
    ]
    for offer in offers:
        if not offer.rows:
            lines.append(
                f"  # {text(offer.name)}: integers of SunSpec; map = sunspec-float has floats"
            )
            continue
        lines += [
            "  [[inputs.modbus.request]]",
            f"    slave_id = {offer.unit}",
            '    byte_order = "ABCD"',
            '    register = "holding"',
            '    measurement = "meter"',
            "    fields = [",
        ]
        for row in offer.rows:
            factor = f", scale = {float(row.factor)}" if row.factor != 1 else ""
            lines.append(
                f'      {{ address = {row.address}, name = "{row.name}", '
                f'type = "{row.kind.upper()}"{factor} }},'
            )
        lines += ["    ]", "    [inputs.modbus.request.tags]", f"      meter = {text(offer.name)}"]
    return "\n".join(lines)


def home_assistant(offers: Sequence[Offer], reach: Reach) -> str:
    """Return the section `modbus` of configuration.yaml."""
    lines = [
        "# configuration.yaml",
        "modbus:",
        "  - name: inepro_logger",
        f"    type: {'rtuovertcp' if reach.rtu else 'tcp'}",
        f"    host: {text(reach.host)}",
        f"    port: {reach.port}",
        "    timeout: 3",
        "    sensors:",
    ]
    for offer in offers:
        if not offer.rows:
            lines.append(
                f"      # {text(offer.name)}: integers of SunSpec; map = sunspec-float is read"
            )
        for row in offer.rows:
            counts = _counts(row)
            classes = entities.classes(row.quantity.field)
            lines += [
                f"      - name: {text(f'{offer.name} {row.name}')}",
                f"        unique_id: inepro_logger_{offer.unit}_{row.name}",
                f"        slave: {offer.unit}",
                f"        address: {row.address}",
                "        input_type: holding",
                f"        data_type: {row.kind}",
                *([f"        scale: {plain(row.factor)}"] if row.factor != 1 else []),
                f"        precision: {2 if counts or row.unit in ('A', 'Hz', '') else 1}",
                *([f"        unit_of_measurement: {text(row.unit)}"] if row.unit else []),
                *(f"        {name}: {one}" for name, one in classes.items()),
                f"        scan_interval: {60 if counts else 10}",
            ]
    return "\n".join(lines)


def _counts(row: Row) -> bool:
    return MEASUREMENT_OF[row.quantity.field] == "energy"


def openhab(offers: Sequence[Offer], reach: Reach) -> str:
    """Return things of openHAB's Modbus binding, one poller for each block of a unit."""
    lines = ["// meters.things; a number channel of each data thing goes to an item"]
    for offer in offers:
        if not offer.rows:
            lines.append(f"// {_integers(offer)}")
            continue
        name = offer.slug
        encoded = "true" if reach.rtu else "false"
        lines.append(
            f'Bridge modbus:tcp:{name} [ host="{reach.host}", port={reach.port}, '
            f"id={offer.unit}, rtuEncoded={encoded} ] {{"
        )
        for number, (block, rows) in enumerate(_blocks(offer.rows), start=1):
            slow = all(map(_counts, rows))
            lines.append(
                f"    Bridge poller block{number} [ start={block.address}, length={block.count}, "
                f'refresh={60000 if slow else 10000}, type="holding" ] {{'
            )
            lines += [
                f'        Thing data {row.name} [ readStart="{row.address}", '
                f'readValueType="{row.kind}" ]'
                + (f"  // times {plain(row.factor)}: {row.unit}" if row.factor != 1 else "")
                for row in rows
            ]
            lines.append("    }")
        lines.append("}")
    return "\n".join(lines)


def _blocks(rows: Sequence[Row]) -> list[tuple[Block, list[Row]]]:
    """Return runs of values without a gap, each with its block of at most 125 registers."""
    found: list[tuple[Block, list[Row]]] = []
    for row in sorted(rows, key=lambda one: one.address):
        end = row.address + _KIND_WORDS[row.kind]
        if found and found[-1][0].end == row.address and end - found[-1][0].address <= 125:
            block, others = found[-1]
            found[-1] = (Block(block.address, end - block.address), [*others, row])
        else:
            found.append((Block(row.address, end - row.address), [row]))
    return found


def iobroker(offers: Sequence[Offer], reach: Reach) -> str:
    """Return a table for ioBroker.modbus: holding registers, columns between tabs."""
    kinds = {"float32": "floatbe"}
    columns = ("_address", "deviceId", "name", "description", "unit", "type", "len", "factor",
               "offset", "formula", "role", "room", "poll", "cw", "isScale")  # fmt: skip
    how = "RTU over TCP" if reach.rtu else "TCP"
    lines = [
        f"# Master, {how}, {reach.address}, several device ids, no aliases as address.",
        "# Import the lines below as holding registers:",
        "\t".join(columns),
    ]
    for offer in offers:
        for row in offer.rows:
            name = f"{offer.slug}.{row.name}"
            kind = kinds.get(row.kind, f"{row.kind}be")
            cells = {
                "_address": str(row.address),
                "deviceId": str(offer.unit),
                "name": name,
                "description": f"{text(offer.name)[1:-1]} {row.name}",
                "unit": row.unit,
                "type": kind,
                "len": str(_KIND_WORDS[row.kind]),
                "factor": plain(row.factor),
                "offset": "0",
                "role": "value",
                "poll": "true",
                "cw": "false",
                "isScale": "false",
            }
            lines.append("\t".join(cells.get(column, "") for column in columns))
    return "\n".join(lines)


FORMATS: Mapping[str, Callable[[Sequence[Offer], Reach], str]] = {
    "mbmd": mbmd,
    "telegraf": telegraf,
    "home-assistant": home_assistant,
    "openhab": openhab,
    "iobroker": iobroker,
}
