"""Derived values: stages between readings and points. They query nothing."""

from logger.derive.about import About
from logger.derive.changes import MeterChanges
from logger.derive.counters import CounterGuard
from logger.derive.kinds import MEANING, Kind
from logger.derive.pipeline import Derive

__all__ = ["MEANING", "About", "CounterGuard", "Derive", "Kind", "MeterChanges"]
