"""Events of life and death: a meter is silent, the mains were off, the logger was.

After a gap the meter's power-down counter decides: it rose, so the meter itself was
without supply; it did not, so only nobody listened. What the counters moved meanwhile
is told with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal

from logger.config.derive import Events
from logger.derive.about import About, State, finite, whole
from logger.derive.kinds import Kind, event, span
from logger.lineprotocol import Point
from logger.meters.register import Job
from logger.reading import Reading

_IMPORT, _EXPORT = "active_import/total/total", "active_export/total/total"
# How long to wait after a gap for the identity and the counters.
_VERDICT_MS = 900_000


@dataclass(slots=True)
class _Gap:
    """A time without readings of one meter, and what is known of it so far."""

    from_ms: int
    to_ms: int
    energy: list[float]  # import and export before
    asked: bool = False  # the power-down counter was read since
    mains: bool = False
    now: list[float] = field(default_factory=list)  # import and export after


@dataclass(slots=True)
class _Life:
    heard_ms: int | None = None
    measured_ms: int | None = None  # the last measured values: a meter may answer without
    refused_ms: int | None = None  # the last refusal: an answer, too
    silent_ms: int | None = None  # since when, if an event has begun
    serial: str = ""
    downs: int | None = None
    energy: list[float] = field(default_factory=list)
    gap: _Gap | None = None


@dataclass(slots=True)
class _Restart:
    """The logger itself was off; the meters tell whether the mains were, too."""

    from_ms: int
    to_ms: int
    waiting: set[str]
    mains: bool = False
    told: list[str] = field(default_factory=list)
    drawn: float = 0.0


class Life:
    """Watches that every meter is heard, and explains the gaps."""

    def __init__(self, meters: Mapping[str, About], site: str, config: Events) -> None:
        self._meters, self._site, self._config = meters, site, config
        self._lives = {name: _Life() for name in meters}
        self._started_ms: int | None = None
        self._alive_ms: int | None = None  # the last sign of life before a restart
        self._restart: _Restart | None = None

    def wanted(self) -> set[str]:
        """Return the meters whose identity would settle a question."""
        return {
            name
            for name, life in self._lives.items()
            if life.gap is not None and not life.gap.asked
        }

    def limit_ms(self, about: About) -> int:
        """Return after how long without an answer a meter is silent."""
        return max(round(self._config.silent_after * 1000), 3 * about.fast_ms)

    def refused(self, reading: Reading) -> None:
        """Take a reading without values whose meter answers, but only to refuse."""
        self._lives[reading.meter].refused_ms = reading.taken_ms

    def heard(self, reading: Reading) -> list[Point]:
        """Take any reading with values, with its counters already believed."""
        self._begin(reading.taken_ms if self._started_ms is None else self._started_ms)
        about, life = self._meters[reading.meter], self._lives[reading.meter]
        found: list[Point] = []
        at_ms = reading.taken_ms
        before_ms = life.heard_ms
        if before_ms is not None and at_ms - before_ms > self.limit_ms(about):
            if life.gap is not None:  # never explained, and now it cannot be any more
                found += self._settle(about, life)
            life.gap = _Gap(before_ms, at_ms, list(life.energy))
        measured = reading.job is Job.FAST or not about.model.of_job(Job.FAST)
        if measured:
            life.measured_ms = max(at_ms, life.measured_ms or 0)
        if measured and life.silent_ms is not None:
            seconds = (at_ms - life.silent_ms) / 1000
            text = f"{about.name}: answers again after {span(seconds)}"
            found.append(self._event(Kind.METER_SILENT, "end", at_ms, text, about, seconds))
            life.silent_ms = None
        life.heard_ms = max(at_ms, before_ms or 0)
        found += self._identity(about, life, reading)
        energy = [reading.values.get(key) for key in (_IMPORT, _EXPORT)]
        if all(isinstance(value, Decimal) for value in energy):
            life.energy = [float(value) for value in energy if isinstance(value, Decimal)]
            if life.gap is not None:
                life.gap.now = life.energy
        if life.gap is not None and life.gap.asked and life.gap.now:
            found += self._settle(about, life)
        return found

    def _identity(self, about: About, life: _Life, reading: Reading) -> list[Point]:
        serial = str(reading.values.get("serial", life.serial))
        downs = reading.values.get("power_down_count")
        if life.gap is not None and reading.job is Job.IDENTITY:
            life.gap.asked = True  # even if the meter has no such counter
        if not isinstance(downs, int):
            return []
        rose = 0
        if serial == life.serial and life.downs is not None:
            rose = max(0, downs - life.downs)
        life.serial, life.downs = serial, downs
        if life.gap is not None:
            life.gap.mains |= rose > 0
            return []
        if not rose:
            return []
        times = "once" if rose == 1 else f"{rose} times"
        text = f"{about.name}: lost its supply {times} for a moment, since its last report"
        return [self._event(Kind.MAINS_OUTAGE, "end", reading.taken_ms, text, about, 0.0)]

    def _settle(self, about: About, life: _Life) -> list[Point]:
        """Say what the gap of one meter was."""
        gap = life.gap
        assert gap is not None
        life.gap = None
        moved = _moved(gap)
        found: list[Point] = []
        seconds = (gap.to_ms - gap.from_ms) / 1000
        if gap.mains:
            text = f"{about.name}: the mains were off for up to {span(seconds)}{_told(moved)}"
            begin = f"{about.name}: the mains went off"
            found = [
                self._event(Kind.MAINS_OUTAGE, "begin", gap.from_ms, begin, about),
                self._event(Kind.MAINS_OUTAGE, "end", gap.to_ms, text, about, seconds, moved[:1]),
            ]
        restart = self._restart
        if restart is not None and about.name in restart.waiting:
            restart.waiting.discard(about.name)
            restart.mains |= gap.mains
            if moved:
                restart.drawn += moved[0]
                restart.told.append(f"{about.name}{_told(moved)}")
            if not restart.waiting:
                found += self._explain(restart)
        return found

    def _explain(self, restart: _Restart) -> list[Point]:
        self._restart = None
        if restart.mains:  # told meter by meter
            return []
        seconds = (restart.to_ms - restart.from_ms) / 1000
        counted = f"; {'; '.join(restart.told)}" if restart.told else ""
        text = f"nothing was read for {span(seconds)}, the meters were on{counted}"
        begin = f"the logger read nothing for {span(seconds)} from here on"
        kind, drawn = Kind.LOGGER_OUTAGE, [restart.drawn] if restart.told else []
        return [
            self._event(kind, "begin", restart.from_ms, begin),
            self._event(kind, "end", restart.to_ms, text, None, seconds, drawn),
        ]

    def tick(self, now_ms: int) -> list[Point]:
        """Look who has been silent for too long, and end what nobody will explain."""
        if self._started_ms is None:
            self._started_ms = now_ms
        found: list[Point] = []
        for name, life in self._lives.items():
            about = self._meters[name]
            if life.gap is not None and now_ms - life.gap.to_ms > _VERDICT_MS:
                found += self._settle(about, life)
            last = max(life.measured_ms or 0, self._started_ms)
            if life.silent_ms is None and now_ms - last > self.limit_ms(about):
                life.silent_ms = last
                signs = {life.heard_ms, life.refused_ms} - {None, life.measured_ms}
                answers = any(at is not None and at >= last for at in signs)
                what = "answers, but no measured value" if answers else "no answer"
                text = f"{name}: {what} for {span((now_ms - last) / 1000)}"
                found.append(self._event(Kind.METER_SILENT, "begin", last, text, about))
        restart = self._restart
        if restart is not None and now_ms - restart.to_ms > _VERDICT_MS:
            found += self._explain(restart)
        return found

    def _begin(self, at_ms: int) -> None:
        """Note the beginning of this run at its first reading: was the logger off before?"""
        self._started_ms = at_ms
        if self._alive_ms is None:
            return
        alive_ms, self._alive_ms = self._alive_ms, None
        limits = [self.limit_ms(about) for about in self._meters.values()]
        if at_ms - alive_ms > min(limits, default=0):
            waiting = {
                name
                for name, life in self._lives.items()
                if life.silent_ms is None and life.heard_ms is not None
            }
            self._restart = _Restart(alive_ms, at_ms, waiting)

    def _event(
        self,
        kind: Kind,
        state: str,
        at_ms: int,
        text: str,
        about: About | None = None,
        duration_s: float = 0.0,
        extreme: list[float] | None = None,
    ) -> Point:
        worst = extreme[0] if extreme else None
        return event(
            self._site, kind, state, at_ms, text,
            about=about, duration_s=duration_s, extreme=worst,
        )  # fmt: skip

    def clock_step(self, size_ms: int) -> None:
        """Take note that the clock was moved: nobody was silent for that."""
        if self._started_ms is not None:
            self._started_ms += size_ms
        for life in self._lives.values():
            if life.heard_ms is not None:
                life.heard_ms += size_ms
            if life.measured_ms is not None:
                life.measured_ms += size_ms
            if life.silent_ms is not None:
                life.silent_ms += size_ms

    def state(self) -> State:
        """Return what is known of every meter, as JSON can hold it."""
        return {name: asdict(life) for name, life in self._lives.items()}

    def restore(self, state: State, alive_ms: int | None = None) -> None:
        """Take up where `state` was made. `alive_ms` is the newest point in the buffer:
        the logger was alive at least until then, and so were the meters it heard."""
        for name, saved in state.items():
            if name not in self._lives:
                continue
            life = _Life(
                heard_ms=_maybe(saved["heard_ms"]),
                measured_ms=_maybe(saved.get("measured_ms", saved["heard_ms"])),
                silent_ms=_maybe(saved["silent_ms"]),
                serial=str(saved["serial"]),
                downs=_maybe(saved["downs"]),
                energy=[finite(value) for value in saved["energy"]],
                gap=None if saved["gap"] is None else _restored(saved["gap"]),
            )
            if alive_ms is not None and life.heard_ms is not None and life.silent_ms is None:
                life.heard_ms = max(life.heard_ms, alive_ms)
                life.measured_ms = max(life.measured_ms or 0, alive_ms)
            self._lives[name] = life
        heard = [life.heard_ms for life in self._lives.values() if life.heard_ms is not None]
        self._alive_ms = max(heard, default=None)


def _maybe(value: object) -> int | None:
    return None if value is None else whole(value)


def _restored(saved: State) -> _Gap:
    return _Gap(
        from_ms=whole(saved["from_ms"]),
        to_ms=whole(saved["to_ms"]),
        energy=[finite(value) for value in saved["energy"]],
        asked=bool(saved["asked"]),
        mains=bool(saved["mains"]),
        now=[finite(value) for value in saved["now"]],
    )


def _moved(gap: _Gap) -> list[float]:
    """Return what import and export moved over the gap; empty when it is not known."""
    if len(gap.energy) != 2 or len(gap.now) != 2:
        return []
    moved = [after - before for before, after in zip(gap.energy, gap.now, strict=True)]
    return moved if min(moved) >= 0 else []


def _told(moved: list[float]) -> str:
    return f": {moved[0]:.2f} kWh drawn, {moved[1]:.2f} kWh fed back meanwhile" if moved else ""
