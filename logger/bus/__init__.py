"""The line: one transaction at a time with the meters on it."""

from collections.abc import Callable

from logger.bus.stats import BusStats
from logger.bus.transaction import Bus
from logger.config import Bus as BusConfig

__all__ = ["Bus", "BusStats", "bus_of"]

# Another master mostly asks once a second: in this time, of its first questions, a line
# shows whether there is one.
WATCH_S = 1.25


def bus_of(
    config: BusConfig, wanted: Callable[[], bool] | None = None, bell: int | None = None
) -> Bus:
    """Return the line of `config`, by its protocol.

    `wanted` tells whether something waits for the line; None where jobs are done one after
    the other. `bell` is a file that can be read meanwhile.
    """
    if config.protocol == "mbus":
        from logger.bus.mbus import MbusBus  # most installations have none

        bus: Bus = MbusBus(config)
    else:
        bus = Bus(config)
    bus.sharing.watch.wanted, bus.sharing.watch.bell = wanted, bell
    if config.protocol == "mbus":
        return bus
    if config.network is None or config.network.scheme != "tcp":  # whose answers are numbered
        bus.sharing.watch.seconds = WATCH_S
    return bus
