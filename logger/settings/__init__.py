"""The settings of a meter: shown in words, changed with care."""

from logger.settings.change import Change, prepare
from logger.settings.names import accepted, advice, aliases, find, listed, shown
from logger.settings.work import Changer, Outcome, read_settings

__all__ = [
    "Change",
    "Changer",
    "Outcome",
    "accepted",
    "advice",
    "aliases",
    "find",
    "listed",
    "prepare",
    "read_settings",
    "shown",
]
