"""What the counter guard remembers of each meter. Records that JSON can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from logger.derive.info import SavedState, exact, finite, whole
from logger.domain.quantity import Quantity


@dataclass(slots=True)
class Held:
    """One value of one counter that is not believed yet."""

    taken_ms: int
    round_ms: int
    value: Decimal


@dataclass(slots=True)
class CounterMemory:
    """The last good value of a counter and those not believed yet."""

    value: Decimal | None = None
    at_ms: int = 0
    foreign: bool = False  # `value` is of a meter that was here before
    held: list[Held] = field(default_factory=list)


@dataclass(slots=True)
class Fit:
    """How well a sum has held: its residual, and for how many readings in a row."""

    residual: Decimal
    stable: int


@dataclass(slots=True)
class MeterMemory:
    """All that is known of one meter's counters."""

    serial: str = ""
    former: str = ""  # the serial number before the last swap
    reported: bool = True  # whether that swap was reported
    amps: float | None = None
    counters: dict[Quantity, CounterMemory] = field(default_factory=dict)
    fits: dict[str, Fit] = field(default_factory=dict)

    def state(self) -> SavedState:
        """Return it as JSON can hold it."""
        return {
            "serial": self.serial,
            "former": self.former,
            "told": self.reported,
            "amps": self.amps,
            "counters": {
                str(quantity): [
                    None if counter.value is None else str(counter.value),
                    counter.at_ms,
                    counter.foreign,
                    [[held.taken_ms, held.round_ms, str(held.value)] for held in counter.held],
                ]
                for quantity, counter in self.counters.items()
            },
            "fits": {name: [str(fit.residual), fit.stable] for name, fit in self.fits.items()},
        }

    @classmethod
    def restored(cls, saved: SavedState) -> MeterMemory:
        """Return the memory of which `saved` was made."""
        return cls(
            serial=str(saved["serial"]),
            former=str(saved["former"]),
            reported=bool(saved["told"]),
            amps=None if saved["amps"] is None else finite(saved["amps"]),
            counters={
                Quantity.parse(text): CounterMemory(
                    None if value is None else exact(value),
                    whole(at_ms),
                    bool(foreign),
                    [Held(whole(t), whole(r), exact(v)) for t, r, v in held],
                )
                for text, (value, at_ms, foreign, held) in saved["counters"].items()
            },
            fits={
                name: Fit(exact(residual), whole(n))
                for name, (residual, n) in saved["fits"].items()
            },
        )
