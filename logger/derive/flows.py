"""Site flows: what goes between grid, PV, battery and load, from meters read together.

Sign of a power: positive is drawn (import), negative is fed back. A PV meter feeds back
what the inverter produces, so its production is reverse energy; what the inverter draws
at night is load. `invert` in the configuration has turned meters wired otherwise.

The formulas are those of `domain.balance`. Meters are read one after the other, so a
difference of two counters may fall by what flowed between the readings. It is written as it
is: keeping the highest value so far would hide what a battery feeds into the grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from logger.derive.info import MeterInfo, SavedState, exact
from logger.derive.registers import Break
from logger.domain import balance
from logger.domain.quantity import EXPORT_TOTAL, IMPORT_TOTAL, POWER_TOTAL, Quantity
from logger.domain.records import SiteFlow
from logger.meter.reading import Reading
from logger.models.register import Job

_NEEDED = {Job.FAST: (POWER_TOTAL,), Job.SLOW: (IMPORT_TOTAL, EXPORT_TOTAL)}
_MAX_ROUNDS = 8  # rounds kept open; a meter further behind is not of the same moment
# A meter of a round may be read so late, or an interval where that is longer; what is read
# may be held for so long before it comes here (`bus.watch`).
_LATE_MS, _HELD_MS = 2000, 2000


@dataclass(slots=True)
class _Round:
    values: dict[str, tuple[Decimal, ...]] = field(default_factory=dict)
    taken_ms: int = 0


class SiteFlows:
    """Makes the flows of a site. There are none without exactly one grid meter, and a PV meter
    or a battery's."""

    def __init__(self, meters: Iterable[MeterInfo]) -> None:
        known = list(meters)
        self._grid = [info.name for info in known if info.role == "grid"]
        self._pv = [info.name for info in known if info.role == "pv"]
        self._battery = [info.name for info in known if info.role == "battery"]
        self._meters = {info.name: info for info in known if info.role in balance.ROLES}
        self.enabled = balance.has_flows([info.role for info in known])
        self._open: dict[Job, dict[int, _Round]] = {Job.FAST: {}, Job.SLOW: {}}
        self._done: dict[Job, int] = {Job.FAST: 0, Job.SLOW: 0}
        # Per meter and register: what a running total adds to the register.
        self._offset: dict[str, dict[Quantity, Decimal]] = {}
        # Running totals of meters that are no longer there.
        self._former: dict[str, list[Decimal]] = {}
        self._totals: dict[str, tuple[Decimal, Decimal]] = {}
        self._restored = False

    def broke(self, meter: str, breaks: Iterable[Break]) -> None:
        """Take note that counters of `meter` go on from other values."""
        offsets = self._offset.setdefault(meter, {})
        for found in breaks:
            offsets[found.quantity] = offsets.get(found.quantity, Decimal(0)) + found.carry

    def feed(self, reading: Reading) -> list[SiteFlow]:
        """Return the flows of the rounds that `reading` completes or leaves behind."""
        needed = _NEEDED.get(reading.job)
        info = self._meters.get(reading.meter)
        if not self.enabled or needed is None or info is None:
            return []
        rounds, due = self._open[reading.job], reading.round_ms
        if due <= self._done[reading.job]:
            return []
        values = tuple(v for one in needed if isinstance(v := reading.values.get(one), Decimal))
        current = rounds.setdefault(due, _Round())
        interval = info.fast_ms if reading.job is Job.FAST else info.slow_ms
        if len(values) == len(needed) and reading.taken_ms - due < max(interval, _LATE_MS):
            current.values[reading.meter] = values
            current.taken_ms = max(current.taken_ms, reading.taken_ms)
        found: list[SiteFlow] = []
        if len(current.values) == len(self._meters):
            found += self._close_until(reading.job, due)
        elif len(rounds) > _MAX_ROUNDS:
            found += self._close_until(reading.job, min(rounds))
        return found

    def tick(self, now_ms: int) -> list[SiteFlow]:
        """Return the flows of rounds whose missing meters will not answer any more."""
        found: list[SiteFlow] = []
        for job, rounds in self._open.items():
            intervals = (m.fast_ms if job is Job.FAST else m.slow_ms for m in self._meters.values())
            patience = max((_LATE_MS, *intervals)) + _HELD_MS
            late = [due for due in rounds if due + patience < now_ms]
            if late:
                found += self._close_until(job, max(late))
        return found

    def clock_step(self) -> None:
        """Take note that the clock was moved: open rounds have lost their meaning."""
        for job in self._open:
            self._open[job].clear()
            self._done[job] = 0

    def _close_until(self, job: Job, due: int) -> list[SiteFlow]:
        rounds = self._open[job]
        found = []
        for closing in sorted(due_ms for due_ms in rounds if due_ms <= due):
            current = rounds.pop(closing)
            make = self._power if job is Job.FAST else self._energy
            fields = make(current.values)
            if fields:
                found.append(SiteFlow(current.taken_ms, fields))
            self._done[job] = closing
        return found

    def _power(self, values: Mapping[str, tuple[Decimal, ...]]) -> dict[str, float]:
        zero = Decimal(0)
        fields: dict[str, Decimal] = {}
        grid = values[self._grid[0]][0] if self._grid[0] in values else None
        if grid is not None:
            fields["grid_power"] = grid
        pv = None
        if all(name in values for name in self._pv):
            pv = sum((balance.production(values[name][0]) for name in self._pv), zero)
            if self._pv:
                fields["pv_power"] = pv
        charge = None
        if all(name in values for name in self._battery):
            charge = sum((values[name][0] for name in self._battery), zero)
            if self._battery:
                fields["battery_power"] = charge
        if grid is not None and pv is not None:
            drawn, fed = max(zero, grid), balance.production(grid)
            if self._pv:
                fields["self_consumption_power"] = balance.self_consumed(pv, fed)
            if charge is not None:
                fields["load_power"] = balance.load(drawn, fed, pv, charge)
        return {name: float(value * 1000) for name, value in fields.items()}  # kW to W

    def _energy(self, values: Mapping[str, tuple[Decimal, ...]]) -> dict[str, float]:
        for name, (drawn, fed) in values.items():
            self._total(name, drawn, fed)
        fields: dict[str, Decimal] = {}
        grid = self._sum("grid") if self._grid[0] in values else None
        pv = self._sum("pv") if all(name in values for name in self._pv) else None
        if grid is not None:
            fields["grid_import"], fields["grid_export"] = grid
        if pv is not None and self._pv:
            fields["pv_energy"] = pv[1]
        battery = None
        if all(name in values for name in self._battery):
            battery = self._sum("battery")
            if self._battery:
                fields["battery_charge"], fields["battery_discharge"] = battery
        if grid is not None and pv is not None:
            if self._pv:
                fields["self_consumed"] = balance.self_consumed(pv[1], grid[1])
            if battery is not None:
                fields["load_energy"] = balance.load(*grid, pv[1], *battery)
        return {name: float(value) for name, value in fields.items()}

    def _total(self, name: str, drawn: Decimal, fed: Decimal) -> None:
        if self._restored and name not in self._totals:
            # A meter that joins later counts from here on, not from its own beginning.
            self._offset[name] = {IMPORT_TOTAL: -drawn, EXPORT_TOTAL: -fed}
        offset = self._offset.setdefault(name, {})
        self._totals[name] = (
            drawn + offset.get(IMPORT_TOTAL, Decimal(0)),
            fed + offset.get(EXPORT_TOTAL, Decimal(0)),
        )

    def _sum(self, role: str) -> tuple[Decimal, Decimal]:
        """Return the running totals (drawn, fed back) of all meters of `role`."""
        own = [self._totals[name] for name, info in self._meters.items() if info.role == role]
        before = self._former.get(role, [Decimal(0), Decimal(0)])
        return (
            before[0] + sum((total[0] for total in own), Decimal(0)),
            before[1] + sum((total[1] for total in own), Decimal(0)),
        )

    def state(self) -> SavedState:
        """Return offsets and totals, as JSON can hold them."""
        return {
            "offset": {
                name: {str(one): str(value) for one, value in offsets.items()}
                for name, offsets in self._offset.items()
            },
            "totals": {
                name: [self._meters[name].role, *map(str, total)]
                for name, total in self._totals.items()
            },
            "former": {role: [str(value) for value in sums] for role, sums in self._former.items()},
        }

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made; meters that are gone keep their share."""
        self._former = {
            role: [exact(drawn), exact(fed)] for role, (drawn, fed) in state["former"].items()
        }
        for name, (role, drawn, fed) in state["totals"].items():
            if name in self._meters and self._meters[name].role == role:
                self._totals[name] = (exact(drawn), exact(fed))
                offsets = state["offset"].get(name, {})
                self._offset[name] = {
                    Quantity.parse(text): exact(value) for text, value in offsets.items()
                }
                continue
            former = self._former.setdefault(role, [Decimal(0), Decimal(0)])
            former[0] += exact(drawn)
            former[1] += exact(fed)
        self._restored = bool(state["totals"])
