"""Energy: power added up on a fixed grid of steps, whoever asks and however often.

Inside, energy is in joules (W s, var s) as float64; callers get kWh and kvarh. A ledger
keeps the sums of every hour and tariff, and what its counters were at every quarter of an
hour, netted over the phases too, so reports can be checked against it.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from logger.domain.errors import SimulationError
from logger.simulate.flow import Flow
from logger.simulate.incidents import power_downs
from logger.simulate.world import World

JOULES_PER_KWH = 3.6e6
# The tariff can change on quarters of an hour: zones are that far apart.
_QUARTER_S = 900
_HOUR_S = 3600

# A cell: for each phase import, export and the four quadrants, then import and export
# netted across the phases at every step (combination code 10).
_PER_PHASE = 6
_IMPORT, _EXPORT, _Q1 = 0, 1, 2
_NET_IMPORT, _NET_EXPORT = 18, 19
_CELL = 20

# Which parts of a phase's six sums make up a quantity of the data model.
_PARTS: dict[str, tuple[int, ...]] = {
    "active_import": (_IMPORT,),
    "active_export": (_EXPORT,),
    "reactive_import": (_Q1, _Q1 + 1),
    "reactive_export": (_Q1 + 2, _Q1 + 3),
    "reactive_q1": (_Q1,),
    "reactive_q2": (_Q1 + 1,),
    "reactive_q3": (_Q1 + 2,),
    "reactive_q4": (_Q1 + 3,),
}
_NET = {"net_import": _NET_IMPORT, "net_export": _NET_EXPORT}
TARIFFS = (1, 2, 3, 4)
# What is known of every quarter of an hour.
QUARTERLY = ("active_import", "active_export", "net_import", "net_export")


class Schedule:
    """T2 (cheap) on weekdays from 23 to 7 o'clock and at weekends, in `zone`; else T1."""

    def __init__(self, zone: str = "UTC") -> None:
        self._zone = UTC if zone == "UTC" else ZoneInfo(zone)

    def tariff(self, at: float) -> int:
        """Return the tariff at `at` (epoch seconds)."""
        local = datetime.fromtimestamp(at, self._zone)
        cheap = local.hour >= 23 or local.hour < 7 or local.weekday() >= 5
        return 2 if cheap else 1


@dataclass(frozen=True, slots=True)
class Hour:
    """What a ledger counted from `start` (epoch seconds) within one hour and tariff."""

    start: int
    tariff: int
    joules: tuple[float, ...]

    def energy(self, quantity: str, phase: int | None = None) -> float:
        """Return kWh or kvarh of `quantity`, of `phase` 1..3 or of all."""
        return _sum(self.joules, quantity, phase) / JOULES_PER_KWH


class Ledger:
    """The counters of one meter. `gains` multiplies each phase: -1 is a reversed CT."""

    def __init__(
        self,
        role: str,
        gains: tuple[float, float, float] = (1.0, 1.0, 1.0),
        initial: Sequence[Sequence[float]] = (),
        part: str = "",
    ) -> None:
        """Start with `initial`: for each tariff the 18 sums of the phases, in kWh.

        `part` is what of the world it counts, else what its role says.
        """
        self.role = role
        self.part = part or role
        self.gains = gains
        self.held_tariff: int | None = None
        self.forgets_from: float | None = None  # a power-down after it releases the tariff
        self.tariff = 1
        self._totals = {tariff: [0.0] * _CELL for tariff in TARIFFS}
        for tariff, sums in zip(TARIFFS, initial, strict=False):
            cell = [value * JOULES_PER_KWH for value in sums]
            cell += [sum(cell[0:18:_PER_PHASE]), sum(cell[1:18:_PER_PHASE])]
            self._totals[tariff] = cell
        self._cell = [0.0] * _CELL
        self._hour = 0
        self._closed: list[Hour] = []
        # What is known of each quarter of an hour: the counters at its beginning, kWh.
        self._borders: dict[int, array[float]] = {}
        # Totals and cell together, by tariff and for all; None once they have changed.
        self._shown: dict[int | None, list[float]] | None = None

    def energy(self, quantity: str, phase: int | None = None, tariff: int | None = None) -> float:
        """Return the counter in kWh or kvarh: all phases and all tariffs if not named.

        While a line is running, hold the lock of the books.
        """
        shown = self._shown
        if shown is None:
            self._shown = shown = self._add_up()
        return _sum(shown[tariff], quantity, phase) / JOULES_PER_KWH

    def _add_up(self) -> dict[int | None, list[float]]:
        """Return the totals with the running cell, by tariff and for all of them."""
        shown: dict[int | None, list[float]] = dict(self._totals.items())
        # Entry by entry, as `enter` will do: else rounding could make a counter fall.
        shown[self.tariff] = [
            total + running
            for total, running in zip(self._totals[self.tariff], self._cell, strict=True)
        ]
        shown[None] = [sum(parts) for parts in zip(*(shown[each] for each in TARIFFS), strict=True)]
        return shown

    def hours(self) -> Iterator[Hour]:
        """Return every hour counted so far, by tariff, the running one included."""
        yield from self._closed
        yield Hour(self._hour, self.tariff, tuple(self._cell))

    def between(
        self,
        start: float,
        end: float,
        quantity: str,
        phase: int | None = None,
        tariff: int | None = None,
    ) -> float:
        """Return kWh or kvarh counted from `start` to `end`, both on whole hours."""
        if start % _HOUR_S or end % _HOUR_S:
            raise SimulationError("a ledger adds up whole hours", "use times on the hour")
        return sum(
            hour.energy(quantity, phase)
            for hour in self.hours()
            if start <= hour.start < end and tariff in (None, hour.tariff)
        )

    def quarter(self, start: int, quantity: str) -> float:
        """Return kWh of one of `QUARTERLY` in the quarter of an hour from `start`; KeyError
        if it was not counted to its end."""
        place = QUARTERLY.index(quantity)
        return self._borders[start + _QUARTER_S][place] - self._borders[start][place]

    def enter(self, at: int, tariff: int) -> None:
        """Count from `at` (epoch seconds) on under `tariff`, unless one is held."""
        tariff = self.held_tariff or tariff
        hour = at - at % _HOUR_S
        if at % _QUARTER_S == 0:
            self._borders[at] = array("d", (self.energy(name) for name in QUARTERLY))
        if (hour, tariff) == (self._hour, self.tariff):
            return
        if any(self._cell):
            self._closed.append(Hour(self._hour, self.tariff, tuple(self._cell)))
            totals = self._totals[self.tariff]
            for index, joules in enumerate(self._cell):
                totals[index] += joules
        self._cell = [0.0] * _CELL
        self._hour, self.tariff = hour, tariff
        self._shown = None

    def add(self, flow: Flow, seconds: float) -> None:
        """Count `flow` lasting `seconds`."""
        cell = self._cell
        self._shown = None
        net = 0.0
        base = 0
        for phase in (0, 1, 2):
            gain = self.gains[phase] * seconds
            active = flow[phase] * gain
            reactive = flow[phase + 3] * gain
            net += active
            if active >= 0:
                cell[base] += active
                if reactive >= 0:
                    cell[base + 2] += reactive
                else:
                    cell[base + 5] -= reactive
            else:
                cell[base + 1] -= active
                if reactive >= 0:
                    cell[base + 3] += reactive
                else:
                    cell[base + 4] -= reactive
            base += _PER_PHASE
        if net >= 0:
            cell[_NET_IMPORT] += net
        else:
            cell[_NET_EXPORT] -= net


def _entries(quantity: str, phase: int | None) -> tuple[int, ...]:
    bases = range(0, 18, _PER_PHASE) if phase is None else ((phase - 1) * _PER_PHASE,)
    return tuple(base + part for base in bases for part in _PARTS[quantity])


# Which entries of a cell make up a quantity, of one phase or of all.
_ENTRIES: dict[tuple[str, int | None], tuple[int, ...]] = {
    **{(name, phase): _entries(name, phase) for name in _PARTS for phase in (None, 1, 2, 3)},
    **{(name, None): (entry,) for name, entry in _NET.items()},
}


def _sum(cell: Sequence[float], quantity: str, phase: int | None) -> float:
    return sum([cell[entry] for entry in _ENTRIES[quantity, phase]])


class Books:
    """All ledgers of a site, moved forward together over one world.

    Steps of `step_s` lie on multiples of it since the epoch, each with the power of its
    middle; a counter shows the steps that are complete. Safe for several threads.
    """

    def __init__(
        self, world: World, start: float, step_s: int = 1, schedule: Schedule | None = None
    ) -> None:
        if step_s < 1 or _QUARTER_S % step_s:
            raise SimulationError(
                f"a step of {step_s} s does not divide a quarter of an hour",
                "use 1, 5, 10, 30 or 60",
            )
        self.world = world
        self.start = start
        self.step_s = step_s
        self.schedule = schedule or Schedule()
        self.at = int(start // step_s) * step_s
        self.lock = threading.RLock()
        self._ledgers: list[Ledger] = []

    def open(self, ledger: Ledger) -> Ledger:
        """Take `ledger` in and count for it from now on."""
        with self.lock:
            self._ledgers.append(ledger)
            ledger.enter(self.at, self.schedule.tariff(self.at))
        return ledger

    def hold(self, ledger: Ledger, tariff: int | None, forgets_from: float | None = None) -> None:
        """Count for `ledger` under `tariff`, or (None) by the schedule again.

        With `forgets_from` (epoch seconds) a power-down after that time releases it, at
        the next quarter of an hour.
        """
        with self.lock:
            ledger.held_tariff, ledger.forgets_from = tariff, forgets_from
            ledger.enter(self.at, self.schedule.tariff(self.at))

    def advance(self, until: float) -> None:
        """Count every step that is complete at `until` (epoch seconds)."""
        last = int(until // self.step_s) * self.step_s
        if last <= self.at:
            return
        with self.lock:
            step = self.step_s
            while self.at < last:
                tariff = self.schedule.tariff(self.at)
                for ledger in self._ledgers:
                    since = ledger.forgets_from
                    if since is not None and power_downs(self.world.incidents, since, self.at):
                        ledger.held_tariff = ledger.forgets_from = None
                    ledger.enter(self.at, tariff)
                stop = min(last, self.at - self.at % _QUARTER_S + _QUARTER_S)
                self._count(self.at, stop, step)
                self.at = stop

    def _count(self, start: int, stop: int, step: int) -> None:
        half = step / 2
        counted = {ledger.part for ledger in self._ledgers}
        for at in range(start, stop, step):
            parts = self.world.parts(at + half, counted)
            for ledger in self._ledgers:
                ledger.add(parts[ledger.part], step)
