"""The imported prices for the stages: read again whenever a command changed them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from zoneinfo import ZoneInfo

from logger.config import Config
from logger.domain.errors import PriceError
from logger.domain.spot import Spots
from logger.prices import kept
from logger.prices.money import PriceList

log = logging.getLogger(__name__)

# Older quarter hours are not made any more, but for a gap that long: memory is scarce.
_RECENT_MS = 62 * 86_400_000


class PriceWatch:
    """Hands prices to `take`: at the beginning, and when the kept file is another one.

    Does nothing without imported prices in the configuration.
    """

    def __init__(self, config: Config, take: Callable[[PriceList], None]) -> None:
        self._prices, self._take = config.prices, take
        self._zone = ZoneInfo(config.site.timezone)
        self._path = kept.beside(config.buffer.path)
        self._wanted = any(price.moving for price in config.prices.valid)
        self._seen: object = ()

    def refresh(self, now_ms: int) -> None:
        """Look whether the file changed; call it about once a second."""
        if not self._wanted:
            return
        try:
            status = self._path.stat()
            found: object = (status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            found = None
        if found == self._seen:
            return
        self._seen = found
        try:
            spots = kept.load(self._path, self._prices.currency)
        except PriceError as err:
            log.error("%s; until then quarter hours have no cost", err)
            spots = {}
        self._take(PriceList(self._prices, _recent(spots, now_ms), self._zone))


def _recent(spots: Spots, now_ms: int) -> Spots:
    first = now_ms - _RECENT_MS
    return {
        kind: {at: price for at, price in spot.items() if at >= first}
        for kind, spot in spots.items()
    }
