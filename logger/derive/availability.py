"""Events about gaps: a meter is silent, the mains were off, the logger was off.

After a gap the meter's power-down counter decides: it rose, so the meter itself was
without supply; if not, only the logger was off. That one is told from the third fast job
that it missed: nobody else would say so. The event also says by how much the
counters rose meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from logger.config.derive import Events
from logger.derive.events import EventKind, event, span
from logger.derive.gaps import Gap, MeterRecord, Restart
from logger.derive.info import MeterInfo, SavedState
from logger.domain.quantity import EXPORT_TOTAL, IMPORT_TOTAL, SERIAL, Quantity
from logger.domain.records import Event
from logger.meter.reading import Reading
from logger.models.register import Job

_POWER_DOWNS = Quantity("power_down_count")
# How long to wait after a gap for the identity and the counters.
_VERDICT_MS = 900_000
# Fast jobs without an answer that are no accident.
_MISSED = 3


class Availability:
    """Watches that every meter is heard, and explains the gaps."""

    def __init__(self, meters: Mapping[str, MeterInfo], config: Events) -> None:
        self._meters = meters
        self._silent_after_ms = round(config.silent_after * 1000)
        self._records = {name: MeterRecord() for name in meters}
        self._started_ms: int | None = None
        self._alive_ms: int | None = None  # the last sign of life before a restart
        self._restart: Restart | None = None
        self.learnt = False  # whether something is known of a meter for the first time

    def wanted(self) -> set[str]:
        """Return the meters whose identity job would explain a gap."""
        return {
            name
            for name, record in self._records.items()
            if record.gap is not None and not record.gap.asked
        }

    def limit_ms(self, info: MeterInfo) -> int:
        """Return after how long without an answer a meter is silent."""
        return max(self._silent_after_ms, _MISSED * info.fast_ms)

    def _gap_ms(self, info: MeterInfo) -> int:
        """Return from which time without an answer on there is something to explain: when the
        logger was off, whatever that took."""
        restart = self._restart
        if restart is not None and info.name in restart.unheard:
            restart.unheard.discard(info.name)
            return 0
        return self.limit_ms(info)

    def refused(self, reading: Reading) -> None:
        """Take a reading without values whose meter answers, but only to refuse."""
        self._records[reading.meter].refused_ms = reading.taken_ms

    def heard(self, reading: Reading) -> list[Event]:
        """Take any reading with values, with its counters already believed."""
        self._begin(reading.taken_ms if self._started_ms is None else self._started_ms)
        info, record = self._meters[reading.meter], self._records[reading.meter]
        found: list[Event] = []
        known = record.known()
        at_ms = reading.taken_ms
        before_ms = record.heard_ms
        if before_ms is not None and at_ms - before_ms > self._gap_ms(info):
            if record.gap is not None:  # never explained, and now it cannot be any more
                found += self._settle(info, record)
            record.gap = Gap(before_ms, at_ms, list(record.energy))
        measured = reading.job is Job.FAST or not info.model.of_job(Job.FAST)
        if measured:
            record.measured_ms = max(at_ms, record.measured_ms or 0)
        if measured and record.silent_ms is not None:
            seconds = (at_ms - record.silent_ms) / 1000
            text = f"{info.name}: answers again after {span(seconds)}"
            found.append(self._event(EventKind.METER_SILENT, "end", at_ms, text, info, seconds))
            record.silent_ms = None
        record.heard_ms = max(at_ms, before_ms or 0)
        found += self._identity(info, record, reading)
        energy = [reading.values.get(one) for one in (IMPORT_TOTAL, EXPORT_TOTAL)]
        if all(isinstance(value, Decimal) for value in energy):
            record.energy = [float(value) for value in energy if isinstance(value, Decimal)]
            if record.gap is not None:
                record.gap.now = record.energy
        if record.gap is not None and record.gap.asked and record.gap.now:
            found += self._settle(info, record)
        self.learnt |= record.known() != known
        return found

    def _identity(self, info: MeterInfo, record: MeterRecord, reading: Reading) -> list[Event]:
        serial = str(reading.values.get(SERIAL, record.serial))
        downs = reading.values.get(_POWER_DOWNS)
        if record.gap is not None and reading.job is Job.IDENTITY:
            record.gap.asked = True  # even if the meter has no such counter
        if not isinstance(downs, int):
            return []
        rose = 0
        if serial == record.serial and record.downs is not None:
            rose = max(0, downs - record.downs)
        record.serial, record.downs = serial, downs
        if record.gap is not None:
            record.gap.mains |= rose > 0
            return []
        if not rose:
            return []
        times = "once" if rose == 1 else f"{rose} times"
        text = f"{info.name}: lost its supply {times} for a moment, since its last report"
        return [self._event(EventKind.MAINS_OUTAGE, "end", reading.taken_ms, text, info, 0.0)]

    def _settle(self, info: MeterInfo, record: MeterRecord) -> list[Event]:
        """Say what the gap of one meter was."""
        gap = record.gap
        assert gap is not None
        record.gap = None
        moved = gap.moved()
        found: list[Event] = []
        seconds = (gap.to_ms - gap.from_ms) / 1000
        if gap.mains:
            text = f"{info.name}: the mains were off for up to {span(seconds)}{_reported(moved)}"
            begin = f"{info.name}: the mains went off"
            found = [
                self._event(EventKind.MAINS_OUTAGE, "begin", gap.from_ms, begin, info),
                self._event(
                    EventKind.MAINS_OUTAGE, "end", gap.to_ms, text, info, seconds, moved[:1]
                ),
            ]
        restart = self._restart
        # A gap from before the restart says nothing of it.
        if restart is not None and gap.to_ms > restart.from_ms and info.name in restart.waiting:
            restart.waiting.discard(info.name)
            restart.mains |= gap.mains
            if moved:
                restart.drawn += moved[0]
                restart.reported.append(f"{info.name}{_reported(moved)}")
            if not restart.waiting:
                found += self._explain(restart)
        return found

    def _explain(self, restart: Restart) -> list[Event]:
        self._restart = None
        if restart.mains:  # told meter by meter
            return []
        seconds = (restart.to_ms - restart.from_ms) / 1000
        counted = f"; {'; '.join(restart.reported)}" if restart.reported else ""
        text = f"nothing was read for {span(seconds)}, the meters were on{counted}"
        begin = f"the logger read nothing for {span(seconds)} from here on"
        kind, drawn = EventKind.LOGGER_OUTAGE, [restart.drawn] if restart.reported else []
        return [
            self._event(kind, "begin", restart.from_ms, begin),
            self._event(kind, "end", restart.to_ms, text, None, seconds, drawn),
        ]

    def tick(self, now_ms: int) -> list[Event]:
        """Begin events of meters that are silent for too long, end those that stay unexplained."""
        if self._started_ms is None:
            self._started_ms = now_ms
        found: list[Event] = []
        for name, record in self._records.items():
            info = self._meters[name]
            if record.gap is not None and now_ms - record.gap.to_ms > _VERDICT_MS:
                found += self._settle(info, record)
            last = max(record.measured_ms or 0, self._started_ms)
            if record.silent_ms is None and now_ms - last > self.limit_ms(info):
                record.silent_ms = last
                signs = {record.heard_ms, record.refused_ms} - {None, record.measured_ms}
                answers = any(at is not None and at >= last for at in signs)
                what = "answers, but no measured value" if answers else "no answer"
                text = f"{name}: {what} for {span((now_ms - last) / 1000)}"
                found.append(self._event(EventKind.METER_SILENT, "begin", last, text, info))
        restart = self._restart
        if restart is not None and now_ms - restart.to_ms > _VERDICT_MS:
            found += self._explain(restart)
        return found

    def _begin(self, at_ms: int) -> None:
        """Note the beginning of this run at its first reading: was the logger off before?

        It was when even the meter that is read most often missed readings. That a meter is
        silent says more and takes longer: the logger itself may just be starting again.
        """
        self._started_ms = at_ms
        if self._alive_ms is None:
            return
        alive_ms, self._alive_ms = self._alive_ms, None
        if at_ms - alive_ms > _MISSED * min(info.fast_ms for info in self._meters.values()):
            waiting = {
                name
                for name, record in self._records.items()
                if record.silent_ms is None and record.heard_ms is not None
            }
            self._restart = Restart(alive_ms, at_ms, waiting, set(waiting))

    def _event(
        self,
        kind: EventKind,
        state: str,
        at_ms: int,
        text: str,
        info: MeterInfo | None = None,
        duration_s: float = 0.0,
        extreme: list[float] | None = None,
    ) -> Event:
        worst = extreme[0] if extreme else None
        return event(
            kind, state, at_ms, text,
            info=info, duration_s=duration_s, extreme=worst,
        )  # fmt: skip

    def clock_step(self, size_ms: int) -> None:
        """Take note that the clock was moved: nobody was silent for that."""
        if self._started_ms is not None:
            self._started_ms += size_ms
        for record in self._records.values():
            if record.heard_ms is not None:
                record.heard_ms += size_ms
            if record.measured_ms is not None:
                record.measured_ms += size_ms
            if record.silent_ms is not None:
                record.silent_ms += size_ms

    def state(self) -> SavedState:
        """Return what is known of every meter, as JSON can hold it; it is no news from then on."""
        self.learnt = False
        return {name: asdict(record) for name, record in self._records.items()}

    def restore(self, state: SavedState, alive_ms: int | None = None) -> None:
        """Take up where `state` was made. `alive_ms` is the newest point in the buffer:
        the logger was alive at least until then, and so were the meters it heard."""
        for name, saved in state.items():
            if name not in self._records:
                continue
            record = MeterRecord.restored(saved)
            if alive_ms is not None and record.heard_ms is not None and record.silent_ms is None:
                record.heard_ms = max(record.heard_ms, alive_ms)
                record.measured_ms = max(record.measured_ms or 0, alive_ms)
            self._records[name] = record
        heard = [
            record.heard_ms for record in self._records.values() if record.heard_ms is not None
        ]
        self._alive_ms = max(heard, default=None)


def _reported(moved: list[float]) -> str:
    return f": {moved[0]:.2f} kWh drawn, {moved[1]:.2f} kWh fed back meanwhile" if moved else ""
