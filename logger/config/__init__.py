"""The configuration file: what it may hold, and how it is read."""

from logger.config.load import load_config
from logger.config.sections import Buffer, Bus, Config, Influx, Intervals, Meter, Site

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
