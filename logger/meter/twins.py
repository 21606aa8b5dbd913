"""One meter that answers at several addresses: nobody's values are another's. Pure.

A gateway, or a device on the network that is no gateway, may answer a question to any unit
with what the same meter says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from logger.meter.identify import Found

REMEDY = (
    "does the gateway (or device) pass on the address at all? One that serves a single meter may "
    "answer at every address: configure that meter once"
)


def same(serial: str) -> str:
    """Say that one serial number was read at several addresses."""
    return f"the same serial number, {serial}, at different addresses: it is one meter"


def noted(found: Sequence[Found]) -> list[Found]:
    """Return `found` with a note on each meter whose serial number another address has, too."""
    first: dict[str, int] = {}
    noted = []
    for one in found:
        at = first.setdefault(one.serial, one.address) if one.serial else one.address
        if at != one.address:
            more = f"{one.note}; " if one.note else ""
            one = replace(one, note=f"{more}the serial number of address {at}, too: {REMEDY}")
        noted.append(one)
    return noted
