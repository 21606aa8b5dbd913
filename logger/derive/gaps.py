"""What is known of the gaps of each meter, and how that is kept across restarts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from logger.derive.info import SavedState, finite, whole


@dataclass(slots=True)
class Gap:
    """A time without readings of one meter, and what is known of it so far."""

    from_ms: int
    to_ms: int
    energy: list[float]  # import and export before
    asked: bool = False  # the power-down counter was read since
    mains: bool = False
    now: list[float] = field(default_factory=list)  # import and export after

    def moved(self) -> list[float]:
        """Return what import and export moved over the gap, kWh; empty when it is not known."""
        if len(self.energy) != 2 or len(self.now) != 2:
            return []
        moved = [after - before for before, after in zip(self.energy, self.now, strict=True)]
        return moved if min(moved) >= 0 else []

    @classmethod
    def restored(cls, saved: SavedState) -> Self:
        return cls(
            from_ms=whole(saved["from_ms"]),
            to_ms=whole(saved["to_ms"]),
            energy=[finite(value) for value in saved["energy"]],
            asked=bool(saved["asked"]),
            mains=bool(saved["mains"]),
            now=[finite(value) for value in saved["now"]],
        )


@dataclass(slots=True)
class MeterRecord:
    heard_ms: int | None = None
    measured_ms: int | None = None  # the last measured values: a meter may answer without
    refused_ms: int | None = None  # the last refusal: an answer, too
    silent_ms: int | None = None  # since when, if an event has begun
    serial: str = ""
    downs: int | None = None
    energy: list[float] = field(default_factory=list)
    gap: Gap | None = None

    def known(self) -> tuple[bool, bool, bool]:
        """Return what is known that a gap can be explained by, however old it is."""
        return self.heard_ms is not None, self.downs is not None, bool(self.energy)

    @classmethod
    def restored(cls, saved: SavedState) -> Self:
        """Take up what was saved. Raises KeyError, TypeError or ValueError."""
        return cls(
            heard_ms=_maybe(saved["heard_ms"]),
            measured_ms=_maybe(saved.get("measured_ms", saved["heard_ms"])),
            silent_ms=_maybe(saved["silent_ms"]),
            serial=str(saved["serial"]),
            downs=_maybe(saved["downs"]),
            energy=[finite(value) for value in saved["energy"]],
            gap=None if saved["gap"] is None else Gap.restored(saved["gap"]),
        )


@dataclass(slots=True)
class Restart:
    """The logger itself was off; the meters tell whether the mains were, too.

    `waiting` are the meters that have not told yet, `unheard` those of them that were not
    heard since.
    """

    from_ms: int
    to_ms: int
    waiting: set[str]
    unheard: set[str]
    mains: bool = False
    reported: list[str] = field(default_factory=list)
    drawn: float = 0.0


def _maybe(value: object) -> int | None:
    return None if value is None else whole(value)
