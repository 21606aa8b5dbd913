"""What a household switches on and off: a list of switchings for every day. Pure.

Times are UTC. A day is the number of whole days since 1970-01-01. Powers are those of
common appliances on 230 V; reactive power is positive for motors, negative for
electronics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from logger.simulate.noise import Dice

DAY_S = 86400
_MINUTE = 60.0
_HOUR = 3600.0
# What appliances are wired to; a house has another one, for lights and all that is small.
CIRCUITS = ("kitchen", "cooling", "laundry", "car")


@dataclass(frozen=True, slots=True)
class Use:
    """An appliance running from `start` to `end` (epoch seconds) on `phase` (0..2)."""

    start: float
    end: float
    phase: int
    active: float  # W
    reactive: float  # var
    circuit: str  # one of CIRCUITS


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time without any switching: `active` and `reactive` by phase."""

    start: float
    end: float
    active: tuple[float, float, float]  # W
    reactive: tuple[float, float, float]  # var
    running: tuple[Use, ...] = ()


def uses(seed: int, day: int) -> Iterator[Use]:
    """Return what starts on `day`. It may run on into the next day, never further."""
    midnight = float(day * DAY_S)
    weekend = (day + 4) % 7 in (0, 6)  # 1970-01-01 was a Thursday
    yield from _cooling(Dice(seed, day, 1), midnight, phase=0, active=92.0, reactive=71.0)
    yield from _cooling(Dice(seed, day, 2), midnight, phase=2, active=118.0, reactive=84.0)
    yield from _kettle(Dice(seed, day, 3), midnight)
    yield from _oven(Dice(seed, day, 4), midnight, weekend)
    yield from _washing(Dice(seed, day, 5), midnight, weekend)
    yield from _dishwasher(Dice(seed, day, 6), midnight)
    yield from _car(Dice(seed, day, 7), midnight)


def _cooling(
    dice: Dice, midnight: float, *, phase: int, active: float, reactive: float
) -> Iterator[Use]:
    at = midnight + dice.between(0, 35) * _MINUTE
    while at < midnight + DAY_S:
        run = dice.between(13, 21) * _MINUTE
        yield Use(at, at + run, phase, active, reactive, "cooling")
        at += run + dice.between(24, 40) * _MINUTE


def _kettle(dice: Dice, midnight: float) -> Iterator[Use]:
    for hour in (6.5, 9.0, 13.0, 15.5, 19.0):
        if dice.chance(0.7):
            at = midnight + (hour + dice.between(0, 1.2)) * _HOUR
            yield Use(at, at + dice.between(110, 230), 0, 1980.0, 6.0, "kitchen")


def _oven(dice: Dice, midnight: float, weekend: bool) -> Iterator[Use]:
    if not dice.chance(0.8 if weekend else 0.5):
        return
    at = midnight + dice.between(16.6, 17.8) * _HOUR
    done = at + dice.between(35, 70) * _MINUTE
    heat = dice.between(8, 11) * _MINUTE  # heats up first, then holds the temperature
    while at < done:
        yield Use(at, at + heat, 1, 2340.0, 11.0, "kitchen")
        at += heat + dice.between(70, 130)
        heat = dice.between(45, 85)


def _washing(dice: Dice, midnight: float, weekend: bool) -> Iterator[Use]:
    if not dice.chance(0.6 if weekend else 0.25):
        return
    at = midnight + dice.between(8.5, 12) * _HOUR
    warm = at + dice.between(12, 18) * _MINUTE
    yield Use(at, warm, 2, 2060.0, 38.0, "laundry")
    yield Use(warm, warm + dice.between(35, 55) * _MINUTE, 2, 230.0, 195.0, "laundry")


def _dishwasher(dice: Dice, midnight: float) -> Iterator[Use]:
    if not dice.chance(0.45):
        return
    at = midnight + dice.between(19.5, 21) * _HOUR
    for _ in range(2):
        heat = dice.between(9, 14) * _MINUTE
        yield Use(at, at + heat, 1, 1870.0, 24.0, "kitchen")
        at += heat
        wash = dice.between(18, 26) * _MINUTE
        yield Use(at, at + wash, 1, 105.0, 62.0, "kitchen")
        at += wash


def _car(dice: Dice, midnight: float) -> Iterator[Use]:
    if dice.chance(0.45):
        at = midnight + dice.between(17.5, 22) * _HOUR
        yield Use(at, at + dice.between(1.5, 5) * _HOUR, 2, 3640.0, -130.0, "car")


def segments(seed: int, day: int) -> tuple[Segment, ...]:
    """Return `day` cut at every switching, from midnight to midnight without a hole."""
    begin, end = float(day * DAY_S), float((day + 1) * DAY_S)
    running = [
        use
        for use in (*uses(seed, day - 1), *uses(seed, day))
        if use.end > begin and use.start < end
    ]
    changes: dict[float, list[tuple[int, int]]] = {begin: []}
    for index, use in enumerate(running):
        changes.setdefault(max(use.start, begin), []).append((1, index))
        if use.end < end:
            changes.setdefault(use.end, []).append((0, index))
    times = sorted(changes)
    on: set[int] = set()
    found: list[Segment] = []
    for at, until in zip(times, [*times[1:], end], strict=True):
        for switched_on, index in changes[at]:
            if switched_on:
                on.add(index)
            else:
                on.discard(index)
        active, reactive = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        for index in sorted(on):
            use = running[index]
            active[use.phase] += use.active
            reactive[use.phase] += use.reactive
        found.append(
            Segment(
                at,
                until,
                (active[0], active[1], active[2]),
                (reactive[0], reactive[1], reactive[2]),
                tuple(running[index] for index in sorted(on)),
            )
        )
    return tuple(found)
