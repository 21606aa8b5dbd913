"""Derived values: stages between readings and points. They query nothing."""

from logger.derive.changes import MeterChanges
from logger.derive.counters import CounterGuard
from logger.derive.events import MEANING, Kind
from logger.derive.info import About
from logger.derive.pipeline import Derive

__all__ = ["MEANING", "About", "CounterGuard", "Derive", "Kind", "MeterChanges"]
