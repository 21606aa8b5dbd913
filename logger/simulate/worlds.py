"""Worlds besides the plain one: a house with a battery and circuits, a flat, a building. Pure,
but for caches.

What the meters of a world see adds up: circuits to the house, flats and shops to the
building with what nobody meters, all of it and PV and battery to the grid.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from logger.simulate.appliances import CIRCUITS
from logger.simulate.flow import NOTHING, Flow, added, on_one_phase, times, turned, without_phase
from logger.simulate.incidents import Incident, Trouble
from logger.simulate.storage import Battery
from logger.simulate.world import World

LIGHTS = "lights"
_HOUSE_PEAK_W, _BUILDING_PEAK_W = 9000.0, 42_000.0
_FLOORS, _ON_A_FLOOR = 9, 6
_SHOPS = ("bakery", "hairdresser")
_GARAGE, _LIFT = "garage", "lift"
UNITS = (
    _GARAGE,
    _LIFT,
    *_SHOPS,
    *(
        f"flat-{floor}{place:02}"
        for floor in range(1, _FLOORS + 1)
        for place in range(1, _ON_A_FLOOR + 1)
    ),
)


class House(World):
    """A household with a PV system: `storing` is how many batteries of 10 kWh it has."""

    def __init__(
        self, seed: int = 1, *, incidents: Iterable[Incident] = (), storing: int = 0
    ) -> None:
        super().__init__(seed, incidents=incidents, peak=_HOUSE_PEAK_W)
        self._battery = Battery(World(seed, peak=_HOUSE_PEAK_W), storing) if storing else None

    def known(self) -> tuple[str, ...]:
        battery = ("battery",) if self._battery else ()
        return (*super().known(), *battery, *CIRCUITS, LIGHTS)

    def parts(self, at: float, names: Collection[str]) -> Mapping[str, Flow]:
        found = dict(super().parts(at, names))
        if self._battery and not {"grid", "battery"}.isdisjoint(names):
            found["battery"] = self._battery_now(at)
            found["grid"] = added(found["grid"], found["battery"])
        if not {LIGHTS, *CIRCUITS}.isdisjoint(names):
            found |= self._circuits(at, found["load"])
        return found

    def _circuits(self, at: float, load: Flow) -> dict[str, Flow]:
        sums = {name: [0.0] * 6 for name in CIRCUITS}
        for use in self.segment(at).running:
            sums[use.circuit][use.phase] += use.active
            sums[use.circuit][use.phase + 3] += use.reactive
        found, rest = {}, load
        for name, (p1, p2, p3, q1, q2, q3) in sums.items():
            found[name] = troubled(self, (p1, p2, p3, q1, q2, q3), at)
            rest = added(rest, times(found[name], -1.0))
        return {**found, LIGHTS: rest}

    def _battery_now(self, at: float) -> Flow:
        assert self._battery is not None
        without = self.has(Trouble.MAINS_OFF, at) or self.has(Trouble.PHASE_LOST, at)
        return NOTHING if without else self._battery.flow(at)


class Flat(House):
    """A flat without PV, all of it on one phase; nobody charges a car there."""

    def known(self) -> tuple[str, ...]:
        return ("grid", "load", *(name for name in CIRCUITS if name != "car"), LIGHTS)

    def parts(self, at: float, names: Collection[str]) -> Mapping[str, Flow]:
        found = super().parts(at, {*names, "car"})
        load = added(found["load"], times(found["car"], -1.0))
        shown = {**found, "load": load, "grid": load}
        return {name: on_one_phase(shown[name]) for name in names}


class Building(World):
    """Nine floors of flats, two shops, a lift, a garage, PV on the roof, and stairs, lights and
    fans that have no meter of their own."""

    def __init__(self, seed: int = 1, *, incidents: Iterable[Incident] = ()) -> None:
        super().__init__(seed, incidents=incidents, peak=_BUILDING_PEAK_W)
        self._units = {
            name: World(seed + 101 * number, peak=0.0) for number, name in enumerate(UNITS, start=1)
        }

    def known(self) -> tuple[str, ...]:
        return ("grid", "pv", "load", *self._units)

    def parts(self, at: float, names: Collection[str]) -> Mapping[str, Flow]:
        own, pv = self.flows(at)
        whole = not {"grid", "load"}.isdisjoint(names)
        wanted = self._units if whole else [name for name in self._units if name in names]
        found = {name: troubled(self, self._unit(name, at), at) for name in wanted}
        found["pv"] = pv
        if whole:
            load = own  # what is common to all
            for name in self._units:
                load = added(load, found[name])
            found |= {"load": load, "grid": added(load, pv)}
        return found

    def _unit(self, name: str, at: float) -> Flow:
        """Return what a flat, a shop, the lift or the garage draws: none is like another."""
        number = UNITS.index(name)
        flow, _ = self._units[name].flows(at)
        size = 3.2 if name in _SHOPS else (1.6 if name == _GARAGE else 0.35 + 0.05 * (number % 11))
        return times(turned(flow, number % 3), size)


def troubled(world: World, flow: Flow, at: float) -> Flow:
    """Return what is left of a flow while the mains, or a phase, is off."""
    for incident in world.incidents:
        if incident.covers(at):
            if incident.kind is Trouble.MAINS_OFF:
                return NOTHING
            if incident.kind is Trouble.PHASE_LOST:
                flow = without_phase(flow, (incident.phase or 1) - 1)
    return flow
