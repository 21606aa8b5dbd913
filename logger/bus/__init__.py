"""The line: one transaction at a time with the meters on it."""

from logger.bus.stats import BusStats
from logger.bus.transaction import Bus

__all__ = ["Bus", "BusStats"]
