"""A virtual site: meters that share one world, and the clock they go by."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from logger.domain.errors import SimulationError
from logger.models import Model, load
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
    step_s: int = 1,
    zone: str = "UTC",
    incidents: Iterable[Incident] = (),
    settings: Mapping[int, Mapping[str, Setting]] | None = None,
    inverted: Collection[int] = (),
    fixed: bool = False,
) -> VirtualSite:
    """Return a site of `meters` (role by address) whose counters run from `start`.

    `start` in epoch seconds. Several PV meters share the production evenly. `settings`
    by address, then by field. The meters at the addresses `inverted` are wired the other
    way round: a PV meter then counts its production forward. Raises
    SimulationError or ModelError for what cannot be.
    """
    if not meters:
        raise SimulationError("a line needs a meter", "name one as ADDRESS:ROLE")
    table = model if isinstance(model, Model) else load(model)
    world = World(seed, incidents=incidents)
    books = Books(world, start, step_s, Schedule(zone))
    inverters = sum(role == "pv" for role in meters.values())
    made = []
    for address, role in meters.items():
        share = 1.0 / inverters if role == "pv" else 1.0
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
            )
        )
    return VirtualSite(world, books, tuple(made))
