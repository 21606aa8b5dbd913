"""All dashboards of a configuration with everything, for tests of what they are made of."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from logger.config.derive import Price, Prices
from logger.grafana import DashboardOptions, dashboards

ROOT = Path(__file__).parent.parent
PRICES = Prices(
    valid=[
        Price.model_validate({"since": date(2024, 1, 1), "buy": 0.3, "buy_t2": 0.25, "sell": 0.08})
    ]
)
GROW = frozenset({"neutral_current", "temperature", "voltage_thd", "current_thd"})
APPARENT = frozenset({"apparent_import", "apparent_export"})
EVERYTHING = DashboardOptions(prices=PRICES, fields=DashboardOptions().fields | GROW | APPARENT)
BOARDS = dashboards(EVERYTHING)
