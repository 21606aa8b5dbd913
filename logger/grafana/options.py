"""What dashboards and alert rules depend on: time zone, prices, limits. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from logger.config.alerts import Alerts
from logger.config.derive import Events, Price, Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardOptions:
    """The figures behind every dashboard and rule, all from one configuration file.

    `zone` is the IANA time zone of the installation: days begin and end there. Prices
    are for one kWh in `currency`; `buy` by tariff T1 to T4, None without any: then nothing
    shows money.
    """

    zone: str = "Europe/Amsterdam"
    currency: str = "EUR"
    buy: tuple[float, float, float, float] | None = None
    sell: float = 0.0
    events: Events = field(default_factory=Events)
    alerts: Alerts = field(default_factory=Alerts)

    @property
    def money(self) -> str:
        """The unit of amounts of money, as Grafana names it."""
        known = {"EUR": "currencyEUR", "USD": "currencyUSD", "GBP": "currencyGBP"}
        return known.get(self.currency, f"suffix: {self.currency}")


def dashboard_options(
    zone: str,
    prices: Prices | None = None,
    events: Events | None = None,
    alerts: Alerts | None = None,
) -> DashboardOptions:
    """Return the settings of a configuration; the newest prices are the ones shown."""
    made = DashboardOptions(zone=zone, events=events or Events(), alerts=alerts or Alerts())
    if prices is None or not prices.valid:
        return made
    newest: Price = max(prices.valid, key=lambda price: price.since)
    t1, t2, t3, t4 = (newest.buying(f"T{number}") for number in (1, 2, 3, 4))
    return DashboardOptions(
        zone=zone,
        currency=prices.currency,
        buy=(t1, t2, t3, t4),
        sell=newest.sell,
        events=made.events,
        alerts=made.alerts,
    )
