"""The configuration file: what it may hold, and how it is read."""

from logger.config.buffer import Buffer
from logger.config.buses import Bus, Meter
from logger.config.influx import Influx
from logger.config.load import load_config
from logger.config.site import Intervals, Site
from logger.config.whole import Config

__all__ = [
    "Buffer",
    "Bus",
    "Config",
    "Influx",
    "Intervals",
    "Meter",
    "Site",
    "load_config",
]
