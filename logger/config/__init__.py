"""The configuration file: what it may hold, and how it is read."""

from logger.config.load import load_config
from logger.config.sections import Buffer, Bus, Config, Influx, Intervals, Meter, Site
from logger.config.types import duration_text, seconds

__all__ = [
    "Buffer",
    "Bus",
    "Config",
    "Influx",
    "Intervals",
    "Meter",
    "Site",
    "duration_text",
    "load_config",
    "seconds",
]
