"""A battery that takes what the sun gives too much and gives it back later. Pure, but for a cache.

A day of it goes from 04:00 to 04:00 UTC and begins with an empty battery. What it does is
chosen every five minutes from what the house draws without it; it fills so far only that
it is empty again at the end of its day.
"""

from __future__ import annotations

from logger.simulate.appliances import DAY_S
from logger.simulate.flow import NOTHING, Flow
from logger.simulate.world import World

_SLOT_S = 300
_SLOTS = DAY_S // _SLOT_S
_BEGINS_S = 4 * 3600
_CAPACITY_WH, _MOST_W = 10_000.0, 5000.0
_KEPT = 0.9  # of what goes in, so much comes out
_LEAST_W = 60.0  # below this it does nothing


class Battery:
    """All batteries of a house: `count` times 10 kWh and 5 kW. `house` is the house without."""

    def __init__(self, house: World, count: int) -> None:
        self._house = house
        self._capacity, self._most = count * _CAPACITY_WH, count * _MOST_W
        self._day: tuple[int, tuple[float, ...]] = (-1, ())

    def flow(self, at: float) -> Flow:
        """Return its flow at `at` (epoch seconds): positive charges."""
        number, second = divmod(at - _BEGINS_S, DAY_S)
        day, powers = self._day
        if day != number:
            day, powers = int(number), self._plan(int(number))
            self._day = (day, powers)  # replaced as a whole, so threads cannot see half of it
        power = powers[int(second // _SLOT_S)] / 3
        return (power, power, power, 0.0, 0.0, 0.0) if power else NOTHING

    def _plan(self, day: int) -> tuple[float, ...]:
        begin = day * DAY_S + _BEGINS_S
        drawn = []
        for slot in range(_SLOTS):
            load, pv = self._house.flows(begin + (slot + 0.5) * _SLOT_S)
            drawn.append(round(sum(load[:3]) + sum(pv[:3]), 3))
        powers, highest, left = self._run(drawn, self._capacity)
        if left > 0:
            powers, _, _ = self._run(drawn, max(highest - left, 0.0))
        return powers

    def _run(self, drawn: list[float], room: float) -> tuple[tuple[float, ...], float, float]:
        """Return the powers, W, the highest and the last content, Wh."""
        content = highest = 0.0
        powers = []
        hours = _SLOT_S / 3600
        for power in drawn:
            if power < 0:
                taken = min(-power, self._most, (room - content) / (_KEPT * hours))
                content += taken * hours * _KEPT
            else:
                taken = -min(power, self._most, content / hours)
                content += taken * hours
            if abs(taken) < _LEAST_W:
                content -= taken * hours * (_KEPT if taken > 0 else 1.0)
                taken = 0.0
            powers.append(round(taken, 3))
            highest = max(highest, content)
        return tuple(powers), highest, content
