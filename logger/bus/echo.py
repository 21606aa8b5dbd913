"""Whether an adapter echoes what is sent."""

from __future__ import annotations

import logging

from logger.bus.frames import Heard
from logger.config import Bus as BusConfig

log = logging.getLogger(__name__)


class Echo:
    """`there` is None until an answer has shown whether the adapter echoes."""

    def __init__(self, config: BusConfig) -> None:
        self._name = config.name
        self._auto = config.local_echo == "auto"
        self.there: bool | None = None if config.local_echo == "auto" else config.local_echo

    def note(self, found: Heard) -> None:
        """Look at what came upon a request; the first echo is logged."""
        if not self._auto or not (found.frame or found.echoes):
            return
        if found.echoes and not self.there:
            log.info(
                "bus %s: the adapter echoes what is sent; the echo is skipped from now on",
                self._name,
            )
        self.there = bool(found.echoes)
