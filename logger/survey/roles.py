"""Guesses what each meter of a line measures, from what it reads now. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from logger.bus import bus_of
from logger.config import Bus as BusConfig
from logger.config import Meter as MeterConfig
from logger.config.addresses import MBUS_SELECTED
from logger.domain.errors import BusError
from logger.domain.quantity import POWER_TOTAL, Quantity
from logger.meter.identify import Found
from logger.meter.readers import reader_of
from logger.models import Job, Model

_IMPORT, _EXPORT = (Quantity(f"active_{way}", "total", "total") for way in ("import", "export"))
# Hours of local time at which a PV system produces, summer and winter.
_SUN_FROM, _SUN_TO = 9, 17
# An inverter draws a little at night: what feeds in so many times more than it draws is PV,
# once it has fed in as much as a day or two bring.
_MANY, _ENOUGH_KWH = 10, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What a meter says now: power in kW, energy in kWh; None for what it does not say."""

    power: Decimal | None = None
    drawn: Decimal | None = None
    fed_in: Decimal | None = None

    def __str__(self) -> str:
        if self.power is None:
            return ""
        way = "drawn" if self.power >= 0 else "fed in"
        return f"now {abs(self.power):.3f} kW {way}"


def read_now(
    line: BusConfig, found: Sequence[Found], models: Mapping[str, Model]
) -> Mapping[Found, Now]:
    """Return what each meter of `found` that has a table says; a silent one is left out."""
    seen: dict[Found, Now] = {}
    bus = bus_of(line)
    try:
        for one in found:
            if not one.model:
                continue
            reader = reader_of(bus, _configured(one), models[one.model], lambda: 0, foreign=True)
            values: dict[Quantity, Any] = {}
            try:
                for job in (Job.FAST, Job.SLOW):
                    values |= reader.read(job, 0).values
            except BusError:
                continue
            power, drawn, fed_in = (
                value if isinstance(value := values.get(quantity), Decimal) else None
                for quantity in (POWER_TOTAL, _IMPORT, _EXPORT)
            )
            seen[one] = Now(power=power, drawn=drawn, fed_in=fed_in)
    except BusError:
        pass  # the port went away: there is no guess then, and no error
    finally:
        bus.close()
    return seen


def _configured(one: Found) -> MeterConfig:
    given: dict[str, Any] = {"name": "look", "model": one.model, "role": "load"}
    selected = {"secondary": one.serial} if one.address == MBUS_SELECTED else {}
    return MeterConfig.model_validate(given | {"address": one.address} | selected)


def guess(seen: Sequence[Now], hour: int) -> list[str]:
    """Return a role for each meter, in their order; `hour` is that of the site's day.

    A meter that has fed in far more than it drew is PV. By day the sign tells where counters
    are new: with several meters the one that feeds in most is PV, for the grid gets no more
    than the roof gives. A meter alone is that of the grid. The first that is left is the
    grid's, the others are loads.
    """
    roles = ["pv" if _only_feeds(now) else "" for now in seen]
    feeding = [at for at, now in enumerate(seen) if now.power is not None and now.power < 0]
    if "pv" not in roles and len(seen) > 1 and feeding and _SUN_FROM <= hour < _SUN_TO:
        roles[min(feeding, key=lambda at: seen[at].power or 0)] = "pv"
    if "" in roles:
        roles[roles.index("")] = "grid"
    return [role or "load" for role in roles]


def _only_feeds(now: Now) -> bool:
    drawn, fed_in = now.drawn or Decimal(0), now.fed_in or Decimal(0)
    return fed_in >= _ENOUGH_KWH and fed_in > _MANY * drawn
