"""Derived values: stages between readings and points. They query nothing."""

from logger.derive.changes import MeterChanges
from logger.derive.counters import CounterGuard
from logger.derive.events import EventKind
from logger.derive.info import MeterInfo
from logger.derive.pipeline import Derive

__all__ = ["CounterGuard", "Derive", "EventKind", "MeterChanges", "MeterInfo"]
