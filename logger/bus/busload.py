"""How busy a line will be, and whether every job can begin in time, before anything is
read. Pure.

Times in seconds, loads as a share of the line's time (1.0 is a line that never rests).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from logger.config import Bus, Config, Meter
from logger.domain.errors import ConfigError
from logger.domain.times import duration_text
from logger.models import Job, Model
from logger.models.plan import Block, plans
from logger.models.record import rows_of, telegram_bytes

# What a meter takes to answer; seen between 10 and 30 ms on real ones.
ANSWER_DELAY_S = 0.02
# A request to read has 8 bytes, its answer 5 and two for each register. A request starts
# at least 3.5 characters after the answer before it, above 19200 baud 1.75 ms (Modbus
# over serial line V1.02, 2.5.1.1); the silence before an answer is part of the delay.
_REQUEST_BYTES, _ANSWER_BYTES = 8, 5
_SILENCE_CHARACTERS, _SILENCE_AT_LEAST_S = 3.5, 0.00175
# On M-Bus: REQ_UD2 has 5 bytes, a selection 17 and one of acknowledgement, a command 9 and
# one. A meter begins to answer 11 to 330 bit times and 50 ms later (EN 13757-2); seen are
# a few tens of milliseconds.
_MBUS_REQUEST_BYTES, _MBUS_SELECT_BYTES, _MBUS_COMMAND_BYTES = 5, 18, 10
MBUS_DELAY_S = 0.05
# Above this share a line has no room left for a repetition or a slow meter.
FULL = 0.95
# The search for the fastest interval ends at this one, and is exact to this share of it.
_LONGEST_S, _EXACT = 86_400.0, 1e-4
JOBS = (Job.FAST, Job.SLOW, Job.IDENTITY)
# A request of another master is never due again; at least one value has to fit into it.
_NEVER = 10**18
_VALUE = Block(0, 2)


def meters_text(bus: Bus) -> str:
    """Return how many meters are on `bus`, in words."""
    return f"{len(bus.meter)} meter{'s' * (len(bus.meter) != 1)}"


def transaction_s(bus: Bus, block: Block) -> float:
    """Return the time one request for `block` takes on `bus`."""
    characters = _REQUEST_BYTES + _ANSWER_BYTES + 2 * block.count
    silence_s = max(_SILENCE_CHARACTERS * bus.character_s, _SILENCE_AT_LEAST_S)
    return characters * bus.character_s + ANSWER_DELAY_S + silence_s


def telegram_s(bus: Bus, model: Model) -> float:
    """Return the time that a question and the telegram of `model` take on an M-Bus line.

    A telegram of nine records takes 0.39 s at 2400 baud (manual: PRO380-Mb), and its
    answer delay. A meter that is selected by its number is selected each time.
    """
    characters = _MBUS_REQUEST_BYTES + telegram_bytes(model)
    return characters * bus.character_s + MBUS_DELAY_S


def job_s(bus: Bus, model: Model, job: Job) -> float:
    """Return the time `job` takes on `bus` for one meter of `model`."""
    if model.protocol == "mbus":
        return _meter_s(bus, model) if model.of_job(job) else 0.0
    return sum(transaction_s(bus, block) for block in plans(model.limited(bus.longest_block))[job])


def _meter_s(bus: Bus, model: Model) -> float:
    """Return the time of all questions of one reading of an M-Bus meter."""
    once = telegram_s(bus, model)
    selections = max((meter.secondary is not None for meter in bus.meter), default=False)
    if selections:
        once += _MBUS_SELECT_BYTES * bus.character_s + MBUS_DELAY_S
    if any(row.option for row in rows_of(model)):  # woken, and read a second time
        once = 2 * once + 2 * (_MBUS_COMMAND_BYTES * bus.character_s + MBUS_DELAY_S)
    return once


def _is_shared(config: Config, bus: Bus, meter: Meter, model: Model, job: Job) -> bool:
    """Return whether another job on M-Bus has asked already whenever `job` is due.

    One telegram serves all jobs that are due: a slow job every 60 s costs nothing where
    the same meter is read fast every 10 s.
    """
    if bus.protocol != "mbus":
        return False
    interval, order = round(config.interval(meter, job) * 1e6), JOBS.index(job)
    for other in JOBS:
        shorter = round(config.interval(meter, other) * 1e6)
        first = (shorter, JOBS.index(other)) < (interval, order)
        if first and model.of_job(other) and interval % shorter == 0:
            return True
    return False


def _times(
    config: Config, bus: Bus, models: Mapping[str, Model]
) -> Mapping[tuple[str, Job], float]:
    """Return the time on the line of each job by meter."""
    names = {meter.model for meter in bus.meter}
    took = {(name, job): job_s(bus, models[name], job) for name in names for job in JOBS}
    return {
        (meter.name, job): took[meter.model, job]
        for meter in bus.meter
        for job in JOBS
        if not _is_shared(config, bus, meter, models[meter.model], job)
    }


def loads(config: Config, bus: Bus, models: Mapping[str, Model]) -> Mapping[Job, float]:
    """Return the load of each job on `bus` with the configured intervals."""
    took = _times(config, bus, models)
    return {
        job: sum(
            took.get((meter.name, job), 0.0) / config.interval(meter, job) for meter in bus.meter
        )
        for job in JOBS
    }


def fastest(config: Config, bus: Bus, models: Mapping[str, Model]) -> float | None:
    """Return the shortest fast interval that fits, the same for all meters of `bus`.

    None when the other jobs alone fill the line, and when nothing is read fast.
    """
    share = loads(config, bus, models)
    room = FULL - share[Job.SLOW] - share[Job.IDENTITY]
    if room <= 0:
        return None
    took = _times(config, bus, models)
    least = sum(took.get((meter.name, Job.FAST), 0.0) for meter in bus.meter) / room
    if not least:  # no meter has values for the fast job
        return None
    if _held_up(_turns(config, bus, took, least)) is None:
        return least
    late, fits = least, 2 * least
    while _held_up(_turns(config, bus, took, fits)) is not None:
        late, fits = fits, 2 * fits
        if fits > _LONGEST_S:
            return None
    while fits - late > _EXACT * fits:
        middle = (late + fits) / 2
        if _held_up(_turns(config, bus, took, middle)) is None:
            fits = middle
        else:
            late = middle
    return fits


def fitting(
    config: Config, bus: Bus, models: Mapping[str, Model], least_step: float = 0.1
) -> float | None:
    """Return a round fast interval for all meters of `bus` that fits; None as in `fastest`.

    On M-Bus the telegram of a fast job serves a slow one only where one interval is a
    multiple of the other: what was rounded is looked at again.
    """
    found = fastest(config, bus, models)
    while found is not None and found <= _LONGEST_S:
        found = _rounded_up(found, least_step)
        meters = [meter.model_copy(update={"fast": found}) for meter in bus.meter]
        if problem(config, bus.model_copy(update={"meter": meters}), models) is None:
            return found
        found *= 1.02
    return None


def problem(config: Config, bus: Bus, models: Mapping[str, Model]) -> str | None:
    """Return why the line of `bus` cannot keep up, None when it can."""
    load = sum(loads(config, bus, models).values())
    if load > FULL:
        share = f"{load:.0%}" if load >= 1 else f"{load:.1%}"
        return (
            f"{meters_text(bus)} at {bus.baudrate} baud would keep the line busy {share} of the "
            f"time, and above {FULL:.0%} nothing is left for a question asked again"
        )
    found = _held_up(_turns(config, bus, _times(config, bus, models)))
    if found is not None:
        interval, longest = found
        return (
            f"a job of {longest:.2f} s on the line would make one due every "
            f"{duration_text(interval)} miss its turn"
        )
    return None


@dataclass(frozen=True, slots=True)
class Lending:
    """What of a line others may have: a `share` of its time, 0 for none, and for how many
    seconds at a time, so that no job of the log misses a turn."""

    share: float
    longest_s: float


def lending(config: Config, bus: Bus, models: Mapping[str, Model]) -> Lending:
    """Return what requests of other masters may take of `bus` (`share.modbus.line_share`).

    Such a request goes behind every job that is due, and is not interrupted: to the others it
    is a job with the latest deadline of all.
    """
    wanted = config.share.modbus.line_share if config.share.modbus is not None else 0.0
    share = min(wanted, FULL - sum(loads(config, bus, models).values()))
    took = _times(config, bus, models)
    least = transaction_s(bus, _VALUE)

    def fits(longest_s: float) -> bool:
        turns = dict(_turns(config, bus, took))
        turns[_NEVER] = [longest_s]
        return _held_up(turns) is None

    longest = min((meter.timeout or bus.timeout for meter in bus.meter), default=bus.timeout)
    if not fits(longest):
        low, high = 0.0, longest
        while high - low > _EXACT:
            middle = (low + high) / 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        longest = low
    if share <= 0 or longest < least:
        return Lending(0.0, 0.0)
    return Lending(share, longest)


def check(config: Config, models: Mapping[str, Model]) -> Sequence[tuple[Bus, float]]:
    """Return each bus with its load. Raises ConfigError when one cannot keep up."""
    found = []
    for bus in config.bus:
        if (reason := problem(config, bus, models)) is not None:
            interval = fitting(config, bus, models)
            hint = "read the counters less often, "
            if interval is not None:
                # Where a meter has an interval of its own, that of the site changes nothing.
                own = any(meter.fast is not None for meter in bus.meter)
                key = "fast" if own else "intervals.fast"
                where = " for each meter" if own else ""
                hint = f'{key} = "{duration_text(interval)}"{where} would fit, '
            raise ConfigError(f"bus {bus.name!r}: {reason}", f"{hint}or use a second bus")
        found.append((bus, sum(loads(config, bus, models).values())))
    return found


def _turns(
    config: Config,
    bus: Bus,
    took: Mapping[tuple[str, Job], float],
    fast_s: float | None = None,
) -> Mapping[int, Sequence[float]]:
    """Return how long the jobs of `bus` take, by interval in microseconds.

    `took` is by meter and job; `fast_s` stands in for the fast interval of every meter.
    """
    found: defaultdict[int, list[float]] = defaultdict(list)
    for meter in bus.meter:
        for job in JOBS:
            own = config.interval(meter, job)
            interval = fast_s if fast_s is not None and job is Job.FAST else own
            if length := took.get((meter.name, job), 0.0):
                found[round(interval * 1e6)].append(length)
    return found


def _held_up(turns: Mapping[int, Sequence[float]]) -> tuple[float, float] | None:
    """Return an interval whose jobs cannot all begin before their next turn, and the
    length of the job that holds them up, in seconds; None when all can.

    A job that has begun is not interrupted. At worst the longest job with a later
    deadline begins just before all others are due; what is due again within a span then
    has to fit into it behind that job, but for the last one, which only has to begin
    (after Jeffay, Stanat and Martel, 1991, where it has to end).
    """
    intervals = sorted(turns)
    sums = {interval: sum(turns[interval]) for interval in intervals}
    for at, interval in enumerate(intervals[:-1]):
        others, later = intervals[: at + 1], intervals[at + 1 :]
        longest = max(max(turns[one]) for one in later)
        spare = FULL - sum(sums[one] / one * 1e6 for one in others)
        for one in others:
            over = longest - min(turns[one])
            # From a certain span on the time to spare is enough for what is over.
            enough = over / spare * 1e6 if spare > 0 else float("inf")
            first = -(-interval // one) * one
            for span in range(first, math.ceil(min(later[0], enough)), one):
                due = sum(span // each * sums[each] for each in others)
                if over + due > FULL * span / 1e6:
                    return one / 1e6, longest
    return None


def _rounded_up(seconds: float, least_step: float = 0.1) -> float:
    """Return a round number not below `seconds`: tenths below 2 s, else whole seconds."""
    step = max(0.1 if seconds < 2 else 1.0, least_step)
    return round(step * -(-seconds // step), 1)
