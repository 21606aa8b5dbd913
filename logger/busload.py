"""How busy a line will be, computed before anything is read. Pure.

Times in seconds, loads as a share of the line's time (1.0 is a line that never rests).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from logger.config import Bus, Config, duration_text
from logger.errors import ConfigError
from logger.meters import Job, Model
from logger.plan import Block, plans

# What a meter takes to answer; seen between 10 and 30 ms on real ones.
ANSWER_DELAY_S = 0.02
# A request to read has 8 bytes, its answer 5 and two for each register. A request starts
# at least 3.5 characters after the answer before it, above 19200 baud 1.75 ms (Modbus
# over serial line V1.02, 2.5.1.1); the silence before an answer is part of the delay.
_REQUEST_BYTES, _ANSWER_BYTES = 8, 5
_SILENCE_CHARACTERS, _SILENCE_AT_LEAST_S = 3.5, 0.00175
# Above this share a line has no room left for a repetition or a slow meter.
FULL = 0.95
JOBS = (Job.FAST, Job.SLOW, Job.IDENTITY)


def transaction_s(bus: Bus, block: Block) -> float:
    """Return the time one request for `block` takes on `bus`."""
    characters = _REQUEST_BYTES + _ANSWER_BYTES + 2 * block.count
    silence_s = max(_SILENCE_CHARACTERS * bus.character_s, _SILENCE_AT_LEAST_S)
    return characters * bus.character_s + ANSWER_DELAY_S + silence_s


def job_s(bus: Bus, model: Model, job: Job) -> float:
    """Return the time `job` takes on `bus` for one meter of `model`."""
    return sum(transaction_s(bus, block) for block in plans(model)[job])


def loads(config: Config, bus: Bus, models: Mapping[str, Model]) -> Mapping[Job, float]:
    """Return the load of each job on `bus` with the configured intervals."""
    return {
        job: sum(
            job_s(bus, models[meter.model], job) / config.interval(meter, job)
            for meter in bus.meter
        )
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
    return sum(job_s(bus, models[meter.model], Job.FAST) for meter in bus.meter) / room


def check(config: Config, models: Mapping[str, Model]) -> Sequence[tuple[Bus, float]]:
    """Return each bus with its load. Raises ConfigError when one cannot keep up."""
    found = []
    for bus in config.bus:
        load = sum(loads(config, bus, models).values())
        if load > FULL:
            interval = fastest(config, bus, models)
            hint = (
                f'intervals.fast = "{duration_text(_rounded_up(interval))}" would fit, '
                if interval is not None
                else "read the counters less often, "
            )
            raise ConfigError(
                f"bus {bus.name!r}: {len(bus.meter)} meters at {bus.baudrate} baud would keep "
                f"the line busy {load:.0%} of the time",
                f"{hint}or use a second bus",
            )
        found.append((bus, load))
    return found


def _rounded_up(seconds: float) -> float:
    """Return a round number not below `seconds`: tenths below 2 s, else whole seconds."""
    step = 0.1 if seconds < 2 else 1.0
    return round(step * -(-seconds // step), 1)
