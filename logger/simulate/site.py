"""A virtual site: meters that share one world, and the clock they go by."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from logger.domain.errors import SimulationError
from logger.models import Model, load
from logger.simulate import layout
from logger.simulate.incidents import Incident
from logger.simulate.ledger import Books, Schedule
from logger.simulate.mbusmeter import VirtualMbusMeter
from logger.simulate.meter import VirtualMeter
from logger.simulate.registers import Setting
from logger.simulate.world import World

DEFAULT_METERS: Mapping[int, str] = {1: "grid", 2: "pv"}


class VirtualClock:
    """Virtual time: from `start` (epoch seconds) on, `speed` times as fast as real time.

    A speed of 0 is a clock that stands still.
    """

    def __init__(
        self, start: float, speed: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.start = start
        self.speed = speed
        self._monotonic = monotonic
        self._since = monotonic()

    def __call__(self) -> float:
        """Return the virtual time now, epoch seconds."""
        return self.start + (self._monotonic() - self._since) * self.speed


@dataclass(frozen=True)
class VirtualSite:
    """Meters over one world. `books` holds their ledgers."""

    world: World
    books: Books
    meters: tuple[VirtualMeter, ...]

    def meter(self, address: int) -> VirtualMeter:
        """Return the meter at `address`; KeyError when there is none."""
        for meter in self.meters:
            if meter.address == address:
                return meter
        raise KeyError(address)


def virtual_site(
    seed: int = 1,
    *,
    start: float,
    meters: Mapping[int, str] = DEFAULT_METERS,
    model: str | Model = "pro380",
    models: Mapping[int, Model] | None = None,
    world: str = layout.PLAIN,
    names: Mapping[int, str] | None = None,
    step_s: int = 1,
    zone: str = "UTC",
    incidents: Iterable[Incident] = (),
    settings: Mapping[int, Mapping[str, Setting]] | None = None,
    inverted: Collection[int] = (),
    fixed: bool = False,
) -> VirtualSite:
    """Return a site of `meters` (role by address) whose counters run from `start`.

    `start` in epoch seconds; `models` where a meter is of another one than `model`. Several
    PV meters share the production evenly, and several batteries what they do. Load meters whose
    `names` are those of a circuit or a flat of the `world` measure that; several others take what
    is left, one each. `settings`
    by address, then by field. The meters at the addresses `inverted` are wired the other
    way round: a PV meter then counts its production forward. Raises
    SimulationError or ModelError for what cannot be.
    """
    if not meters:
        raise SimulationError("a line needs a meter", "name one as ADDRESS:ROLE")
    usual = model if isinstance(model, Model) else load(model)
    sharing = Counter(role for role in meters.values() if role in ("pv", "battery"))
    scene = layout.made(world, seed, incidents, sharing["battery"])
    books = Books(scene, start, step_s, Schedule(zone))
    parts = layout.parts(meters, names or {}, scene.known())
    made = []
    for address, role in meters.items():
        share = 1.0 / sharing[role] if role in sharing else 1.0
        table = (models or {}).get(address, usual)
        if address in inverted:
            share = -share
        kind = VirtualMbusMeter if table.protocol == "mbus" else VirtualMeter
        made.append(
            kind(
                table,
                address,
                role,
                books,
                gains=(share, share, share),
                settings=(settings or {}).get(address),
                fixed=fixed,
                part=parts[address],
            )
        )
    return VirtualSite(scene, books, tuple(made))
