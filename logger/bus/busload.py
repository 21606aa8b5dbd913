"""How busy a line will be, and whether every job can begin in time, before anything is
read. Pure.

Times in seconds, loads as a share of the line's time (1.0 is a line that never rests).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from logger.config import Bus, Config, duration_text
from logger.domain.errors import ConfigError
from logger.models import Job, Model
from logger.models.plan import Block, plans

# What a meter takes to answer; seen between 10 and 30 ms on real ones.
ANSWER_DELAY_S = 0.02
# A request to read has 8 bytes, its answer 5 and two for each register. A request starts
# at least 3.5 characters after the answer before it, above 19200 baud 1.75 ms (Modbus
# over serial line V1.02, 2.5.1.1); the silence before an answer is part of the delay.
_REQUEST_BYTES, _ANSWER_BYTES = 8, 5
_SILENCE_CHARACTERS, _SILENCE_AT_LEAST_S = 3.5, 0.00175
# Above this share a line has no room left for a repetition or a slow meter.
FULL = 0.95
# The search for the fastest interval ends at this one, and is exact to this share of it.
_LONGEST_S, _EXACT = 86_400.0, 1e-4
JOBS = (Job.FAST, Job.SLOW, Job.IDENTITY)


def transaction_s(bus: Bus, block: Block) -> float:
    """Return the time one request for `block` takes on `bus`."""
    characters = _REQUEST_BYTES + _ANSWER_BYTES + 2 * block.count
    silence_s = max(_SILENCE_CHARACTERS * bus.character_s, _SILENCE_AT_LEAST_S)
    return characters * bus.character_s + ANSWER_DELAY_S + silence_s


def job_s(bus: Bus, model: Model, job: Job) -> float:
    """Return the time `job` takes on `bus` for one meter of `model`."""
    return sum(transaction_s(bus, block) for block in plans(model.limited(bus.longest_block))[job])


def _times(bus: Bus, models: Mapping[str, Model]) -> Mapping[tuple[str, Job], float]:
    """Return the time of each job by model."""
    names = {meter.model for meter in bus.meter}
    return {(name, job): job_s(bus, models[name], job) for name in names for job in JOBS}


def loads(config: Config, bus: Bus, models: Mapping[str, Model]) -> Mapping[Job, float]:
    """Return the load of each job on `bus` with the configured intervals."""
    took = _times(bus, models)
    return {
        job: sum(took[meter.model, job] / config.interval(meter, job) for meter in bus.meter)
        for job in JOBS
    }


def fastest(config: Config, bus: Bus, models: Mapping[str, Model]) -> float | None:
    """Return the shortest fast interval that fits, the same for all meters of `bus`.

    None when the other jobs alone fill the line.
    """
    share = loads(config, bus, models)
    room = FULL - share[Job.SLOW] - share[Job.IDENTITY]
    if room <= 0:
        return None
    took = _times(bus, models)
    least = sum(took[meter.model, Job.FAST] for meter in bus.meter) / room
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


def problem(config: Config, bus: Bus, models: Mapping[str, Model]) -> str | None:
    """Return why the line of `bus` cannot keep up, None when it can."""
    load = sum(loads(config, bus, models).values())
    if load > FULL:
        return (
            f"{len(bus.meter)} meters at {bus.baudrate} baud would keep the line busy "
            f"{load:.0%} of the time"
        )
    found = _held_up(_turns(config, bus, _times(bus, models)))
    if found is not None:
        interval, longest = found
        return (
            f"a job of {longest:.2f} s on the line would make one due every "
            f"{duration_text(interval)} miss its turn"
        )
    return None


def check(config: Config, models: Mapping[str, Model]) -> Sequence[tuple[Bus, float]]:
    """Return each bus with its load. Raises ConfigError when one cannot keep up."""
    found = []
    for bus in config.bus:
        if (reason := problem(config, bus, models)) is not None:
            interval = fastest(config, bus, models)
            hint = (
                f'intervals.fast = "{duration_text(_rounded_up(interval))}" would fit, '
                if interval is not None
                else "read the counters less often, "
            )
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

    `took` is by model and job; `fast_s` stands in for the fast interval of every meter.
    """
    found: defaultdict[int, list[float]] = defaultdict(list)
    for meter in bus.meter:
        for job in JOBS:
            own = config.interval(meter, job)
            interval = fast_s if fast_s is not None and job is Job.FAST else own
            found[round(interval * 1e6)].append(took[meter.model, job])
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


def _rounded_up(seconds: float) -> float:
    """Return a round number not below `seconds`: tenths below 2 s, else whole seconds."""
    step = 0.1 if seconds < 2 else 1.0
    return round(step * -(-seconds // step), 1)
