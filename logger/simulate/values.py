"""What a register shows: measured values and counters by the names of the data model."""

from __future__ import annotations

import math

from logger.domain.datamodel import SCALE
from logger.models import Register
from logger.simulate.ledger import TARIFFS, Ledger
from logger.simulate.snapshot import Snapshot

_COUNTERS = frozenset(
    (
        *("active", "active_import", "active_export", "day_counter"),
        *("reactive", "reactive_import", "reactive_export"),
        *("reactive_q1", "reactive_q2", "reactive_q3", "reactive_q4"),
        *("apparent", "apparent_import", "apparent_export"),
    )
)
_KINDS = ("active", "reactive")
_TARIFFS = {f"T{tariff}": tariff for tariff in TARIFFS}
_PHASES = {"L1": 1, "L2": 2, "L3": 3}
# What the day counter shows when the simulation starts.
_TODAY_KWH = 12.34


class Counters:
    """The counters as the meter shows them: by combination code, reset and netting."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._meaning = "forward only"
        self._nets = False
        # By phase and tariff, what the forward counter had when the day counter was 0.
        before = 1.0 - _TODAY_KWH / max(ledger.energy("active_import"), _TODAY_KWH)
        self._day_start = {key: before * kwh for key, kwh in self._forward().items()}
        # By tariff, what forward and reverse had counted before netting began.
        self._before_netting: dict[int, tuple[float, float]] = {}

    def reset_day(self) -> None:
        """Let the day counters start from 0."""
        self._day_start = self._forward()

    def _forward(self) -> dict[tuple[int | None, int | None], float]:
        return {
            (phase, tariff): self.ledger.energy("active_import", phase, tariff)
            for phase in (None, 1, 2, 3)
            for tariff in (None, *TARIFFS)
        }

    def set_code(self, register: Register, code: int) -> None:
        """Take a combination code by its name in `register`.

        The one that can never be changed again nets the phases from now on (PRO380
        manual 2.18-6, 7.11: C-10).
        """
        nets = register.write is not None and code in (register.write.final or ())
        if nets and not self._nets:
            energy = self.ledger.energy
            self._before_netting = {
                tariff: (
                    energy("active_import", None, tariff) - energy("net_import", None, tariff),
                    energy("active_export", None, tariff) - energy("net_export", None, tariff),
                )
                for tariff in TARIFFS
            }
        self._nets = nets
        self._meaning = register.choices.get(code, "forward only")

    def energy(self, field: str, phase: int | None, tariff: int | None) -> float:
        """Return kWh or kvarh of the data model's `field`."""
        if field == "day_counter":
            forward = self.ledger.energy("active_import", phase, tariff)
            return forward - self._day_start[phase, tariff]
        if field == "apparent":
            ways = ("apparent_import", "apparent_export")
            return sum(self.energy(way, phase, tariff) for way in ways)
        if field.startswith("apparent_"):  # no ledger has it: the least that it can be
            way = field.removeprefix("apparent_")
            return math.hypot(*(self.energy(f"{kind}_{way}", phase, tariff) for kind in _KINDS))
        if field in ("active", "reactive"):
            return self._shown(
                self.energy(f"{field}_import", phase, tariff),
                self.energy(f"{field}_export", phase, tariff),
            )
        if self._nets and phase is None and field in ("active_import", "active_export"):
            side = 0 if field == "active_import" else 1
            name = "net_import" if field == "active_import" else "net_export"
            return sum(
                self._before_netting[each][side] + self.ledger.energy(name, None, each)
                for each in (TARIFFS if tariff is None else (tariff,))
            )
        return self.ledger.energy(field, phase, tariff)

    def _shown(self, forward: float, reverse: float) -> float:
        """Return the display's total (PRO380 manual 2.18-6, 7.11)."""
        meaning = self._meaning
        if meaning.startswith("forward - reverse"):
            return forward - reverse
        return {
            "reverse only": reverse,
            "forward + reverse": forward + reverse,
            "reverse - forward": reverse - forward,
        }.get(meaning, forward)


def counter(register: Register, counters: Counters) -> float | None:
    """Return the counter that `register` shows, None when it is no counter."""
    if register.field not in _COUNTERS:
        return None
    return counters.energy(
        register.field, _PHASES.get(register.phase), _TARIFFS.get(register.tariff)
    )


def instant(register: Register, now: Snapshot, averages: bool = False) -> float | str | None:
    """Return what `register` measures, in its own unit; None when it measures nothing.

    A meter with `averages` has a mean voltage and a total current; others answer 0 there.
    """
    phase = _PHASES.get(register.phase)
    match register.field:
        case "voltage" if "-" in register.phase:
            one, other = register.phase.split("-")
            return now.voltage_between(_PHASES[one], _PHASES[other])
        case "voltage":
            mean = sum(now.voltage) / 3 if averages else 0.0
            return now.voltage[phase - 1] if phase else mean
        case "voltage_line":
            return sum(now.voltage_between(*pair) for pair in ((1, 2), (1, 3), (2, 3))) / 3
        case "neutral_current":
            return now.neutral_current()
        case "frequency":
            return now.frequency
        case "current" if phase is None and averages:
            return sum(now.current(each) for each in (1, 2, 3))
        case "current":
            return now.current(phase)
        case "active_power":
            return now.active_power(phase) / _scale(register)
        case "reactive_power":
            return now.reactive_power(phase) / _scale(register)
        case "apparent_power":
            return now.apparent_power(phase) / _scale(register)
        case "power_factor":
            return now.power_factor(phase)
        case "quadrant":
            return now.quadrant(None)
        case "quadrant_l1" | "quadrant_l2" | "quadrant_l3":
            return now.quadrant(int(register.field[-1]))
        case "direction_l1" | "direction_l2" | "direction_l3":
            number = int(register.field[-1])
            return f"{number}{'R' if now.flow[number - 1] < 0 else 'F'}"
        case _:
            return None


def _scale(register: Register) -> float:
    return float(SCALE.get(register.unit, 1))
