"""`day_digest`: the quarter hours and closing counters of each day, chained by a digest.

A digest covers the quarter hours that were given since the one before, and comes with the
first one of another day of the site's time zone. It names what it covers, so that steps of
the clock, parts and repetitions change nothing. `domain.daychain` says how it is made.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from logger.derive.info import MeterInfo, SavedState, finite, whole
from logger.domain import daychain
from logger.domain.quantity import IMPORT_TOTAL, SERIAL
from logger.domain.records import DayDigest, FieldValue
from logger.domain.times import day_of, midnight_ms
from logger.meter.reading import Reading
from logger.points.line import Point


@dataclass(slots=True)
class _Chain:
    """The chain of one meter. `runs` are the quarter hours of the day that is open, `running`
    their digest; `first` is the first reading of the newest day, its time and counters."""

    began_ms: int = 0
    number: int = 0  # of the last digest
    previous: str = ""
    running: str = ""
    day: str = ""
    runs: list[list[int]] = field(default_factory=list)
    passed_ms: int = -1
    again: int = 0  # how often the clock went back into days that have a digest
    serial: str = ""
    read_day: str = ""
    first: tuple[int, dict[str, float]] = (0, {})


class DayChain:
    """Chains the days of all meters in the time zone `zone`."""

    def __init__(self, meters: Mapping[str, MeterInfo], zone: ZoneInfo) -> None:
        self._meters, self._zone = meters, zone
        self._known: dict[str, _Chain] = {}

    def read(self, reading: Reading) -> None:
        """Take a believed reading, before the quarter hours that it completes."""
        known = self._known.setdefault(reading.meter, _Chain())
        if serial := reading.values.get(SERIAL):
            known.serial = str(serial)
        if IMPORT_TOTAL not in reading.values:
            return
        day = day_of(reading.taken_ms, self._zone).isoformat()
        if day == known.read_day:
            return
        found = ((name, reading.values.get(one)) for name, one in daychain.COUNTERS.items())
        counters = {name: float(value) for name, value in found if isinstance(value, Decimal)}
        known.read_day, known.first = day, (reading.taken_ms, counters)

    def feed(self, quarter: Point) -> list[DayDigest]:
        """Take a quarter hour as it is stored; return the digest of a day that it ends."""
        name = quarter.tags["meter"]
        info = self._meters.get(name)
        if info is None:
            return []
        known = self._known.setdefault(name, _Chain())
        day = day_of(quarter.time_ms, self._zone).isoformat()
        found = [self._digest(info, known)] if known.runs and day != known.day else []
        if not known.began_ms:
            known.began_ms = quarter.time_ms
        known.day = day
        daychain.with_time(known.runs, quarter.time_ms)
        text = daychain.quarter_text(quarter.tags, quarter.fields, quarter.time_ms)
        known.running = daychain.extended(known.running, text)
        return found

    def _digest(self, info: MeterInfo, known: _Chain) -> DayDigest:
        day = dt.date.fromisoformat(known.day)
        at_ms = midnight_ms(day, self._zone)
        end_ms = midnight_ms(day + dt.timedelta(days=1), self._zone)
        if at_ms <= known.passed_ms:
            known.again += 1
            at_ms += known.again
        known.passed_ms = max(known.passed_ms, at_ms)
        known.number += 1
        read_ms, counters = known.first if known.first[0] >= end_ms else (0, {})
        values: dict[str, FieldValue] = {
            **counters,
            "day": known.day,
            "began": known.began_ms,
            "number": known.number,
            "covers": daychain.runs_text(known.runs),
            "read": read_ms,
            "serial": known.serial,
            "previous": known.previous,
        }
        text = daychain.closing_text(values, at_ms)
        known.previous = known.running = daychain.extended(known.running, text)
        known.runs = []
        values["digest"] = known.previous
        return DayDigest(info.name, info.role, at_ms, values)

    def state(self) -> SavedState:
        """Return the open day and the last digest of each meter, as JSON can hold it."""
        return {
            name: {
                "numbers": [one.began_ms, one.number, one.passed_ms, one.again],
                "texts": [one.previous, one.running, one.day, one.serial, one.read_day],
                "runs": [list(run) for run in one.runs],
                "first": [one.first[0], dict(one.first[1])],
            }
            for name, one in self._known.items()
        }

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made; meters that are gone are forgotten."""
        for name, saved in state.items():
            if name in self._meters:
                self._known[name] = _restored(saved)


def _restored(saved: Mapping[str, Any]) -> _Chain:
    began_ms, number, passed_ms, again = map(whole, saved["numbers"])
    texts = saved["texts"]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"not the texts of a chain: {texts!r}")
    previous, running, day, serial, read_day = texts
    for text in filter(None, (day, read_day)):
        dt.date.fromisoformat(text)
    runs = [[whole(begin), whole(count)] for begin, count in saved["runs"]]
    read_ms, counters = saved["first"]
    values = {str(name): finite(value) for name, value in counters.items()}
    return _Chain(
        began_ms, number, previous, running, day, runs, passed_ms, again, serial, read_day,
        (whole(read_ms), values),
    )  # fmt: skip
