"""Which addresses a meter can have, on Modbus and on M-Bus. Pure."""

from __future__ import annotations

from logger.mbus import frames

# On Modbus a meter has 1 to 247. On M-Bus (EN 13757-2) it has 0 to 250; 253 is whoever is
# selected, 254 everybody.
MODBUS = range(1, 248)
MBUS_LAST, MBUS_SELECTED, MBUS_EVERYBODY = 250, frames.SELECTED, frames.EVERYBODY
# The usual speed of M-Bus, and how often a meter there is read unless it says so itself.
MBUS_BAUDRATE, MBUS_FAST_S = 2400, 10.0


def address_fault(
    protocol: str, address: int, secondary: str | None, *, alone: bool
) -> tuple[str, str] | None:
    """Return what is wrong with an address and what to do, None for a good one.

    `alone` tells that the line has no other meter.
    """
    if protocol == "modbus":
        return _modbus(address, secondary)
    if (address == MBUS_SELECTED) != (secondary is not None):
        digits = 'secondary = "12345678", the last eight digits of the serial number'
        return (
            f"address {address} on M-Bus: 253 is for a meter that is selected by its number",
            f"give either address = 0..250 or {digits}",
        )
    if address == MBUS_EVERYBODY and not alone:
        return (
            "address 254 is for a meter that is alone on its line: every meter answers to it",
            "inepro-logger scan --protocol mbus shows the meters and their addresses",
        )
    if address > MBUS_LAST and address not in (MBUS_SELECTED, MBUS_EVERYBODY):
        return f"address {address} on M-Bus: a meter has 0 to {MBUS_LAST}", ""
    return None


def _modbus(address: int, secondary: str | None) -> tuple[str, str] | None:
    if secondary is not None:
        return "there is no secondary address on Modbus", 'protocol = "mbus" for the bus?'
    if address < MODBUS[0]:
        return f"should be greater than or equal to {MODBUS[0]}, not {address}", ""
    if address > MODBUS[-1]:
        return f"should be less than or equal to {MODBUS[-1]}, not {address}", ""
    return None
