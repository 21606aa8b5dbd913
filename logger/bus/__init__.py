"""The line: one transaction at a time with the meters on it."""

from logger.bus.mbus import MbusBus
from logger.bus.mbusverdict import UnreadableError
from logger.bus.stats import BusStats
from logger.bus.transaction import Bus
from logger.config import Bus as BusConfig

__all__ = ["Bus", "BusStats", "MbusBus", "UnreadableError", "bus_of"]


def bus_of(config: BusConfig) -> Bus:
    """Return the line of `config`, by its protocol."""
    return MbusBus(config) if config.protocol == "mbus" else Bus(config)
