"""Sections of the configuration file about derived values: thresholds, counters, prices."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from logger.config.section import Section
from logger.config.types import Seconds, seconds
from logger.domain.limits import FREQUENCY_HIGH, FREQUENCY_LOW, VOLTAGE_HIGH, VOLTAGE_LOW

_Volts = Annotated[float, Field(gt=0, le=1000)]
_Hertz = Annotated[float, Field(gt=0, le=100)]
# A kWh may cost 2000 rupiah; a million is a mistake in any currency.
_Price = Annotated[float, Field(ge=-1_000_000, le=1_000_000)]


class Events(Section):
    """`[events]`: what counts as an event. Voltages are to neutral; between two phases
    they are taken times the square root of three."""

    # Means of ten minutes (EN 50160: 230 V +/- 10 %).
    voltage_high: _Volts = VOLTAGE_HIGH
    voltage_low: _Volts = VOLTAGE_LOW
    voltage_hysteresis: Annotated[float, Field(ge=0, le=50)] = 1.0
    # Single samples: so many in a row, and for at least so long.
    voltage_high_sample: _Volts = 260.0
    voltage_low_sample: _Volts = 195.0
    samples: Annotated[int, Field(ge=1, le=1000)] = 3
    min_duration: Annotated[float, BeforeValidator(seconds), Field(ge=0)] = 0.0
    phase_lost_below: _Volts = 100.0
    # Means of ten seconds.
    frequency_high: _Hertz = FREQUENCY_HIGH
    frequency_low: _Hertz = FREQUENCY_LOW
    frequency_hysteresis: Annotated[float, Field(ge=0, le=5)] = 0.02
    # No answer for so long, and for at least three fast jobs.
    silent_after: Seconds = 60.0
    buffer_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    # kW, netted import of a quarter hour; none: no event. It begins so long before the limit
    # is passed, by the power of late, or as soon as that can be seen.
    demand_high: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    demand_lead: Seconds = 300.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        pairs = (
            ("phase_lost_below", "voltage_low_sample"),
            ("voltage_low_sample", "voltage_low"),
            ("voltage_low", "voltage_high"),
            ("voltage_high", "voltage_high_sample"),
            ("frequency_low", "frequency_high"),
        )
        for lower, higher in pairs:
            if getattr(self, lower) > getattr(self, higher):
                raise ValueError(
                    f"{lower} ({getattr(self, lower):g}) is above "
                    f"{higher} ({getattr(self, higher):g})"
                )
        return self


class Counters(Section):
    """`[counters]`: when a counter is believed."""

    # So many further readings must agree before a fall or a jump is accepted.
    agree: Annotated[int, Field(ge=1, le=100)] = 2
    # The fastest possible rise is the meter's amps x 276 V x phases x time x margin.
    margin: Annotated[float, Field(ge=1, le=100)] = 1.5


class Formula(Section):
    """`[prices.valid.buy_formula]` and `sell_formula`: what becomes of an imported price.

    (price x factor + markup + levies) x (1 + vat), of a kWh
    """

    factor: Annotated[float, Field(ge=-1000, le=1000)] = 1.0
    markup: _Price = 0.0
    levies: _Price = 0.0
    vat: Annotated[float, Field(ge=0, le=1)] = 0.0

    def price(self, spot: Decimal) -> Decimal:
        """Return what a kWh costs, or earns, at this price of the market."""
        factor, added, tax = self.exact
        return (spot * factor + added) * tax

    @cached_property
    def exact(self) -> tuple[Decimal, Decimal, Decimal]:
        """The factor, what is added, and the factor of the tax."""
        factor, markup, levies, vat = (
            Decimal(str(value)) for value in (self.factor, self.markup, self.levies, self.vat)
        )
        return factor, markup + levies, 1 + vat


class DemandStep(Section):
    """One of `demand_steps`: what demand costs from `from_kw` on, up to the next step.

    fixed + kw x demand, of a month (or year, as the rule says)
    """

    from_kw: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    fixed: _Price = 0.0
    kw: _Price = 0.0

    def charge(self, demand_kw: Decimal) -> Decimal:
        """Return what this demand costs."""
        return Decimal(str(self.fixed)) + Decimal(str(self.kw)) * demand_kw


class Price(Section):
    """`[[prices.valid]]`: prices from the day `since` on, until the next entry.

    A kWh costs `buy`, in every tariff that has no price of its own, or the imported price of
    its quarter hour by `buy_formula`; fed back it earns `sell`, or that by `sell_formula`.
    The standing charges are the connection's, `demand_kw` is what a kW costs that
    `demand_rule` finds, or `demand_steps` what it costs by its size; they are as on the
    bill, with VAT.
    """

    since: dt.date
    buy: _Price | None = None
    buy_t1: _Price | None = None
    buy_t2: _Price | None = None
    buy_t3: _Price | None = None
    buy_t4: _Price | None = None
    sell: _Price = 0.0
    buy_formula: Formula | None = None
    sell_formula: Formula | None = None
    standing_day: _Price = 0.0
    standing_month: _Price = 0.0
    demand_kw: _Price = 0.0
    demand_steps: list[DemandStep] = Field(default_factory=list)
    # "belgium", "norway", "germany" or a file; without it the highest quarter of each month.
    demand_rule: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        fixed = [name for name in _BUYING if getattr(self, name) is not None]
        if self.buy_formula is not None and fixed:
            raise ValueError(f"{fixed[0]} and buy_formula: a kWh has one price, leave one out")
        if self.buy_formula is None and self.buy is None:
            raise ValueError("buy is missing: give a price of a kWh, or buy_formula")
        if self.sell_formula is not None and "sell" in self.model_fields_set:
            raise ValueError("sell and sell_formula: a kWh has one price, leave one out")
        if self.demand_kw and self.demand_steps:
            raise ValueError("demand_kw and demand_steps: demand has one price, leave one out")
        if self.demand_rule and not self.charges_demand:
            raise ValueError("demand_rule without demand_kw: what does a kW cost?")
        begins = [step.from_kw for step in self.demand_steps]
        if begins and begins[0] != 0:
            raise ValueError(f"demand_steps begin at {begins[0]:g} kW: what does less cost?")
        if begins != sorted(set(begins)):
            raise ValueError("demand_steps: each step begins above the one before it")
        return self

    @property
    def moving(self) -> bool:
        """Whether imported prices are needed."""
        return self.buy_formula is not None or self.sell_formula is not None

    @property
    def charges_demand(self) -> bool:
        """Whether demand costs something."""
        return bool(self.demand_kw or self.demand_steps)

    def step(self, demand_kw: Decimal) -> DemandStep:
        """Return the step into which a demand falls; `demand_kw` is the only one without steps."""
        if not self.demand_steps:
            return DemandStep(kw=self.demand_kw)
        begun = [one for one in self.demand_steps if Decimal(str(one.from_kw)) <= demand_kw]
        return begun[-1] if begun else self.demand_steps[0]

    @property
    def by_tariff(self) -> bool:
        """Whether tariffs have prices of their own."""
        return any(getattr(self, name) is not None for name in _BUYING[1:])

    def buying(self, tariff: str) -> float:
        """Return the price of a kWh drawn in `tariff` ("T1" to "T4", or "total"). There is
        none where `buy_formula` tells it."""
        assert self.buy is not None
        own: float | None = getattr(self, f"buy_{tariff.lower()}", None)
        return self.buy if own is None else own


_BUYING = ("buy", "buy_t1", "buy_t2", "buy_t3", "buy_t4")


class Prices(Section):
    """`[prices]`: what energy costs and earns, for the reports."""

    currency: Annotated[str, Field(min_length=1, max_length=8)] = "EUR"
    valid: list[Price] = Field(default_factory=list)

    @model_validator(mode="after")
    def _days_differ(self) -> Self:
        days = [price.since for price in self.valid]
        for day in days:
            if days.count(day) > 1:
                raise ValueError(f"two prices begin on {day}: each entry needs its own day")
        return self

    def on(self, day: dt.date) -> Price | None:
        """Return the prices that hold on `day`, None before the first entry."""
        held = [price for price in self.valid if price.since <= day]
        return max(held, key=lambda price: price.since, default=None)
