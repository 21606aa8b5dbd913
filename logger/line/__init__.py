"""A meter as it really is: what it refuses, when it is away, what it was last time."""

from logger.line.adapt import AdaptivePlan, Cut, Search, named
from logger.line.asking import Asker, Over, is_lacking
from logger.line.complaint import Complaint
from logger.line.explore import Explorer, Round
from logger.line.health import ct_problem, ct_ratio, expected_phases
from logger.line.meaning import Meaning
from logger.line.pause import Pause
from logger.line.state import MeterState, StateStore

__all__ = [
    "AdaptivePlan",
    "Asker",
    "Complaint",
    "Cut",
    "Explorer",
    "Meaning",
    "MeterState",
    "Over",
    "Pause",
    "Round",
    "Search",
    "StateStore",
    "ct_problem",
    "ct_ratio",
    "expected_phases",
    "is_lacking",
    "named",
]
