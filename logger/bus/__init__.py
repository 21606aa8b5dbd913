"""The line: one transaction at a time with the meters on it."""

from logger.bus.master import Bus
from logger.bus.stats import BusStats

__all__ = ["Bus", "BusStats"]
