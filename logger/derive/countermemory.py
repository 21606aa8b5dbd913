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
    """The last good value of a counter."""

    value: Decimal | None = None
    at_ms: int = 0
    foreign: bool = False  # `value` is of a meter that was here before


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
    held: dict[Quantity, list[Held]] = field(default_factory=dict)  # values not believed yet
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
                    [
                        [held.taken_ms, held.round_ms, str(held.value)]
                        for held in self.held.get(quantity, ())
                    ],
                ]
                for quantity, counter in self.counters.items()
            },
            "fits": {name: [str(fit.residual), fit.stable] for name, fit in self.fits.items()},
        }

    @classmethod
    def restored(cls, saved: SavedState) -> MeterMemory:
        """Return the memory of which `saved` was made."""
        held = {
            Quantity.parse(text): [Held(whole(t), whole(r), exact(v)) for t, r, v in held]
            for text, (_, _, _, held) in saved["counters"].items()
        }
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
                )
                for text, (value, at_ms, foreign, _) in saved["counters"].items()
            },
            held={quantity: values for quantity, values in held.items() if values},
            fits={
                name: Fit(exact(residual), whole(n))
                for name, (residual, n) in saved["fits"].items()
            },
        )
