"""A virtual stretch of time with every incident, played through the derived stages.

The rig plays the part of the bus workers: fast jobs every 30 s, slow ones every 5 min,
identity every hour and on demand. It keeps what the meters' displays truly showed at
every midnight, and every event that must be found.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from logger.derive.clock import Step
from logger.derive.info import MeterInfo
from logger.derive.pipeline import Derive
from logger.domain.quantity import TARIFF
from logger.domain.times import midnight_ms
from logger.meter.reading import Reading, ReadingBuilder
from logger.models import Job
from logger.models.decode import decode
from logger.models.plan import plan
from logger.points.line import Point
from logger.simulate import Incident, Trouble, VirtualMeter, virtual_site
from logger.simulate.ledger import Ledger
from logger.simulate.values import Counters
from tests.derive_rig import PRO380

ZONE = ZoneInfo("Europe/Amsterdam")
FAST_S, SLOW_S, IDENTITY_S = 30, 300, 3600
COUNTER_KEYS = tuple(
    f"{name}/total/{tariff}"
    for name in ("active_import", "active_export")
    for tariff in ("total", "T1", "T2")
)
_REGISTERS = {job: PRO380.of_job(job) for job in Job}
_BLOCKS = {
    job: plan(_REGISTERS[job], PRO380.max_block, PRO380.max_gap)
    for job in (Job.FAST, Job.SLOW, Job.IDENTITY)
}
_NAMES = {1: "house", 2: "roof"}
_ROLES = {"house": "grid", "roof": "pv"}


@dataclass(frozen=True)
class Expected:
    """An event that must be found exactly once; times in epoch seconds, with slack."""

    kind: str
    meter: str
    phase: str
    start: float
    duration: float
    slack: float = 0.0


@dataclass
class Plan:
    """What happens: to the world, to the logger, to what is read, to the meters."""

    incidents: list[Incident] = field(default_factory=list)
    logger_off: list[tuple[int, int]] = field(default_factory=list)
    glitches: dict[tuple[int, str], str] = field(default_factory=dict)
    resets: list[tuple[int, str]] = field(default_factory=list)
    swaps: list[tuple[int, str]] = field(default_factory=list)
    settings: list[tuple[int, str, str, int | str]] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)  # when, seconds
    expected: list[Expected] = field(default_factory=list)


def schedule(start: int, days: int, seed: int, each_glitch: int, resets: int, swaps: int) -> Plan:
    """Return a plan with every incident at least once; no two come near each other."""
    dice = random.Random(seed)
    made = Plan()
    slots = [start + 86400 * day + 3600 * hour for day in range(days) for hour in (2, 9, 16)]
    slots = slots[1:]  # the first hours are quiet
    dice.shuffle(slots)
    each = [_both_off, _all_off, _silent, _logger_off, _high, _low, _peak, _dip, _lost]
    each += [_fast_grid, _slow_grid, _moved, _code, _ratio]
    makers = [_reset] * resets + [_swap] * swaps
    makers += each * ((len(slots) - len(makers)) // len(each))
    if days > 60:
        makers = [_reset] * resets + [_swap] * swaps + each * 8
        makers += [_both_off, _all_off, _silent, _logger_off] * 2
    assert len(makers) <= len(slots), "too short for one of each"
    for maker, at in zip(makers, slots, strict=False):
        maker(made, at, dice)
    busy = [(at - 1200, at + 7200) for _, at in zip(makers, slots, strict=False)]
    for kind in ("zero", "half", "flip", "drop"):
        for _ in range(each_glitch):
            while True:
                at = start + SLOW_S * dice.randrange(30, days * 86400 // SLOW_S - 30)
                meter = dice.choice(("house", "roof"))
                near = [t for t, name in made.glitches if name == meter and abs(t - at) < 7200]
                if not near and not any(low <= at <= high for low, high in busy):
                    break
            made.glitches[at, meter] = kind
    return made


def _incident(made: Plan, kind: Trouble, start: int, length: int, **more: float) -> None:
    made.incidents.append(
        Incident(
            kind=kind, start=start, end=start + length,
            phase=int(more["phase"]) if "phase" in more else None,
            value=more.get("value"), meter=int(more["meter"]) if "meter" in more else None,
        )
    )  # fmt: skip


def _for_both(made: Plan, kind: str, phase: str, start: int, length: int, slack: int) -> None:
    made.expected += [Expected(kind, name, phase, start, length, slack) for name in _ROLES]


def _both_off(made: Plan, at: int, dice: random.Random) -> None:
    """The mains fail, the logger lives on."""
    start, length = at + dice.randrange(1, 900), dice.randrange(600, 3000)
    _incident(made, Trouble.MAINS_OFF, start, length)
    _for_both(made, "meter_silent", "", start, length, 2 * FAST_S)
    _for_both(made, "mains_outage", "", start, length, 2 * FAST_S)


def _all_off(made: Plan, at: int, dice: random.Random) -> None:
    """The mains fail and take the logger with them, which needs a minute to boot."""
    start, length = at + dice.randrange(1, 900), dice.randrange(600, 3000)
    _incident(made, Trouble.MAINS_OFF, start, length)
    made.logger_off.append((start, start + length + 60))
    _for_both(made, "mains_outage", "", start, length, 60 + 3 * FAST_S)


def _silent(made: Plan, at: int, dice: random.Random) -> None:
    place = dice.choice((1, 2))
    start, length = at + dice.randrange(1, 900), dice.randrange(600, 3000)
    _incident(made, Trouble.METER_SILENT, start, length, meter=place)
    made.expected.append(Expected("meter_silent", _NAMES[place], "", start, length, 2 * FAST_S))


def _logger_off(made: Plan, at: int, dice: random.Random) -> None:
    start, length = at + dice.randrange(1, 900), dice.randrange(600, 3000)
    made.logger_off.append((start, start + length))
    made.expected.append(Expected("logger_outage", "", "", start, length, 60 + 2 * FAST_S))


def _volts(made: Plan, kind: str, start: int, length: int, value: float, phase: int) -> None:
    _incident(made, Trouble.VOLTAGE, start, length, value=value, phase=phase)
    _for_both(made, kind, f"L{phase}", start, length, 1)


def _high(made: Plan, at: int, dice: random.Random) -> None:
    start = -(-at // 600) * 600
    _volts(made, "voltage_high", start, 600 * dice.randrange(1, 5), 256.4, dice.randrange(1, 4))


def _low(made: Plan, at: int, dice: random.Random) -> None:
    start = -(-at // 600) * 600
    _volts(made, "voltage_low", start, 600 * dice.randrange(1, 5), 203.2, dice.randrange(1, 4))


def _peak(made: Plan, at: int, dice: random.Random) -> None:
    start = -(-at // 600) * 600 + 60
    length = FAST_S * dice.randrange(4, 8)
    _volts(made, "voltage_high_sample", start, length, 266.5, dice.randrange(1, 4))


def _dip(made: Plan, at: int, dice: random.Random) -> None:
    start = -(-at // 600) * 600 + 60
    length = FAST_S * dice.randrange(4, 8)
    _volts(made, "voltage_low_sample", start, length, 181.5, dice.randrange(1, 4))


def _lost(made: Plan, at: int, dice: random.Random) -> None:
    phase, length = dice.randrange(1, 4), FAST_S * dice.randrange(8, 40)
    start = -(-at // FAST_S) * FAST_S
    _incident(made, Trouble.PHASE_LOST, start, length, phase=phase)
    _for_both(made, "phase_lost", f"L{phase}", start, length, 1)


def _hertz(made: Plan, kind: str, at: int, length: int, value: float) -> None:
    start = -(-at // FAST_S) * FAST_S
    _incident(made, Trouble.FREQUENCY, start, length, value=value)
    made.expected.append(Expected(kind, "house", "", start, length, 1))


def _fast_grid(made: Plan, at: int, dice: random.Random) -> None:
    _hertz(made, "frequency_high", at, FAST_S * dice.randrange(1, 9), 50.71)


def _slow_grid(made: Plan, at: int, dice: random.Random) -> None:
    _hertz(made, "frequency_low", at, FAST_S * dice.randrange(1, 9), 49.31)


def _moved(made: Plan, at: int, dice: random.Random) -> None:
    """Somebody sets the clock wrong and, an hour later, right again."""
    size = dice.choice((-1, 1)) * dice.randrange(60, 1800)
    made.steps += [(at, size), (at + 3600, -size)]
    made.expected += [
        Expected("clock_step", "", "", at + size, 0, FAST_S),
        Expected("clock_step", "", "", at + 3600, 0, FAST_S),
    ]


def _code(made: Plan, at: int, dice: random.Random) -> None:
    made.settings += [
        (at, "house", "combination_code", 5),
        (at + 7200, "house", "combination_code", 1),
    ]
    made.expected += [
        Expected("combination_code_changed", "house", "", at + shift, 0, IDENTITY_S + 60)
        for shift in (0, 7200)
    ]


def _ratio(made: Plan, at: int, dice: random.Random) -> None:
    made.settings += [(at, "roof", "ct_ratio", "0100"), (at + 7200, "roof", "ct_ratio", "0005")]
    made.expected += [
        Expected("ct_ratio_changed", "roof", "", at + shift, 0, IDENTITY_S + 60)
        for shift in (0, 7200)
    ]


def _reset(made: Plan, at: int, dice: random.Random) -> None:
    """Counters start from 0 right after they were read."""
    name = dice.choice(("house", "roof"))
    made.resets.append((at - at % SLOW_S, name))
    made.expected.append(Expected("counter_reset", name, "", at - at % SLOW_S + SLOW_S, 0, SLOW_S))


def _swap(made: Plan, at: int, dice: random.Random) -> None:
    """The mains are off while an electrician changes a meter, until the full hour."""
    length = SLOW_S * dice.randrange(3, 8) - 1
    start = at - at % 3600 + 3600 - length
    name = dice.choice(("house", "roof"))
    other = "roof" if name == "house" else "house"
    _incident(made, Trouble.MAINS_OFF, start, length)
    made.swaps.append((start + length, name))
    _for_both(made, "meter_silent", "", start, length, 2 * FAST_S)
    made.expected += [
        Expected("mains_outage", other, "", start, length, 2 * FAST_S),
        Expected("meter_swapped", name, "", start + length, 0, FAST_S),
    ]


class Player:
    """Plays a plan; afterwards `points`, `shown` and `tariffs` hold what came out."""

    def __init__(self, start: int, days: int, seed: int, made: Plan) -> None:
        self.start, self.end = start, start + days * 86400
        self.plan = made
        self.seed = seed
        self.site = virtual_site(
            seed, start=start, step_s=30, zone=str(ZONE), incidents=made.incidents
        )
        self.meters = {_NAMES[meter.address]: meter for meter in self.site.meters}
        # All counters that were ever at a place, and since when.
        self.ledgers = {name: [(start, meter.ledger)] for name, meter in self.meters.items()}
        self.abouts = [
            MeterInfo(
                name=name, role=_ROLES[name], model=PRO380,
                fast_ms=1000 * FAST_S, slow_ms=1000 * SLOW_S,
            )
            for name in self.meters
        ]  # fmt: skip
        self.derive = Derive(self.abouts, "test")
        self.points: list[Point] = []
        self.made: Counter[str] = Counter()  # points of each measurement
        self.newest_ms = 0
        self.tariffs: list[Expected] = []
        # What the display showed at a border plus what earlier displays had shown.
        self.shown: dict[tuple[str, int, str], Decimal] = {}
        self._carried: dict[tuple[str, str], Decimal] = {}
        self._tariff: dict[str, int] = {}
        self._dice = random.Random(seed + 1)
        self._error = 0

    def play(self) -> None:
        plan_ = self.plan
        resets, swaps = dict(plan_.resets), dict(plan_.swaps)
        steps = {-(-at // FAST_S) * FAST_S: size for at, size in plan_.steps}
        settings = sorted(plan_.settings)
        off = sorted(plan_.logger_off)
        borders = self._borders()
        state = json.dumps(self.derive.state())
        was_off = True  # the jobs at the start
        for now in range(self.start, self.end + 1, FAST_S):
            if now in swaps:
                self._replace(swaps[now], now, serial=f"{30000000 + now % 999983:08}", empty=False)
            while settings and settings[0][0] <= now:
                _, name, key, value = settings.pop(0)
                self.meters[name].settings[key] = value
            if now in borders:
                self._note(now)
            if off and off[0][0] <= now:
                if now < off[0][1]:
                    was_off = True
                    continue
                off.pop(0)
                self.derive = Derive(self.abouts, "test")
                assert self.derive.restore(json.loads(state), self.newest_ms)
            if (size := steps.get(now)) is not None:
                before = (now + self._error) * 1000
                self._error += size
                self._keep(self.derive.clock_step(Step(before, before + size * 1000)))
            for name in self.meters:
                wanted = name in self.derive.wanted()
                self._jobs(name, now, at_start=was_off, wanted=wanted)
            was_off = False
            self._keep(self.derive.tick(round((now + self._error + 20) * 1000)))
            if now % 60 == 0 or self.derive.dirty:
                state = json.dumps(self.derive.state())
            if now in resets:
                name = resets[now]
                serial = str(self.meters[name].settings["serial"])
                self._replace(name, now, serial, empty=True)

    def _jobs(self, name: str, now: int, *, at_start: bool, wanted: bool) -> None:
        late = 0.3 if name == "house" else 0.5
        if at_start or wanted or now % IDENTITY_S == 0:
            self._job(name, Job.IDENTITY, now, late)
        if at_start or now % SLOW_S == 0:
            self._job(name, Job.SLOW, now, late + 0.4)
        self._job(name, Job.FAST, now, late + 0.8)

    def _job(self, name: str, job: Job, now: int, late: float) -> None:
        if not self.meters[name].answers(now + late):
            return
        read = self._read(name, job, now, late)
        if job is Job.SLOW:
            tariff = int(str(read.values[TARIFF]))
            known = self._tariff.get(name)
            if known is not None and known != tariff:
                at = now + self._error
                self.tariffs.append(Expected("tariff_switched", name, "", at, 0, 2))
            self._tariff[name] = tariff
        self._keep(self.derive.feed(read))

    def _keep(self, points: Sequence[Point]) -> None:
        """Keep what is judged later: a year of everything would fill the memory."""
        self.newest_ms = max((point.time_ms for point in points), default=self.newest_ms)
        for point in points:
            self.made[point.measurement] += 1
            phase = point.tags.get("phase")
            match point.measurement:
                case "event":
                    self.points.append(point)
                case "energy" if phase == "total":
                    self.points.append(point)
                case "site" if "grid_power" not in point.fields and "pv_power" not in point.fields:
                    self.points.append(point)

    def _read(self, name: str, job: Job, now: int, late: float) -> Reading:
        meter = self.meters[name]
        builder = ReadingBuilder()
        taken_ms = round((now + late + self._error) * 1000)
        for block in _BLOCKS[job]:
            words = list(meter.read_words(block.address, block.count, now + late))
            if job is Job.SLOW and (kind := self.plan.glitches.get((now, name))) is not None:
                self._spoil(words, kind)
            builder.take(PRO380, _REGISTERS[job], block, words, taken_ms)
        return Reading(
            meter=name, role=_ROLES[name], model="pro380", job=job,
            taken_ms=taken_ms,
            round_ms=(now + self._error) * 1000, values=builder.values,
        )  # fmt: skip

    def _spoil(self, words: list[int], kind: str) -> None:
        """Do to one counter of a block what happens on the way; never below its last digits."""
        key = self._dice.choice(COUNTER_KEYS)
        place = PRO380.by_key[key].address - _BLOCKS[Job.SLOW][0].address
        high, low = words[place], words[place + 1]
        if kind == "zero":
            words[place : place + 2] = [0, 0]
        elif kind == "half":
            words[place + 1] = 0 if low > 64 else 0xFFFF
        elif kind == "flip":
            bit = self._dice.randrange(5, 31)
            raw = ((high << 16) | low) ^ (1 << bit)
            words[place : place + 2] = [raw >> 16, raw & 0xFFFF]
        else:
            (number,) = struct.unpack(">f", struct.pack(">HH", high, low))
            words[place : place + 2] = struct.unpack(">HH", struct.pack(">f", number * 0.9))

    def _replace(self, name: str, now: int, serial: str, *, empty: bool) -> None:
        """Put another set of counters in place: a new meter, or the old one reset."""
        old = self.meters[name]
        books = self.site.books
        books.advance(now)
        for key in COUNTER_KEYS:
            total = self._carried.get((name, key), Decimal(0)) + self._display(old, key, now)
            self._carried[name, key] = total
        new = VirtualMeter(PRO380, old.address, old.role, books, settings={**old.settings})
        new.settings["serial"] = serial
        if empty:
            new.ledger = books.open(Ledger(old.role))
            new.counters = Counters(new.ledger)
            new.power_downs_from = old.power_downs_from
        self.meters[name] = new
        self.ledgers[name].append((now, new.ledger))
        for key in COUNTER_KEYS:
            self._carried[name, key] -= self._display(new, key, now)

    def _display(self, meter: VirtualMeter, key: str, now: int) -> Decimal:
        register = PRO380.by_key[key]
        words = meter.read_words(register.address, 2, now)
        return Decimal(str(decode(register.encoding, words)))

    def _borders(self) -> set[int]:
        first = dt.datetime.fromtimestamp(self.start, ZONE).date()
        days = range((self.end - self.start) // 86400 + 2)
        borders = (midnight_ms(first + dt.timedelta(days=day), ZONE) // 1000 for day in days)
        return {at for at in borders if self.start <= at <= self.end}

    def _note(self, now: int) -> None:
        for name, meter in self.meters.items():
            for key in COUNTER_KEYS:
                carried = self._carried.get((name, key), Decimal(0))
                self.shown[name, now, key] = carried + self._display(meter, key, now)

    def counted(self, name: str, quantity: str, start: int, end: int, tariff: int | None) -> float:
        """Return kWh by the ledgers of a place between two full hours."""
        total = 0.0
        own = self.ledgers[name]
        for place, (since, ledger) in enumerate(own):
            until = own[place + 1][0] if place + 1 < len(own) else end
            if max(start, since) < min(end, until):
                span = (max(start, since), min(end, until))
                total += ledger.between(*span, quantity, None, tariff)
        return total


def unmatched(
    expected: Sequence[Expected], found: Sequence[tuple[str, str, str, float, float]]
) -> tuple[list[Expected], list[tuple[str, str, str, float, float]]]:
    """Return what was expected and not found, and what was found and not expected."""
    left = list(found)
    missing = []
    for one in sorted(expected, key=lambda each: each.start):
        for each in left:
            kind, meter, phase, start, duration = each
            if (
                (kind, meter, phase) == (one.kind, one.meter, one.phase)
                and abs(start - one.start) <= one.slack + 2
                and abs(duration - one.duration) <= (one.slack + 1 if one.duration else 0)
            ):
                left.remove(each)
                break
        else:
            missing.append(one)
    return missing, left
