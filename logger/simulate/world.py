"""The physics of a virtual site: a household with solar panels. Pure, but for a cache.

Everything is a function of the seed and the time. Smooth quantities are drawn at marks
five minutes apart, rounded there, and joined by straight lines, so that only exact
arithmetic lies between two marks: every machine gets the same values.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from logger.domain.limits import NOMINAL_HZ, NOMINAL_V
from logger.simulate.appliances import DAY_S, Segment, segments
from logger.simulate.flow import NOTHING, Flow, added
from logger.simulate.incidents import Incident, Trouble
from logger.simulate.noise import signed, unit
from logger.simulate.sky import clear_sky, restless, sun_height, transmission

_MARK_S = 300
_RUSTLES = 1024  # values of quick noise; a power of two

# Lights and electronics by phase: W at a quiet hour, and var per W.
_BASE_W = (142.0, 91.0, 173.0)
_BASE_VAR = (-0.31, 0.22, -0.14)
# How busy each hour of the day is (UTC), against a quiet one.
_BUSY = (
    *(0.72, 0.65, 0.62, 0.61, 0.63, 0.74, 1.05, 1.34, 1.21, 1.02, 0.95, 0.98),
    *(1.08, 1.02, 0.96, 1.01, 1.22, 1.58, 1.86, 2.01, 1.95, 1.72, 1.31, 0.93),
)
# An inverter shares its output unevenly, to a percent; at night it draws a little.
_PV_SHARE = (0.335, 0.332, 0.333)
_PV_EFFICIENCY = 0.86
_PV_LEAST_W = 45.0
_PV_STANDBY: Flow = (2.3, 2.1, 2.2, -12.4, -11.9, -12.1)
_PV_VAR_PER_W = 0.021
_PV_FILTER_VAR = (-31.0, -28.0, -29.5)

_PHASE_V = (0.6, -0.4, 0.1)
_DRIFT_V = 1.9
_FLICKER_V = 0.14
_LINE_OHM = 0.24  # from the transformer to the house
_DRIFT_HZ = 0.036
_JITTER_HZ = 0.011


@dataclass(frozen=True, slots=True)
class Moment:
    """The site at one time: voltages of L1..L3 in V, frequency in Hz, and its flows.

    `pv` is signed as a PV meter sees it: negative while producing.
    """

    voltage: tuple[float, float, float]
    frequency: float
    load: Flow
    pv: Flow

    @property
    def grid(self) -> Flow:
        """What the grid meter sees: the load and the PV system, phase by phase."""
        return added(self.load, self.pv)


@dataclass(frozen=True, slots=True)
class _Span:
    """The five minutes after a mark: values at the mark and their rise until the next."""

    slot: int
    start: float
    base: tuple[float, float, float]
    base_rise: tuple[float, float, float]
    pv: float
    pv_rise: float
    volts: float
    volts_rise: float
    hertz: float
    hertz_rise: float
    shift: int
    flicker: float


class World:
    """A site with a fixed seed. `peak` is what its panels can give, in W."""

    def __init__(
        self,
        seed: int = 1,
        *,
        incidents: Iterable[Incident] = (),
        peak: float = 9000.0,
        latitude: float = 52.1,
        longitude: float = 5.2,
    ) -> None:
        self.seed = seed
        self.incidents: tuple[Incident, ...] = ()
        self._peak = peak
        self._latitude = latitude
        self._longitude = longitude
        self._rustle = tuple(signed(seed, 21, index) for index in range(_RUSTLES))
        # What was computed last; replaced as a whole, so threads cannot see half of it.
        self._span = self._make_span(0)
        self._segment = Segment(0.0, 0.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        self._day: tuple[int, tuple[Segment, ...]] = (-1, ())
        self._incident_span = (math.inf, -math.inf)
        for incident in incidents:
            self.add(incident)

    def add(self, incident: Incident) -> None:
        """Let `incident` happen; it should not start in the past of any meter."""
        first, last = self._incident_span
        self.incidents = (*self.incidents, incident)
        self._incident_span = (min(first, incident.start), max(last, incident.end))

    def has(self, kind: Trouble, at: float, meter: int | None = None) -> bool:
        """Return whether an incident of `kind` lasts at `at` (for `meter`, if given)."""
        return any(
            incident.kind is kind and incident.covers(at) and incident.meter in (None, meter)
            for incident in self.incidents
        )

    def flows(self, at: float) -> tuple[Flow, Flow]:
        """Return the flows of load and PV at `at` (epoch seconds)."""
        span = self._span
        if span.slot != at // _MARK_S:
            self._span = span = self._make_span(int(at // _MARK_S))
        segment = self.segment(at)
        along = (at - span.start) / _MARK_S
        second = int(at) + span.shift
        rustle = self._rustle
        # Each phase rustles for itself, in steps of one, two and three seconds.
        b1 = (span.base[0] + along * span.base_rise[0]) * (1 + 0.04 * rustle[second & 1023])
        b2 = (span.base[1] + along * span.base_rise[1]) * (1 + 0.05 * rustle[second // 2 & 1023])
        b3 = (span.base[2] + along * span.base_rise[2]) * (1 + 0.03 * rustle[second // 3 & 1023])
        a1, a2, a3 = segment.active
        r1, r2, r3 = segment.reactive
        load = (
            b1 + a1,
            b2 + a2,
            b3 + a3,
            b1 * _BASE_VAR[0] + r1,
            b2 * _BASE_VAR[1] + r2,
            b3 * _BASE_VAR[2] + r3,
        )
        output = span.pv + along * span.pv_rise
        output *= 1 + span.flicker * rustle[second // 7 & 1023]
        pv = _inverter(output)
        first, last = self._incident_span
        if first <= at < last:
            return self._troubled(at, load, pv)
        return load, pv

    def parts(self, at: float, names: Collection[str]) -> Mapping[str, Flow]:  # noqa: ARG002 - others need it
        """Return what a meter of each part sees at `at`, at least of those in `names`."""
        load, pv = self.flows(at)
        return {"load": load, "pv": pv, "grid": added(load, pv)}

    def known(self) -> tuple[str, ...]:
        """Return the parts that a meter can measure."""
        return ("grid", "pv", "load")

    def segment(self, at: float) -> Segment:
        """Return what runs at `at`."""
        segment = self._segment
        if not segment.start <= at < segment.end:
            self._segment = segment = self._find_segment(at)
        return segment

    def moment(self, at: float) -> Moment:
        """Return everything about the site at `at` (epoch seconds)."""
        load, pv = self.flows(at)
        span = self._span if self._span.slot == at // _MARK_S else self._make_span(int(at // 300))
        along = (at - span.start) / _MARK_S
        level = span.volts + along * span.volts_rise
        second = int(at) + span.shift
        volts = [
            level
            + _PHASE_V[phase]
            - _LINE_OHM * (load[phase] + pv[phase]) / NOMINAL_V
            + _FLICKER_V * self._rustle[second + 331 * phase & 1023]
            for phase in (0, 1, 2)
        ]
        hertz = (
            span.hertz
            + along * span.hertz_rise
            + _JITTER_HZ * self._rustle[second // 5 + 77 & 1023]
        )
        for incident in self.incidents:
            if not incident.covers(at):
                continue
            touched = range(3) if incident.phase is None else (incident.phase - 1,)
            if incident.kind is Trouble.VOLTAGE and incident.value is not None:
                for phase in touched:
                    volts[phase] = incident.value
            elif incident.kind is Trouble.FREQUENCY and incident.value is not None:
                hertz = incident.value
        for incident in self.incidents:  # what is off stays off, in whatever order they came
            if incident.covers(at) and incident.kind is Trouble.MAINS_OFF:
                volts, hertz = [0.0, 0.0, 0.0], 0.0
            elif incident.covers(at) and incident.kind is Trouble.PHASE_LOST:
                volts[(incident.phase or 1) - 1] = 0.0
        return Moment((volts[0], volts[1], volts[2]), hertz, load, pv)

    def _troubled(self, at: float, load: Flow, pv: Flow) -> tuple[Flow, Flow]:
        loads = list(load)
        lasting = [incident for incident in self.incidents if incident.covers(at)]
        for incident in lasting:
            if incident.kind is Trouble.LOAD:
                loads[(incident.phase or 1) - 1] += incident.value or 0.0
            elif incident.kind is Trouble.PV:
                pv = _inverter(incident.value or 0.0)
        for incident in lasting:
            if incident.kind is Trouble.MAINS_OFF:
                return NOTHING, NOTHING
            if incident.kind is Trouble.PHASE_LOST:
                phase = (incident.phase or 1) - 1
                loads[phase] = loads[phase + 3] = 0.0
                pv = NOTHING
        return (loads[0], loads[1], loads[2], loads[3], loads[4], loads[5]), pv

    def _find_segment(self, at: float) -> Segment:
        day, cut = self._day
        if day != at // DAY_S:
            day = int(at // DAY_S)
            cut = segments(self.seed, day)
            self._day = (day, cut)
        index = bisect.bisect_right(cut, at, key=lambda segment: segment.start) - 1
        return cut[max(index, 0)]

    def _make_span(self, slot: int) -> _Span:
        base, pv, volts, hertz = self._mark(slot)
        base_next, pv_next, volts_next, hertz_next = self._mark(slot + 1)
        return _Span(
            slot=slot,
            start=float(slot * _MARK_S),
            base=base,
            base_rise=(
                base_next[0] - base[0],
                base_next[1] - base[1],
                base_next[2] - base[2],
            ),
            pv=pv,
            pv_rise=pv_next - pv,
            volts=volts,
            volts_rise=volts_next - volts,
            hertz=hertz,
            hertz_rise=hertz_next - hertz,
            shift=int(unit(self.seed, slot, 13) * _RUSTLES),
            flicker=0.08 if restless(self.seed, slot * _MARK_S // DAY_S) else 0.006,
        )

    def _mark(self, slot: int) -> tuple[tuple[float, float, float], float, float, float]:
        """Return base loads (W), PV output (W), voltage (V), frequency (Hz) at a mark."""
        at = float(slot * _MARK_S)
        seed = self.seed
        hours = at % DAY_S / 3600.0
        hour = int(hours)
        busy = _BUSY[hour] + (hours - hour) * (_BUSY[(hour + 1) % 24] - _BUSY[hour])
        b1, b2, b3 = (
            round(_BASE_W[phase] * busy * (0.85 + 0.3 * unit(seed, slot, 14, phase)), 3)
            for phase in (0, 1, 2)
        )
        height = sun_height(at, self._latitude, self._longitude)
        light = clear_sky(height)
        if light > 0:
            light *= transmission(seed, at, slot)
        output = round(self._peak * _PV_EFFICIENCY * light / 1000.0, 3)
        volts = round(NOMINAL_V + _DRIFT_V * signed(seed, slot, 15), 3)
        hertz = round(NOMINAL_HZ + _DRIFT_HZ * signed(seed, slot, 16), 5)
        return (b1, b2, b3), output, volts, hertz


def _inverter(output: float) -> Flow:
    """Return what a PV meter sees when the panels can give `output` W."""
    if output < _PV_LEAST_W:
        return _PV_STANDBY
    p1, p2, p3 = output * _PV_SHARE[0], output * _PV_SHARE[1], output * _PV_SHARE[2]
    return (
        -p1,
        -p2,
        -p3,
        _PV_FILTER_VAR[0] + _PV_VAR_PER_W * p1,
        _PV_FILTER_VAR[1] + _PV_VAR_PER_W * p2,
        _PV_FILTER_VAR[2] + _PV_VAR_PER_W * p3,
    )
