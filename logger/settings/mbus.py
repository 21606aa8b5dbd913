"""Settings of a meter on M-Bus that the manuals let be written: its address, its speed.

    primary address   SND_UD, data 01 7A and the address
    baud rate         SND_UD, control information B8 to BD

Manuals: PRO380 2.18-6, A2.2; Ambition 1.05, A1.2. The meter acknowledges with E5. Both are
read back by asking it in the new way. What else the manuals list (tariff, combination
code, secondary address) is not written here.
"""

from __future__ import annotations

from dataclasses import dataclass

from logger.bus.mbus import MbusBus
from logger.config import Bus as BusConfig
from logger.config import Meter as MeterConfig
from logger.config.addresses import MBUS_EVERYBODY, MBUS_LAST
from logger.domain.errors import BusError, ConfigError, GarbledError, SilentError, suggestion
from logger.mbus import frames
from logger.mbus.frames import Place
from logger.models import Model

ADDRESS, BAUDRATE = "primary_address", "baud_rate"
_ALIASES = {"address": ADDRESS, "modbus_id": ADDRESS, "baudrate": BAUDRATE}
# DIF and VIF of "set the primary address": one byte, the bus address.
_SET_ADDRESS = bytes.fromhex("017A")
# In the manuals, but not written by this program, and why.
_UNSEEN = "the meter's telegram does not show whether it was taken; use the meter's buttons"
_REFUSED = {
    "secondary_address": "every telegram is checked by it, and it is the serial number",
    "tariff": _UNSEEN,
    "combination_code": _UNSEEN,
    "s0_output_rate": _UNSEEN,
    "day_counter": _UNSEEN,
    "power_down_count": _UNSEEN,
    "parity": "the manuals say that it cannot be changed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MbusChange:
    """A new primary address or baud rate: the `key` of the configuration that follows."""

    name: str
    key: str
    value: int

    def frame(self, address: int) -> bytes:
        """Return the frame to the meter at `address`."""
        if self.name == ADDRESS:
            data = _SET_ADDRESS + bytes((self.value,))
            return frames.long(frames.SND_UD, address, frames.CI_DATA, data)
        return frames.long(frames.SND_UD, address, frames.CI_BAUDRATE[self.value])


def prepare(model: Model, name: str, value: str) -> MbusChange:
    """Return the change of the setting `name` to `value`.

    Raises ConfigError for what the manuals do not allow, or this program does not write.
    """
    key = _ALIASES.get(name, name.replace("-", "_"))
    if key in _REFUSED:
        raise ConfigError(f"{key} is not written over M-Bus: {_REFUSED[key]}")
    if key not in (ADDRESS, BAUDRATE):
        hint = suggestion(key, (ADDRESS, BAUDRATE), "settings: ")
        raise ConfigError(f"{name!r} is no setting of the {model.name}", hint)
    allowed = range(MBUS_LAST + 1) if key == ADDRESS else sorted(model.baudrates)
    if not value.strip().isdecimal() or int(value) not in allowed:
        words = f"0..{MBUS_LAST}" if key == ADDRESS else ", ".join(map(str, allowed))
        raise ConfigError(f"{key}: {value!r} is not allowed", f"allowed: {words}")
    return MbusChange(name=key, key="address" if key == ADDRESS else "baudrate", value=int(value))


@dataclass(frozen=True, slots=True)
class State:
    """Who was reached and how: the serial number, its primary address, the speed."""

    serial: str
    address: int
    baudrate: int

    def of(self, change: MbusChange) -> int:
        """Return what `change` is about."""
        return self.address if change.name == ADDRESS else self.baudrate


def state(config: BusConfig, meter: MeterConfig) -> State:
    """Return the present state of `meter`. Raises BusError when it does not answer."""
    bus = MbusBus(config)
    try:
        telegram = bus.request(Place(meter.address, meter.secondary or ""), meter.timeout)
        return State(telegram.serial, bus.answered_from, config.baudrate)
    finally:
        bus.close()


def occupied(config: BusConfig, address: int) -> bool:
    """Return whether somebody answers at `address`. Raises PortError."""
    bus = MbusBus(config)
    try:
        return any(bus.ping(address) for _ in range(2))
    except GarbledError:
        return True
    finally:
        bus.close()


def make(config: BusConfig, meter: MeterConfig, change: MbusChange, before: State) -> State:
    """Write `change` and return what is read back in the new way.

    Everybody's address takes no writing. Raises BusError; an acknowledgement that got lost
    counts by what is read back.
    """
    if meter.address == MBUS_EVERYBODY:
        raise ConfigError(
            "address 254 means every meter on the line: nothing was sent",
            "give the meter's own address, or secondary, in the configuration",
        )
    bus = MbusBus(config)
    place = Place(meter.address, meter.secondary or "")
    try:
        bus.send(place, change.frame(meter.address), f"setting {change.name}", meter.timeout)
    except (SilentError, GarbledError) as err:
        lost: BusError | None = err
    else:
        lost = None
    finally:
        bus.close()
    config, meter = followed(config, meter, change)
    try:
        after = state(config, meter)
    except BusError as err:
        raise lost or err from err
    if after.serial != before.serial:
        raise BusError(
            f"written, but now {after.serial} answers in the place of {before.serial}",
            "two meters on one address? inepro-logger scan --protocol mbus",
        )
    return after


def followed(
    config: BusConfig, meter: MeterConfig, change: MbusChange
) -> tuple[BusConfig, MeterConfig]:
    """Return how the meter is reached after `change`."""
    if change.name == BAUDRATE:
        return config.model_copy(update={"baudrate": change.value}), meter
    if meter.secondary is None:
        return config, meter.model_copy(update={"address": change.value})
    return config, meter
