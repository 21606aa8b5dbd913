"""Events of the grid: voltage, phases, frequency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from logger.config.derive import Events
from logger.derive.episode import Episode, Rule
from logger.derive.events import EventKind, event, span
from logger.derive.info import MeterInfo, SavedState
from logger.domain.records import Event, FrequencyWindow, Sample, VoltageWindow
from logger.domain.wiring import LINE_PHASES, SQRT3

_FOREVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class _Text:
    """The words for one kind: of what, and beyond which limit."""

    what: str
    unit: str
    limit: float
    beyond: str  # "above" or "below"


class GridEvents:
    """Watches samples and quality windows; gives events when something begins or ends."""

    def __init__(self, meters: Mapping[str, MeterInfo], config: Events) -> None:
        self._meters, self._config = meters, config
        self._episodes: dict[tuple[EventKind, str, str], Episode] = {}
        # All meters share one grid frequency; one of them is enough.
        grid = [info.name for info in meters.values() if info.role == "grid"]
        self._frequency_meter = (grid or [*meters, ""])[0]
        self._rules = {False: self._voltage_rules(1.0), True: self._voltage_rules(SQRT3)}
        high, low, band = (
            config.frequency_high,
            config.frequency_low,
            config.frequency_hysteresis,
        )
        self._frequency_rules = {
            EventKind.FREQUENCY_HIGH: _above(high, band, "frequency (mean of 10 s)", "Hz"),
            EventKind.FREQUENCY_LOW: _below(low, band, "frequency (mean of 10 s)", "Hz"),
        }

    def _voltage_rules(self, factor: float) -> dict[EventKind, tuple[Rule, _Text]]:
        config = self._config
        band = config.voltage_hysteresis * factor
        ten = "voltage (mean of 10 min)"
        often = (config.samples, round(config.min_duration * 1000))
        lost = config.phase_lost_below * factor
        low_sample = config.voltage_low_sample * factor
        back = low_sample + band
        low = Rule(lambda v: lost <= v < low_sample, lambda v: v >= back or v < lost, min, *often)
        return {
            EventKind.VOLTAGE_HIGH: _above(config.voltage_high * factor, band, ten, "V"),
            EventKind.VOLTAGE_LOW: _below(config.voltage_low * factor, band, ten, "V"),
            EventKind.VOLTAGE_HIGH_SAMPLE: _above(
                config.voltage_high_sample * factor, band, "voltage", "V", often
            ),
            EventKind.VOLTAGE_LOW_SAMPLE: (low, _Text("voltage", "V", low_sample, "below")),
            EventKind.PHASE_LOST: _below(lost, band, "phase lost, voltage", "V", often),
        }

    def feed(self, meter: str, taken_ms: int, samples: Mapping[str, Sample]) -> list[Event]:
        """Take the samples of one fast reading, by phase."""
        info = self._meters[meter]
        found: list[Event] = []
        for phase in info.phases:
            sample = samples.get(phase)
            value = sample.values.get("voltage") if sample is not None else None
            if value is None:
                continue
            volts = float(value)
            for kind in (
                EventKind.VOLTAGE_HIGH_SAMPLE,
                EventKind.VOLTAGE_LOW_SAMPLE,
                EventKind.PHASE_LOST,
            ):
                rule, text = self._rules[phase in LINE_PHASES][kind]
                episode = self._episodes.get((kind, meter, phase))
                if episode is None:
                    if not rule.bad(volts):
                        continue
                    episode = self._episodes[(kind, meter, phase)] = Episode()
                found += self._judge(
                    kind, info, phase, (rule, text), episode, volts, taken_ms, 3 * info.fast_ms
                )
        return found

    def window(self, window: VoltageWindow | FrequencyWindow) -> list[Event]:
        """Take a closed quality window. One that is not valid says nothing."""
        if not window.valid:
            return []
        info = self._meters[window.meter]
        if isinstance(window, FrequencyWindow):
            if info.name != self._frequency_meter:
                return []
            rules, phase, low = self._frequency_rules, "", 0.0
        else:
            phase, low = window.phase, window.low
            rules = self._rules[phase in LINE_PHASES]
        found: list[Event] = []
        kinds = (
            EventKind.FREQUENCY_HIGH,
            EventKind.FREQUENCY_LOW,
            EventKind.VOLTAGE_HIGH,
            EventKind.VOLTAGE_LOW,
        )
        for kind in kinds:
            if kind not in rules:
                continue
            rule, text = rules[kind]
            # A lost phase is reported as such; its mean says nothing about the grid.
            if kind is EventKind.VOLTAGE_LOW and self._rules[phase in LINE_PHASES][
                EventKind.PHASE_LOST
            ][0].bad(low):
                continue
            episode = self._episodes.get((kind, info.name, phase))
            if episode is None:
                if not rule.bad(window.mean):
                    continue
                episode = self._episodes[(kind, info.name, phase)] = Episode()
            found += self._judge(
                kind, info, phase, (rule, text), episode, window.mean, window.at_ms, _FOREVER_MS
            )
        return found

    def _judge(
        self,
        kind: EventKind,
        info: MeterInfo,
        phase: str,
        rule: tuple[Rule, _Text],
        episode: Episode,
        value: float,
        at_ms: int,
        gap_ms: int,
    ) -> list[Event]:
        began_ms = episode.active_ms
        change = episode.judge(rule[0], value, at_ms, gap_ms)
        where = f"{info.name}, {phase}" if phase else info.name
        text = rule[1]
        worst = f"{episode.extreme:.2f}" if text.unit == "Hz" else f"{episode.extreme:.1f}"
        if change == "begin" and episode.active_ms is not None:
            words = (
                f"{where}: {text.what} {worst} {text.unit} is {text.beyond} "
                f"{text.limit:g} {text.unit}"
            )
            return [
                event(
                    kind, "begin", episode.active_ms, words,
                    info=info, phase=phase, extreme=episode.extreme,
                )
            ]  # fmt: skip
        if change == "end" and began_ms is not None:
            del self._episodes[(kind, info.name, phase)]
            duration = (episode.since_ms - began_ms) / 1000
            farthest = "highest" if text.beyond == "above" else "lowest"
            words = (
                f"{where}: {text.what} was {text.beyond} {text.limit:g} {text.unit} for "
                f"{span(duration)}, {farthest} {worst} {text.unit}"
            )
            return [
                event(
                    kind, "end", episode.since_ms, words, info=info,
                    phase=phase, duration_s=duration, extreme=episode.extreme,
                )
            ]  # fmt: skip
        if episode.idle:
            del self._episodes[(kind, info.name, phase)]
        return []

    def clock_step(self, size_ms: int) -> None:
        """Take note that the clock was moved: what has begun keeps its length."""
        for episode in self._episodes.values():
            if episode.active_ms is not None:
                episode.active_ms += size_ms
            episode.count = 0

    def state(self) -> SavedState:
        """Return what has begun, as JSON can hold it."""
        return {"|".join(key): episode.state() for key, episode in self._episodes.items()}

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made; meters that are gone are forgotten."""
        for key, saved in state.items():
            kind, rest = key.split("|", 1)
            meter, phase = rest.rsplit("|", 1)
            if meter in self._meters:
                self._episodes[(EventKind(kind), meter, phase)] = Episode.restored(saved)


def _above(
    limit: float, band: float, what: str, unit: str, often: tuple[int, int] = (1, 0)
) -> tuple[Rule, _Text]:
    back = limit - band
    rule = Rule(lambda v: v > limit, lambda v: v <= back, max, *often)
    return rule, _Text(what, unit, limit, "above")


def _below(
    limit: float, band: float, what: str, unit: str, often: tuple[int, int] = (1, 0)
) -> tuple[Rule, _Text]:
    back = limit + band
    rule = Rule(lambda v: v < limit, lambda v: v >= back, min, *often)
    return rule, _Text(what, unit, limit, "below")
