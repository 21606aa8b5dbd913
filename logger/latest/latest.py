"""The newest value of every quantity, by meter and for the site: what outputs beside the
log show. It holds one value each, so a slow or absent reader costs nothing.

Values are those of the data model, after `invert`; energy counters are those that the
counter guard believed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

from logger.config import Config
from logger.domain.datamodel import FIELDS, MEASUREMENTS
from logger.domain.limits import DEMAND_STEP_MS
from logger.domain.netting import DEMAND_FIELDS
from logger.domain.quantity import Quantity
from logger.domain.records import CounterValues, FieldValue, MeterFacts, Record, Sample, SiteFlow
from logger.models.register import Job

# A value is too old when its job gave none for this many turns, and at least so long.
_TURNS, _AT_LEAST_S = 3, 15.0
SITE = ""  # stands for the site where a meter's name is expected
_SITE_FIELDS = MEASUREMENTS["site"].fields
_ENERGY_UNIT = "kWh"
# The fields that tell the present: what is measured, and the powers of the site.
_NOW = frozenset(MEASUREMENTS["power"].fields) | {
    name for name, field in _SITE_FIELDS.items() if field.unit != _ENERGY_UNIT
}
_Valued = Sample | CounterValues | MeterFacts | SiteFlow
_KEPT = (Sample, CounterValues, MeterFacts, SiteFlow)
# Called with the name of a meter, or `SITE`.
Listener = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A meter by its name, and how often each of its jobs reads, in seconds."""

    name: str
    role: str
    fast_s: float
    slow_s: float
    identity_s: float


class Newest(NamedTuple):  # a view of a thousand meters makes eighty thousand
    """A value as it was last read: its unit ("" for none), when (milliseconds UTC), how
    many seconds ago, and whether that is recent enough for the interval it is read at."""

    value: FieldValue
    unit: str
    at_ms: int
    age_s: float
    fresh: bool


# A record, and when it came by the monotonic clock: the wall clock may be set meanwhile.
_Kept = tuple[_Valued, float]
# Records of one kind, phase and tariff, newest first: each has a field that those before it lack.
_Records = list[_Kept]


def too_old_s(interval_s: float) -> float:
    """Return after how many seconds a value that is read every `interval_s` is too old."""
    return max(_AT_LEAST_S, _TURNS * interval_s)


def planned(config: Config) -> list[Planned]:
    """Return the meters of a configuration."""
    return [
        Planned(
            name=meter.name,
            role=meter.role,
            fast_s=config.interval(meter, Job.FAST),
            slow_s=config.interval(meter, Job.SLOW),
            identity_s=config.interval(meter, Job.IDENTITY),
        )
        for bus in config.bus
        for meter in bus.meter
    ]


class Latest:
    """Takes records as they come and tells the newest values; for any thread.

    `now_ms` is the clock that records are stamped by, `clock` a monotonic one, in seconds.
    """

    def __init__(
        self,
        meters: Iterable[Planned],
        now_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meters = {one.name: one for one in meters}
        planned = self.meters.values()  # a flow of the site is as old as its slowest meter
        self._fast_s = max((one.fast_s for one in planned), default=0.0)
        self._slow_s = max((one.slow_s for one in planned), default=0.0)
        self._now_ms, self._clock = now_ms, clock
        self._lock = threading.Lock()
        self._kept: dict[str, dict[Hashable, _Records]] = {SITE: {}, **{n: {} for n in self.meters}}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call `listener` after each change, on the thread that reads the meter: it must
        return at once and never raise. For the time before anything is read."""
        self._listeners.append(listener)

    def take(self, records: Iterable[Record]) -> None:
        """Keep the values of `records`, which come in the order they were read; records
        that are neither values of a meter nor flows of the site are passed over."""
        changed: dict[str, None] = {}
        now_ms, now_s = self._now_ms(), self._clock()
        with self._lock:
            for record in records:
                if not isinstance(record, _KEPT):
                    continue
                name = SITE if isinstance(record, SiteFlow) else record.meter
                # What waited for its time is as old as it is.
                came_s = now_s - max(0, now_ms - record.at_ms) / 1000
                self._keep(self._kept[name], record, came_s)
                changed[name] = None
        for name in changed:
            for listener in self._listeners:
                listener(name)

    @staticmethod
    def _keep(there: dict[Hashable, _Records], record: _Valued, came_s: float) -> None:
        """Put a record in the place of those whose every field it has."""
        place = (
            SITE if isinstance(record, SiteFlow) else (type(record), record.phase, record.tariff)
        )
        kept = [(record, came_s)]
        known: Set[str] = record.values.keys()
        for one in there.get(place, ()):
            if not (fields := one[0].values.keys()) <= known:
                kept.append(one)
                known = known | fields
        there[place] = kept

    def _values(self, name: str) -> Iterator[tuple[Quantity, Newest]]:
        """Yield each quantity with its values, the newest one last."""
        with self._lock:
            kept = [one for records in self._kept[name].values() for one in reversed(records)]
        now_s = self._clock()
        for record, came_s in kept:
            age_s = now_s - came_s if now_s > came_s else 0.0
            for quantity, unit, limit_s, value in self._fields(record):
                yield quantity, Newest(value, unit, record.at_ms, age_s, age_s <= limit_s)

    def _fields(self, record: _Valued) -> Iterator[tuple[Quantity, str, float, FieldValue]]:
        """Yield each field: quantity, unit, how long its value is recent, and the value."""
        if isinstance(record, SiteFlow):
            for field, flow in record.values.items():
                unit = _SITE_FIELDS[field].unit
                every = self._slow_s if unit == _ENERGY_UNIT else self._fast_s
                if field in DEMAND_FIELDS:  # no more often, however often the meter is read
                    every = max(every, DEMAND_STEP_MS / 1000)
                yield Quantity(field), unit, too_old_s(every), flow
            return
        one = self.meters[record.meter]
        if isinstance(record, Sample):
            every = one.fast_s
        else:
            every = one.slow_s if isinstance(record, CounterValues) else one.identity_s
        phase, tariff, limit_s = record.phase, record.tariff, too_old_s(every)
        for field, value in record.values.items():
            unit = FIELDS[field].unit if field in FIELDS else ""
            yield Quantity(field, phase, tariff), unit, limit_s, value

    def of(self, name: str) -> Mapping[Quantity, Newest]:
        """Return the newest values of a meter, or of `SITE`, where a field is the whole
        quantity. KeyError for a meter that is not configured."""
        return dict(self._values(name))

    def value(self, name: str, quantity: Quantity) -> FieldValue | None:
        """Return the newest value of one quantity, however old, None if there is none."""
        newest = self.of(name).get(quantity)
        return None if newest is None else newest.value

    def available(self, name: str) -> bool:
        """Whether a meter gives measured values, or the site has flows, at present."""
        values = self._values(name)
        return any(one.fresh and quantity.field in _NOW for quantity, one in values)
