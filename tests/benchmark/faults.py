"""What goes wrong in a soak: every kind of fault at random times, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Faults of the line and of meters that come and go, by the name of their quirk.
NOISE = (
    "zero-bytes",
    "drop-bytes",
    "flip-bits",
    "split-frames",
    "late-answer",
    "wrong-address",
    "babble",
    "slow@2",
    "dead@1",
    "dead@2",
    "refuse-gaps",
    "no-long-block-502a",
    "glitch-zero",
)
# What happens to the house; the line's process knows them as incidents.
INCIDENTS = ("mains-off", "meter-silent", "phase-lost", "voltage", "frequency")
# What the server answers, and what happens to it.
ANSWERS = ("400", "401", "403", "404", "413", "429", "500", "502", "503", "html", "cut", "reset")
SERVER = ("away", "killed", "slow", "ack-lost", *ANSWERS)
PROCESS = ("sigkill", "sigterm")
CLOCK = ("forward", "back")
DISK = ("full", "deleted")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: from `start` until `end`, seconds since the begin of the soak.

    `line` is the number of the line and `value` how much, where that applies.
    """

    group: str
    kind: str
    start: float
    end: float
    line: int = 0
    value: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.start / 3600:7.2f} h  {self.group} {self.kind}, {self.end - self.start:.0f} s"
        )


# How many a day, and how long they last: seconds from and to.
_RATES: Mapping[str, tuple[tuple[str, ...], float, tuple[float, float]]] = {
    "line": (NOISE, 8.0, (60, 300)),
    "incident": (INCIDENTS, 4.0, (60, 3600)),
    "server": (SERVER, 6.0, (120, 7200)),
    "process": (PROCESS, 3.0, (5, 1800)),
    "clock": (CLOCK, 0.6, (600, 3600)),
    "disk": (DISK, 0.6, (300, 1800)),
}


def draw(seed: int, seconds: float, lines: int) -> list[Fault]:
    """Return the faults of a soak by their start; every kind once before any comes twice.

    Faults of one group do not overlap, those of different groups do. The last tenth of
    the time, at most two hours, is left in peace.
    """
    dice = random.Random(seed)
    quiet = seconds - min(7200.0, seconds / 10)
    found: list[Fault] = []
    for group, (kinds, a_day, length) in _RATES.items():
        number = max(len(kinds), round(a_day * seconds / 86_400))
        names = [kind for _ in range(-(-number // len(kinds))) for kind in _shuffled(kinds, dice)]
        slot = quiet / number
        for turn, kind in enumerate(names[:number]):
            start = slot * (turn + 0.4 * dice.random())
            end = min(start + dice.uniform(*length), slot * (turn + 0.95))
            fault = Fault(group, kind, start, end, dice.randrange(lines), _value(kind, dice.random))
            found.append(fault)
    return sorted(found, key=lambda fault: fault.start)


def _shuffled(kinds: tuple[str, ...], dice: random.Random) -> list[str]:
    return dice.sample(kinds, len(kinds))


def _value(kind: str, chance: Callable[[], float]) -> float:
    """Return how much: V, Hz or seconds of a clock's step."""
    match kind:
        case "voltage":
            return 180.0 + 90.0 * chance()
        case "frequency":
            return 48.0 + 4.0 * chance()
        case "forward":
            return 30.0 + 3000.0 * chance()
        case "back":
            return -30.0 - 3000.0 * chance()
    return 0.0
