"""The line: one transaction at a time with the meters on it."""

from logger.bus.transaction import Bus, BusStats

__all__ = ["Bus", "BusStats"]
