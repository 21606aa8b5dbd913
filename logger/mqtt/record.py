"""What this logger has left with the broker, remembered across restarts: so that it is
removed when a meter leaves the configuration, also while the logger is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from logger.store.statefile import StateFile

_VERSION = 1


class Record:
    """Topics with a retained message: descriptions with their meter and sensors, and others.
    The file is written when the set changes, before a new message goes out."""

    def __init__(self, file: Path) -> None:
        self._file = StateFile(file)
        # By topic: the meter's name ("" for the site) and the keys of its sensors.
        self.descriptions: dict[str, tuple[str, frozenset[str]]] = {}
        self.topics: set[str] = set()
        saved = self._file.load()
        try:
            if saved is not None:
                self._take(saved)
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            self._file.set_aside(repr(err))
            self.descriptions, self.topics = {}, set()

    def _take(self, saved: Mapping[str, Any]) -> None:
        if saved["version"] != _VERSION:
            raise ValueError(f"version {saved['version']}, not {_VERSION}")
        self.descriptions = {
            str(topic): (str(one["meter"]), frozenset(map(str, one["sensors"])))
            for topic, one in saved["descriptions"].items()
        }
        self.topics = set(map(str, saved["topics"]))

    def described(self, topic: str, meter: str, sensors: Iterable[str]) -> None:
        """Note the description that goes out in `topic`."""
        fresh = (meter, frozenset(sensors))
        if self.descriptions.get(topic) != fresh:
            self.descriptions[topic] = fresh
            self._save()

    def published(self, topics: Iterable[str]) -> None:
        """Note topics of other retained messages."""
        if not self.topics.issuperset(fresh := set(topics)):
            self.topics |= fresh
            self._save()

    def removed(self, topic: str) -> None:
        """Note that nothing is left in `topic`."""
        self.descriptions.pop(topic, None)
        self.topics.discard(topic)
        self._save()

    def _save(self) -> None:
        self._file.save(
            {
                "version": _VERSION,
                "descriptions": {
                    topic: {"meter": meter, "sensors": sorted(sensors)}
                    for topic, (meter, sensors) in sorted(self.descriptions.items())
                },
                "topics": sorted(self.topics),
            }
        )
