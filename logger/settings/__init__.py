"""The settings of a meter: shown in words, changed with care.

It promises: only what the manual of the model allows is written; the value before is read
first and the value after is read back; what cannot be taken back is named (`Change.final`);
nothing here writes by itself, a command asks for it.
"""

from logger.settings.change import Change, prepare
from logger.settings.names import accepted, advice, find, listed, shown
from logger.settings.work import Changer, Outcome, read_settings

__all__ = [
    "Change",
    "Changer",
    "Outcome",
    "accepted",
    "advice",
    "find",
    "listed",
    "prepare",
    "read_settings",
    "shown",
]
