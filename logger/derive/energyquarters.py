"""`energy_15m`: what each meter counted in each fixed quarter hour of UTC.

    counters     first reading after a border, or a line between two    `derive.borders`
    power        its integral by sign                                   `derive.powerparts`
    netting      bounds from the counters, the split from the power     `domain.netting`

A quarter is given once both totals are known at its end and the power has come as far. What
the records of a meter add up to is what its counters counted, over gaps, resets, restarts
and steps of the clock: each record begins where the one before ended. After a step of the
clock the rest of a quarter is a record of its own; a quarter that comes a second time is
stamped some milliseconds after its beginning, so that it replaces nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from decimal import Decimal
from typing import Any

from logger.derive.borders import CounterTrack
from logger.derive.clock import Step
from logger.derive.info import MeterInfo, SavedState, exact, whole
from logger.derive.powerparts import PowerParts, PowerSum
from logger.derive.registers import GuardResult
from logger.domain.limits import BORDER_MS, QUARTER_MS, VALID_SHARE
from logger.domain.netting import demand, netted
from logger.domain.quantity import DRAWN_IN, EXPORT_TOTAL, IMPORT_TOTAL, POWER_TOTAL, Quantity
from logger.domain.records import EnergyQuarter
from logger.domain.timespan import TimeSpan
from logger.meter.reading import Reading
from logger.models.register import Job

_TOTALS = (IMPORT_TOTAL, EXPORT_TOTAL)
_TARIFFS = {name: Quantity("active_import", "total", tariff) for tariff, name in DRAWN_IN.items()}
_COUNTERS = (*_TOTALS, *_TARIFFS.values())
_AT_ONCE = 96  # quarters that are given together after a long gap
_LEAST_GAP_MS = 15_000


@dataclass(slots=True)
class _Meter:
    """What is known of one meter since `start_ms`, where its last record ended."""

    power: PowerParts
    tracks: dict[Quantity, CounterTrack] = field(default_factory=dict)
    base: dict[Quantity, Decimal] = field(default_factory=dict)  # totals at `start_ms`
    start_ms: int = 0
    read: bool = True  # whether there was a reading at `start_ms`
    stepped: bool = False  # the clock was moved since then, or ended what was before
    seen_ms: int = 0
    doubts: list[TimeSpan] = field(default_factory=list)
    passed_ms: int = -1  # the latest quarter that was given
    again: int = 0  # how often the clock went back into quarters that were given
    # At the last reading of the counters: their time, and what the power came to.
    counted: tuple[int, PowerSum] | None = None

    @property
    def quarter_ms(self) -> int:
        """The beginning of the quarter hour that is open."""
        return self.start_ms - self.start_ms % QUARTER_MS


class EnergyQuarters:
    """Makes the quarter hours of all meters from their believed readings."""

    def __init__(self, meters: Mapping[str, MeterInfo]) -> None:
        self._meters = meters
        self._known: dict[str, _Meter] = {}

    def feed(self, reading: Reading) -> list[EnergyQuarter]:
        """Take a reading; return the quarters that it completes, `_AT_ONCE` at most."""
        info = self._meters.get(reading.meter)
        if info is None or reading.job not in {Job.FAST, Job.SLOW}:
            return []
        known = self._meter(info)
        known.seen_ms = max(known.seen_ms, reading.taken_ms)
        power = reading.values.get(POWER_TOTAL)
        if isinstance(power, Decimal):
            known.power.feed(reading.taken_ms, float(power))
        for quantity in _COUNTERS:
            value = reading.values.get(quantity)
            if isinstance(value, Decimal):
                self._count(known, quantity, reading.taken_ms, value)
        return self._close(info, known)

    def tick(self, now_ms: int) -> list[EnergyQuarter]:
        """Return the quarters that are complete by time alone, `_AT_ONCE` at most."""
        found: list[EnergyQuarter] = []
        for name, known in self._known.items():
            known.seen_ms = max(known.seen_ms, now_ms)
            if any(track.stretches for track in known.tracks.values()):
                found += self._close(self._meters[name], known)
        return found

    def broke(self, verdict: GuardResult) -> None:
        """Take note that counters go on from other values; before the readings that do."""
        known = self._known.get(verdict.meter)
        if known is None:
            return
        for one in verdict.breaks:
            track = known.tracks.get(one.quantity)
            if track is None:
                continue
            track.offset += one.carry
            if not one.sure:
                known.doubts.append((track.at_ms, verdict.at_ms))

    def clock_step(self, step: Step) -> list[EnergyQuarter]:
        """Return what the clock cut short when it was moved."""
        found: list[EnergyQuarter] = []
        for name, known in self._known.items():
            info = self._meters[name]
            while more := self._close(info, known, waiting=False):
                found += more
            if any(one not in known.base for one in _TOTALS):
                known.power.moved()
                known.start_ms, known.counted, known.stepped = 0, None, True
                known.tracks.clear()
                known.base.clear()
                continue
            ends = {one: track.total for one, track in known.tracks.items()}
            end_ms = max(track.at_ms for track in known.tracks.values())
            own = known.power.take(known.quarter_ms)
            if own.covered_ms or ends != known.base:
                known.stepped = True
                found.append(self._record(info, known, ends, own, end_ms, read=False))
            last_ms = end_ms + step.size_ms
            known.base, known.start_ms, known.read, known.stepped = ends, last_ms, False, True
            known.again += known.quarter_ms <= known.passed_ms
            known.seen_ms = last_ms
            known.doubts.clear()
            known.counted = None
            known.power.moved()
            for track in known.tracks.values():
                track.moved(step.size_ms)
        return found

    def running(self, meter: str) -> tuple[int, float, float] | None:
        """Return, of the quarter hour that runs at the last reading of the power: its
        beginning, the energy drawn so far (netted, kWh), and the mean power of late (kW).

        None where the readings do not tell what was drawn since its beginning.
        """
        known = self._known.get(meter)
        if known is None or known.power.at_ms is None:
            return None
        at_ms = known.power.at_ms
        start_ms = at_ms - at_ms % QUARTER_MS
        own = known.power.sums.get(start_ms, PowerSum())
        if own.covered_ms >= VALID_SHARE * (at_ms - start_ms):
            return start_ms, own.positive, known.power.recent_kw
        if known.quarter_ms != start_ms or known.counted is None or known.stepped:
            return None
        if any(one not in known.base for one in _TOTALS):
            return None  # one of them was not read yet, or is not believed yet
        until_ms, then = known.counted
        if until_ms < start_ms or known.start_ms - start_ms >= BORDER_MS:
            return None
        drawn, fed = (known.tracks[one].total - known.base[one] for one in _TOTALS)
        share = then.covered_ms / max(1, until_ms - start_ms)
        so_far = float(netted(drawn, fed, then.positive, then.negative, share).drawn)
        return start_ms, so_far + own.positive - then.positive, known.power.recent_kw

    def _meter(self, info: MeterInfo) -> _Meter:
        known = self._known.get(info.name)
        if known is None:
            power = PowerParts(max(3 * info.fast_ms, _LEAST_GAP_MS))
            known = self._known[info.name] = _Meter(power)
        return known

    def _count(self, known: _Meter, quantity: Quantity, at_ms: int, value: Decimal) -> None:
        track = known.tracks.get(quantity)
        if track is not None:
            track.feed(at_ms, value)
        else:
            known.tracks[quantity] = CounterTrack(at_ms, value)
            known.base[quantity] = value
            if quantity in _TOTALS:
                known.start_ms = max(known.start_ms, at_ms)
                known.read = known.start_ms - known.quarter_ms < BORDER_MS
        if quantity == IMPORT_TOTAL:
            own = known.power.sums.get(at_ms - at_ms % QUARTER_MS, PowerSum())
            then = PowerSum(own.positive, own.negative, own.covered_ms)
            known.counted = (at_ms, then)

    def _close(
        self, info: MeterInfo, known: _Meter, *, waiting: bool = True
    ) -> list[EnergyQuarter]:
        """Return the quarters whose ends are known, `_AT_ONCE` at most; `waiting` for the power."""
        found: list[EnergyQuarter] = []
        if any(one not in known.tracks for one in _TOTALS):
            return found
        while len(found) < _AT_ONCE:
            border = known.quarter_ms + QUARTER_MS
            stretches = {one: track.stretch(border) for one, track in known.tracks.items()}
            if any(stretches[one] is None for one in _TOTALS):
                break
            lacking = [one for one, stretch in stretches.items() if stretch is None]
            # A tariff that is held back comes soon, or not at all.
            if waiting and lacking and known.seen_ms < border + BORDER_MS + 3 * info.slow_ms:
                break
            power_ms = known.power.at_ms
            late = known.seen_ms - border > known.power.gap_ms
            if waiting and not late and (power_ms is None or power_ms < border):
                break
            ends = {one: got.at(border) for one, got in stretches.items() if got is not None}
            read = all(got.read_at(border) for got in stretches.values() if got is not None)
            own = known.power.take(known.quarter_ms)
            found.append(self._record(info, known, ends, own, border, read=read))
            known.base |= ends
            known.start_ms, known.read, known.stepped = border, read, False
            known.doubts = [one for one in known.doubts if one[1] >= border]
        return found

    def _record(
        self,
        info: MeterInfo,
        known: _Meter,
        ends: Mapping[Quantity, Decimal],
        own: PowerSum,
        end_ms: int,
        *,
        read: bool,
    ) -> EnergyQuarter:
        start_ms = known.quarter_ms
        share = own.covered_ms / max(1, end_ms - known.start_ms)
        counts = {one: end - known.base[one] for one, end in ends.items()}
        drawn, fed = counts[IMPORT_TOTAL], counts[EXPORT_TOTAL]
        net = netted(drawn, fed, own.positive, own.negative, share)
        sure = (
            known.read
            and read
            and not known.stepped
            and own.coverage >= VALID_SHARE
            and not _touched(known.doubts, start_ms)
        )
        at_ms = start_ms if start_ms > known.passed_ms else start_ms + known.again
        known.passed_ms = max(known.passed_ms, start_ms)
        return EnergyQuarter(
            meter=info.name,
            role=info.role,
            at_ms=at_ms,
            drawn=drawn,
            fed=fed,
            tariffs={name: counts[one] for name, one in _TARIFFS.items() if one in counts},
            netted=net,
            demand=demand(net.drawn),
            coverage=own.coverage,
            sure=sure,
        )

    def state(self) -> SavedState:
        """Return what is open and what was given, as JSON can hold it."""
        return {
            name: {
                "power": known.power.state(),
                "tracks": {str(one): track.state() for one, track in known.tracks.items()},
                "base": {str(one): str(total) for one, total in known.base.items()},
                "start": [known.start_ms, known.read, known.stepped],
                "doubts": list(known.doubts),
                "given": [known.passed_ms, known.again],
                "counted": known.counted and [known.counted[0], *astuple(known.counted[1])],
            }
            for name, known in self._known.items()
        }

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made; meters that are gone are forgotten."""
        for name, saved in state.items():
            info = self._meters.get(name)
            if info is not None:
                self._restore(self._meter(info), saved)

    def _restore(self, known: _Meter, saved: Mapping[str, Any]) -> None:
        known.power.restore(saved["power"])
        known.tracks = {
            Quantity.parse(text): CounterTrack.restored(track)
            for text, track in saved["tracks"].items()
        }
        known.base = {Quantity.parse(text): exact(total) for text, total in saved["base"].items()}
        if known.base.keys() != known.tracks.keys():
            raise ValueError(f"not the counters of one meter: {sorted(saved['base'])}")
        start_ms, read, stepped = saved["start"]
        known.start_ms, known.read, known.stepped = whole(start_ms), bool(read), bool(stepped)
        known.doubts = [(whole(begin), whole(until)) for begin, until in saved["doubts"]]
        known.passed_ms, known.again = map(whole, saved["given"])
        if counted := saved["counted"]:
            known.counted = (whole(counted[0]), PowerSum.restored(counted[1:]))


def _touched(doubts: Iterable[TimeSpan], start_ms: int) -> bool:
    """Return whether one of the doubtful stretches touches the quarter hour at `start_ms`."""
    end_ms = start_ms + QUARTER_MS
    return any(begin < end_ms and until >= start_ms + BORDER_MS for begin, until in doubts)
