"""The curve of a day from stored minutes: what flowed, in W, as means of five minutes. Pure
but for the points it is given.

Grid and battery are negative while they give, PV is what it produces. Minutes that were read
are kept, so that a page costs the buffer no more than what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from logger.domain import balance
from logger.domain.datamodel import ROLES
from logger.domain.times import day_of, midnight_ms, next_day
from logger.latest import iso
from logger.report.source import Source

STEP_S = 300
_STEP_MS = STEP_S * 1000
_MEASURED = ("load", True)  # beside a grid meter: part of the load, not all of it
# Minutes may be committed late, or change when they are read again: this much is read anew.
_AGAIN_MS = 600_000


class Curve:
    """Keeps the minutes of today; for one thread."""

    def __init__(self, zone: ZoneInfo, roles: Sequence[str]) -> None:
        self._zone = zone
        # Where there is a grid meter the load follows from the balance.
        self._roles = [one for one in ROLES if one in roles and (one, "grid" in roles) != _MEASURED]
        self._start_ms = self._end_ms = self._read_ms = 0
        # By role and meter: the mean power of each minute.
        self._minutes: dict[tuple[str, str], dict[int, float]] = {}

    def read(self, points: Source, now_ms: int) -> dict[str, Any]:
        """Return the curve of the day up to now; a step without values has none."""
        day = day_of(now_ms, self._zone)
        start = midnight_ms(day, self._zone)
        if start != self._start_ms:
            self._minutes, self._start_ms, self._read_ms = {}, start, start
            self._end_ms = midnight_ms(next_day("day", day), self._zone)
        span = (max(start, self._read_ms - _AGAIN_MS), now_ms + 1)
        tags = {"phase": ("total",), "role": self._roles}
        for point in points.read("power_1m", [span], tags, ("active_power",)):
            value = point.fields.get("active_power")
            if isinstance(value, int | float) and "meter" in point.tags:
                key = (point.tags.get("role", ""), point.tags["meter"])
                made = key[0] == "pv"
                power = balance.production(Decimal(str(value))) if made else value
                self._minutes.setdefault(key, {})[point.time_ms] = float(power)
        self._read_ms = now_ms
        return {
            "start": iso(start),
            "end": iso(self._end_ms),
            "step_s": STEP_S,
            "power": self._power(now_ms),
        }

    def _power(self, now_ms: int) -> dict[str, list[float | None]]:
        """Return the power of each role that has meters, and of the load, by step."""
        count = (now_ms - self._start_ms) // _STEP_MS + 1
        found: dict[str, list[float | None]] = {}
        for role in self._roles:
            meters = [own for (one, _), own in self._minutes.items() if one == role]
            if meters:
                means = [_means(own, self._start_ms, count) for own in meters]
                found[role] = [_sum(column) for column in zip(*means, strict=True)]
        if "grid" in found:
            found["load"] = [_load(found, step) for step in range(count)]
        return found


def _means(minutes: dict[int, float], start_ms: int, count: int) -> list[float | None]:
    sums, seen = [0.0] * count, [0] * count
    for at_ms, value in minutes.items():
        step = (at_ms - start_ms) // _STEP_MS
        if 0 <= step < count:
            sums[step] += value
            seen[step] += 1
    return [total / n if n else None for total, n in zip(sums, seen, strict=True)]


def _sum(column: tuple[float | None, ...]) -> float | None:
    """Return the sum over meters; of a step in which one of them lacks none is known."""
    known = [one for one in column if one is not None]
    return round(sum(known), 1) if len(known) == len(column) else None


def _load(found: dict[str, list[float | None]], step: int) -> float | None:
    """Return the load of one step, by the formula of `domain.balance`."""
    values = [found[role][step] if role in found else 0.0 for role in balance.ROLES]
    grid, made, charge = (None if one is None else Decimal(str(one)) for one in values)
    if grid is None or made is None or charge is None:
        return None
    return float(balance.load(grid, Decimal(0), made, charge))
