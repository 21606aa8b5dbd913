"""The demand of the quarter hour that runs, its forecast, and a warning before its limit.

    demand           netted import since the quarter began / 0.25 h; rises to the quarter's
    demand_forecast  (import so far + power of late x time that is left) / 0.25 h

The event `demand_high` begins when the forecast is above the limit and the limit will be
passed within `demand_lead`; it ends when the forecast is well below the limit again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from logger.config.derive import Events
from logger.derive.energyquarters import EnergyQuarters
from logger.derive.events import EventKind, event, span
from logger.derive.info import MeterInfo, SavedState, finite, whole
from logger.domain import balance
from logger.domain.limits import DEMAND_STEP_MS, QUARTER_MS
from logger.domain.netting import DEMAND_FIELDS
from logger.domain.netting import demand as demand_of
from logger.domain.records import Event, SiteFlow

_BACK = 0.95  # of the limit: below it the event ends


@dataclass(frozen=True, slots=True)
class Running:
    """The quarter hour that runs, as of `at_ms`: energy drawn so far, kWh, and power, kW."""

    at_ms: int
    start_ms: int
    drawn: float
    recent_kw: float

    @property
    def demand(self) -> float:
        """What the energy so far is as mean power of the whole quarter, kW."""
        return demand_of(self.drawn)

    @property
    def forecast(self) -> float:
        """What the demand comes to if the power stays, kW."""
        left_ms = self.start_ms + QUARTER_MS - self.at_ms
        return self.demand + self.recent_kw * left_ms / QUARTER_MS

    def passes_in_ms(self, limit_kw: float) -> float:
        """Return the time until the demand passes a limit that the forecast is above."""
        if self.demand >= limit_kw:
            return 0.0
        return (limit_kw - self.demand) * QUARTER_MS / self.recent_kw


class LiveDemand:
    """Watches the demand at the grid meter, if there is exactly one."""

    def __init__(self, meters: Iterable[MeterInfo], config: Events) -> None:
        known = list(meters)
        there = balance.has_demand([info.role for info in known])
        self._info = next(info for info in known if info.role == "grid") if there else None
        self._limit, self._lead_ms = config.demand_high, config.demand_lead * 1000
        self._given_ms = 0
        self._began_ms: int | None = None
        self._highest = 0.0

    def feed(self, meter: str, at_ms: int, quarters: EnergyQuarters) -> list[SiteFlow | Event]:
        """Return what there is to say after a reading of the power of `meter`."""
        if self._info is None or meter != self._info.name:
            return []
        if at_ms // DEMAND_STEP_MS == self._given_ms // DEMAND_STEP_MS:
            return []
        found = quarters.running(meter)
        if found is None:
            return []
        self._given_ms = at_ms
        now = Running(at_ms, *found)
        values = (now.demand, now.forecast)
        flow = SiteFlow(at_ms, dict(zip(DEMAND_FIELDS, values, strict=True)))
        return [flow, *self._judge(now, self._info)]

    def _judge(self, now: Running, info: MeterInfo) -> list[Event]:
        limit = self._limit
        if limit is None:  # nor does what began before it was taken out of the configuration go on
            return [] if self._began_ms is None else [self._end(now.at_ms, info)]
        if self._began_ms is None:
            if now.forecast <= limit or now.passes_in_ms(limit) > self._lead_ms:
                return []
            self._began_ms, self._highest = now.at_ms, now.forecast
            left = now.passes_in_ms(limit)
            when = f"in {span(left / 1000)}" if left else "already"
            until = datetime.fromtimestamp((now.start_ms + QUARTER_MS) / 1000, UTC)
            text = (
                f"{info.name}: the demand of the quarter hour until {until:%H:%M} UTC passes "
                f"{limit:g} kW {when}: {now.demand:.2f} kW so far, forecast "
                f"{now.forecast:.2f} kW"
            )
            return [self._event("begin", now.at_ms, text, info)]
        self._highest = max(self._highest, now.forecast)
        return [] if now.forecast > _BACK * limit else [self._end(now.at_ms, info)]

    def _end(self, at_ms: int, info: MeterInfo) -> Event:
        assert self._began_ms is not None
        duration_s = max(0, at_ms - self._began_ms) / 1000
        limit = "its limit" if self._limit is None else f"{self._limit:g} kW"
        text = (
            f"{info.name}: the demand was about to pass {limit} for {span(duration_s)}, "
            f"highest forecast {self._highest:.2f} kW"
        )
        found = self._event("end", at_ms, text, info, duration_s)
        self._began_ms = None
        return found

    def _event(
        self, state: str, at_ms: int, text: str, info: MeterInfo, duration_s: float | None = None
    ) -> Event:
        return event(
            EventKind.DEMAND_HIGH, state, at_ms, text,
            info=info, duration_s=duration_s, extreme=self._highest,
        )  # fmt: skip

    def clock_step(self, size_ms: int) -> None:
        """Take note that the clock was moved: what has begun keeps its length."""
        self._given_ms = 0
        if self._began_ms is not None:
            self._began_ms += size_ms

    def state(self) -> SavedState:
        """Return what has begun, as JSON can hold it."""
        name = self._info.name if self._info is not None else ""
        return {"meter": name, "began": self._began_ms, "highest": self._highest}

    def restore(self, state: SavedState) -> None:
        """Take up where `state` was made, if that was of the same meter."""
        began, highest = state["began"], finite(state["highest"])
        if self._info is not None and state["meter"] == self._info.name and began is not None:
            self._began_ms, self._highest = whole(began), highest
