"""Events about settings and the machine: tariff, codes, counters, clock, buffer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from logger.config.derive import Events
from logger.derive.clock import Step
from logger.derive.events import EventKind, event, span
from logger.derive.info import MeterInfo, SavedState, finite, values_by_meter, whole
from logger.derive.registers import Break, GuardResult
from logger.domain.quantity import CT_RATIO, IMPORT_TOTAL, TARIFF, Quantity
from logger.domain.records import Event
from logger.meter.reading import Reading
from logger.models.register import Value

_FACTS = {
    TARIFF: (EventKind.TARIFF_SWITCHED, "tariff"),
    Quantity("combination_code"): (EventKind.COMBINATION_CODE_CHANGED, "combination code"),
    CT_RATIO: (EventKind.CT_RATIO_CHANGED, "CT ratio"),
}
_BUFFER_BAND = 0.05


class SettingsWatch:
    """Compares what meters and machine report with what they reported before."""

    def __init__(self, meters: Mapping[str, MeterInfo], config: Events) -> None:
        self._meters, self._config = meters, config
        self._known: dict[str, dict[str, Value]] = {}
        self._full_ms: int | None = None
        self._fullest = 0.0

    def feed(self, reading: Reading) -> list[Event]:
        """Return an event for each setting that changed since the last reading."""
        found = []
        for quantity, (kind, words) in _FACTS.items():
            value = reading.values.get(quantity)
            if value is None:
                continue
            known = self._known.setdefault(reading.meter, {})
            before = known.get(quantity.field)
            known[quantity.field] = value
            if before is None or before == value:
                continue
            extreme = float(value) if isinstance(value, int) else None
            text = f"{reading.meter}: {words} changed from {before} to {value}"
            found.append(self._event(kind, reading.taken_ms, text, reading.meter, extreme))
        return found

    def verdict(self, verdict: GuardResult) -> list[Event]:
        """Return the event for counters that went on from other values."""
        swapped = verdict.swapped
        moved = [found for found in verdict.breaks if found.before != found.after]
        shown = sorted(
            moved, key=lambda found: (found.quantity != IMPORT_TOTAL, str(found.quantity))
        )
        if swapped:
            text = (
                f"{verdict.meter}: meter {verdict.serials[0]} was replaced by "
                f"{verdict.serials[1]}{_list(shown)}"
            )
        else:
            text = f"{verdict.meter}: counters went on from other values{_list(shown)}"
        imports = [found.before for found in verdict.breaks if found.quantity == IMPORT_TOTAL]
        kind = EventKind.METER_SWAPPED if swapped else EventKind.COUNTER_RESET
        extreme = float(imports[0]) if imports else None
        return [self._event(kind, verdict.at_ms, text, verdict.meter, extreme)]

    def clock_step(self, step: Step) -> list[Event]:
        """Return the event for a step of the clock, stamped with the new time."""
        size = step.size_ms / 1000
        way = "forward" if size > 0 else "back"
        what = "the clock was not set at the start; it went" if step.first else "the clock went"
        text = f"{what} {way} by {span(abs(size))}, from {_utc(step.from_ms)} to {_utc(step.to_ms)}"
        return [self._event(EventKind.CLOCK_STEP, step.to_ms, text, "", size)]

    def buffer(self, share: float, now_ms: int) -> list[Event]:
        """Return an event when the buffer has become nearly full, or is no longer.

        `share` is the part of its limit in use, 0..1.
        """
        limit = self._config.buffer_share
        if self._full_ms is None:
            if share < limit:
                return []
            self._full_ms, self._fullest = now_ms, share
            text = f"the buffer is {share:.0%} full"
            return [
                event(
                    EventKind.BUFFER_NEAR_LIMIT, "begin", now_ms, text,
                    extreme=100 * share,
                )
            ]  # fmt: skip
        self._fullest = max(self._fullest, share)
        if share >= limit - _BUFFER_BAND:
            return []
        seconds = (now_ms - self._full_ms) / 1000
        text = f"the buffer was nearly full for {span(seconds)}, at most {self._fullest:.0%}"
        self._full_ms = None
        return [
            event(
                EventKind.BUFFER_NEAR_LIMIT, "end", now_ms, text,
                duration_s=seconds, extreme=100 * self._fullest,
            )
        ]  # fmt: skip

    def damaged(self, text: str, lost: int | None, at_ms: int) -> list[Event]:
        """Return the event for damage of the buffer file that was mended; `lost` in points,
        None where that is not known."""
        count = None if lost is None else float(lost)
        return [self._event(EventKind.BUFFER_DAMAGED, at_ms, f"buffer: {text}", "", count)]

    def _event(
        self, kind: EventKind, at_ms: int, text: str, meter: str, extreme: float | None
    ) -> Event:
        info = self._meters.get(meter)
        return event(kind, "end", at_ms, text, info=info, extreme=extreme)

    def state(self) -> SavedState:
        """Return what is known, as JSON can hold it."""
        return {
            "known": {name: dict(known) for name, known in self._known.items()},
            "full": [self._full_ms, self._fullest],
        }

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made."""
        self._known = values_by_meter(state["known"])
        full, fullest = state["full"]
        self._full_ms = None if full is None else whole(full)
        self._fullest = finite(fullest)


def _list(breaks: list[Break]) -> str:
    first = [f"{found.quantity}: {found.before} to {found.after}" for found in breaks[:2]]
    more = f", and {len(breaks) - 2} more" if len(breaks) > 2 else ""
    return f" ({', '.join(first)}{more})" if first else ""


def _utc(stamp_ms: int) -> str:
    return f"{datetime.fromtimestamp(stamp_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
