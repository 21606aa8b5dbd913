"""What each program is told: one text from all ways that the configuration opens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logger.share import evcc, paste, pastehttp, pastemqtt
from logger.share.offers import Offer, Reach
from logger.share.outlets import Broker, Subject, Web


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways there are, None for one that the configuration does not open."""

    modbus: tuple[Sequence[Offer], Reach] | None = None
    mqtt: Broker | None = None
    http: Web | None = None
    subjects: Sequence[Subject] = ()


def told(program: str, ways: Ways) -> str:
    """Return the sections for `program`, which is `evcc` or a key of `paste.FORMATS`, over all
    ways that it knows."""
    if program == "evcc":
        return _evcc(ways)
    found = []
    if ways.modbus is not None:
        found.append(paste.FORMATS[program](*ways.modbus))
    elif program == "mbmd":
        found.append("# mbmd.yaml: mbmd reads Modbus, which is [share.modbus] of the logger.")
    if ways.mqtt is not None and program in pastemqtt.FORMATS:
        found.append(pastemqtt.FORMATS[program](ways.subjects, ways.mqtt))
    if ways.http is not None and program in pastehttp.FORMATS:
        found.append(pastehttp.FORMATS[program](ways.subjects, ways.http))
    return "\n\n".join(found)


def _evcc(ways: Ways) -> str:
    several = sum(one is not None for one in (ways.modbus, ways.mqtt, ways.http)) > 1
    parts = []
    if ways.modbus is not None:
        parts.append(evcc.over_modbus(*ways.modbus))
    if ways.mqtt is not None:
        parts.append(evcc.over_mqtt(ways.subjects, ways.mqtt, "_mqtt" if several else ""))
    if ways.http is not None:
        parts.append(evcc.over_http(ways.subjects, ways.http, "_http" if several else ""))
    return evcc.evcc(*parts)
