"""Which meters a named world has, and what of it each of them measures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from logger.domain.datamodel import ROLES
from logger.domain.errors import SimulationError
from logger.simulate.appliances import CIRCUITS
from logger.simulate.incidents import Incident
from logger.simulate.world import World
from logger.simulate.worlds import LIGHTS, UNITS, Building, Flat, House

PLAIN = "house"


@dataclass(frozen=True, slots=True)
class Place:
    """A meter of a world: its name, its role, and the part that it measures."""

    name: str
    role: str
    part: str


def _loads(names: Iterable[str]) -> list[Place]:
    return [Place(name, "load", name) for name in names]


_GRID, _ROOF = Place("grid", "grid", "grid"), Place("roof", "pv", "pv")
# By address, from 1 on.
_PLACES: Mapping[str, list[Place]] = {
    PLAIN: [_GRID, _ROOF],
    "battery": [_GRID, _ROOF, Place("battery", "battery", "battery"), *_loads((*CIRCUITS, LIGHTS))],
    "flat": [_GRID],
    "building": [_GRID, _ROOF, *_loads(UNITS)],
}
WORLDS = tuple(_PLACES)


def places(world: str) -> dict[int, Place]:
    """Return the meters of a world by address. Raises SimulationError for an unknown one."""
    if world not in _PLACES:
        raise SimulationError(f"world {world!r} is unknown", f"use {', '.join(WORLDS)}")
    return dict(enumerate(_PLACES[world], start=1))


def usual_model(world: str) -> str:
    """Return the model that its meters are, if none is named."""
    return "pro1" if world == "flat" else "pro380"


def made(world: str, seed: int, incidents: Iterable[Incident], batteries: int) -> World:
    """Return the world of this name."""
    if world == "building":
        return Building(seed, incidents=incidents)
    if world == "flat":
        return Flat(seed, incidents=incidents)
    return House(seed, incidents=incidents, storing=batteries)


def parts(
    roles: Mapping[int, str], names: Mapping[int, str], known: Iterable[str]
) -> dict[int, str]:
    """Return the part that each meter measures, by address; `names` may be those of parts.

    A single load meter that bears no such name measures all of the load, several of them
    one part each. Raises SimulationError when there are more of them than parts.
    """
    free = [part for part in known if part not in ROLES]
    found = dict(roles)
    loads = [address for address, role in roles.items() if role == "load"]
    for address in loads:
        if names.get(address) in free:
            found[address] = names[address]
            free.remove(names[address])
    rest = [address for address in loads if found[address] == "load"]
    if len(loads) == 1:
        return found
    if len(rest) > len(free):
        raise SimulationError(
            f"{len(rest)} load meters, and this world has {len(free)} parts left for them",
            "use --world building, or fewer meters",
        )
    return {**found, **dict(zip(rest, free, strict=False))}
