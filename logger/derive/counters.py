"""The counter guard: no glitch becomes a point, no true reset is lost.

A counter that falls, or rises faster than the meter's amps allow, or leaves the sum it
belongs to (total = phases = tariffs) is held back. When the next readings go on from
the last good value it was a glitch and is forgotten. When so many further readings
agree with it, it is accepted: a reset, or a swap if the serial number changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from logger.derive.countermemory import CounterMemory, Fit, Held, MeterMemory
from logger.derive.info import SavedState
from logger.derive.registers import (
    RESETTABLE,
    RISING,
    Break,
    GuardResult,
    Sum,
    ceiling,
    counters,
    float32_step,
    passed_maximum,
    primary_amps,
    resolution,
    sums,
)
from logger.domain.quantity import SERIAL, Quantity
from logger.meter.reading import Reading
from logger.models.register import Job

_STABLE = 3  # so many readings in a row must fit a sum before it is relied on
_LONG_GAP_MS = 3_600_000  # after it, amps x time allows nearly anything


class CounterGuard:
    """Judges the counters of all meters. `agree` and `margin` as in the configuration;
    `maxima` has the highest value of the counters of each meter, where it is known."""

    def __init__(
        self,
        agree: int = 2,
        margin: float = 1.5,
        maxima: Mapping[str, Decimal | None] | None = None,
    ) -> None:
        self._agree, self._margin, self._maxima = agree, margin, dict(maxima or {})
        self._meters: dict[str, MeterMemory] = {}

    def holding(self) -> set[str]:
        """Return the meters with counters held back: their identity tells a swap."""
        return {name for name, meter in self._meters.items() if meter.held}

    def feed(self, reading: Reading) -> tuple[list[Reading], list[GuardResult]]:
        """Return the readings that may go on, oldest first, and what was found out.

        Held values come out later under the time they were read at.
        """
        meter = self._meters.setdefault(reading.meter, MeterMemory())
        if reading.job is Job.IDENTITY:
            self._identify(meter, reading)
            return [reading], []
        found = counters(reading.values)
        if not found:
            return [reading], []
        doubtful = self._doubtful(meter, found, reading.taken_ms)
        passed: dict[Quantity, Decimal] = {}
        released: dict[tuple[int, int], dict[Quantity, Decimal]] = {}
        breaks: list[tuple[int, Break, bool]] = []
        for quantity, value in found.items():
            counter = meter.counters.setdefault(quantity, CounterMemory())
            if quantity not in doubtful:
                meter.held.pop(quantity, None)
                counter.value, counter.at_ms = value, reading.taken_ms
                passed[quantity] = value
                continue
            held = Held(reading.taken_ms, reading.round_ms, value)
            values = self._hold(meter, quantity, held)
            if len(values) <= self._needed(counter, values):
                continue
            first = values[0]
            maximum = self._maxima.get(reading.meter)
            found_break = self._break(meter, quantity, counter, first, maximum)
            if found_break is not None:
                breaks.append((first.taken_ms, found_break, counter.foreign))
            counter.foreign = False
            for held in values[:-1]:
                released.setdefault((held.taken_ms, held.round_ms), {})[quantity] = held.value
            del meter.held[quantity]
            counter.value, counter.at_ms = value, reading.taken_ms
            passed[quantity] = value
        self._learn(meter, passed)
        others = {one: value for one, value in reading.values.items() if one not in found}
        readings = [
            replace(reading, taken_ms=taken, round_ms=due, values=values, failures=(), rejected=())
            for (taken, due), values in sorted(released.items())
        ]
        readings.append(replace(reading, values={**others, **passed}))
        return readings, self._verdicts(reading.meter, meter, breaks)

    def _identify(self, meter: MeterMemory, reading: Reading) -> None:
        meter.amps = primary_amps(reading.values) or meter.amps
        serial = str(reading.values.get(SERIAL, ""))
        if serial and serial != meter.serial:
            if meter.serial:
                meter.former, meter.reported = meter.serial, False
                meter.fits.clear()
                for counter in meter.counters.values():
                    counter.foreign = counter.value is not None
            meter.serial = serial

    def _doubtful(
        self, meter: MeterMemory, found: Mapping[Quantity, Decimal], at_ms: int
    ) -> set[Quantity]:
        doubtful = {one for one, value in found.items() if self._odd(meter, one, value, at_ms)}
        misfits: list[Sum] = []
        fitting: set[Quantity] = set()
        unsure = {one for one in found if self._loose(meter, one, at_ms)}
        for relation in sums(found):
            if doubtful.intersection(relation.quantities):
                continue
            fit = meter.fits.get(relation.name)
            residual = relation.residual(found)
            if fit is None or fit.stable < _STABLE:
                if fit is None and abs(residual) <= relation.tolerance(found):
                    fitting.update(relation.quantities)
            elif abs(residual - fit.residual) <= relation.tolerance(found):
                fitting.update(relation.quantities)
            else:
                misfits.append(relation)
        doubtful |= unsure - fitting
        return doubtful | _outsiders(misfits, fitting)

    def _odd(self, meter: MeterMemory, quantity: Quantity, value: Decimal, at_ms: int) -> bool:
        counter = meter.counters.get(quantity)
        if counter is None or counter.value is None:
            return False
        if counter.foreign:
            return True
        rise = value - counter.value
        if not rise:
            return False
        if rise < 0 and (quantity.field in RISING or quantity.field == RESETTABLE):
            return True
        last_digit = 2 * max(float32_step(value), float32_step(counter.value), Decimal("0.01"))
        limit = ceiling(quantity, meter.amps, self._margin, at_ms - counter.at_ms)
        return abs(rise) > limit + last_digit

    def _loose(self, meter: MeterMemory, quantity: Quantity, at_ms: int) -> bool:
        """Return whether amps and time say nothing: the first reading, or after a gap."""
        if quantity.field not in RISING:
            return False
        counter = meter.counters.get(quantity)
        return counter is None or counter.value is None or at_ms - counter.at_ms > _LONG_GAP_MS

    def _hold(self, meter: MeterMemory, quantity: Quantity, held: Held) -> list[Held]:
        """Hold a value back; return it behind those before that it goes on from."""
        values = meter.held.setdefault(quantity, [])
        if values:
            last = values[-1]
            rise = held.value - last.value
            limit = ceiling(quantity, meter.amps, self._margin, held.taken_ms - last.taken_ms)
            falls = rise < 0 and quantity.field in RISING
            if falls or abs(rise) > limit + 2 * max(float32_step(held.value), Decimal("0.01")):
                values.clear()
        values.append(held)
        return values

    def _needed(self, counter: CounterMemory, held: list[Held]) -> int:
        """Return how many further readings must agree with a held one."""
        if counter.value is None or counter.foreign:
            return 1
        fell = held[-1].value < counter.value
        late = held[0].taken_ms - counter.at_ms > _LONG_GAP_MS
        return 1 if late and not fell else self._agree

    def _break(
        self,
        meter: MeterMemory,
        quantity: Quantity,
        counter: CounterMemory,
        first: Held,
        maximum: Decimal | None,
    ) -> Break | None:
        """Return the break when `counter` goes on from `first`, None if it just goes on."""
        before = counter.value
        if before is None or quantity.field not in RISING:
            return None
        passed_ms = first.taken_ms - counter.at_ms
        limit = ceiling(quantity, meter.amps, self._margin, passed_ms)
        rise = first.value - before
        noise = 4 * max(float32_step(before), resolution((before, first.value)))
        if counter.foreign:
            return Break(quantity, before, first.value, Decimal(0))
        if -noise <= rise <= limit + noise:
            return None
        passed = passed_maximum(before, first.value, limit + noise, maximum)
        if passed is not None:
            return Break(quantity, before, first.value, passed, sure=True)
        counted = first.value if rise < 0 and first.value <= limit + noise else Decimal(0)
        return Break(quantity, before, first.value, counted)

    def _learn(self, meter: MeterMemory, passed: Mapping[Quantity, Decimal]) -> None:
        for relation in sums(passed):
            residual = relation.residual(passed)
            tolerance = relation.tolerance(passed)
            fit = meter.fits.get(relation.name)
            if fit is None:
                stable = _STABLE if abs(residual) <= tolerance else 0
                meter.fits[relation.name] = Fit(residual, stable)
            elif abs(residual - fit.residual) <= tolerance:
                fit.stable = min(_STABLE, fit.stable + 1)
                fit.residual += (residual - fit.residual) / 8  # rounding must not add up
            else:
                meter.fits[relation.name] = Fit(residual, 0)

    def _verdicts(
        self, name: str, meter: MeterMemory, breaks: list[tuple[int, Break, bool]]
    ) -> list[GuardResult]:
        found = []
        for swapped in (True, False):
            own = [(at_ms, each) for at_ms, each, foreign in breaks if foreign is swapped]
            if not own:
                continue
            serials = (meter.former, meter.serial)
            # Counters that were held at different moments make one swap all the same.
            reported = swapped and meter.reported
            meter.reported |= swapped
            first_ms = min(at_ms for at_ms, _ in own)
            breaks_ = tuple(each for _, each in own)
            found.append(GuardResult(name, first_ms, swapped, breaks_, serials, reported))
        return found

    def clock_step(self, size_ms: int) -> None:
        """Take note that the clock was moved: the time that passes is not that much."""
        for meter in self._meters.values():
            meter.held.clear()
            for counter in meter.counters.values():
                counter.at_ms += size_ms

    def state(self) -> SavedState:
        """Return what is known of all counters, as JSON can hold it."""
        return {name: meter.state() for name, meter in self._meters.items()}

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made."""
        self._meters = {name: MeterMemory.restored(saved) for name, saved in state.items()}


def _outsiders(misfits: list[Sum], fitting: set[Quantity]) -> set[Quantity]:
    """Return the counters to blame when sums do not hold: those that fit nowhere else."""
    blamed: set[Quantity] = set()
    for relation in misfits:
        # The same total off in both of its sums is the total's own fault.
        twice = sum(1 for other in misfits if other.total == relation.total) > 1
        suspects = {relation.total} if twice else set(relation.quantities)
        blamed |= suspects - fitting
    return blamed
