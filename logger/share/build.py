"""The server of a configuration, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from logger.config import Config
from logger.config.share import ModbusShare
from logger.meter.reader import Reader
from logger.meter.reading import Reading
from logger.share.modbus import ModbusServer
from logger.share.units import Lend, Units


def server_of(
    config: Config,
    share: ModbusShare,
    readers: Sequence[Reader],
    lend: Lend,
    now_ms: Callable[[], int],
) -> tuple[ModbusServer, Callable[[Reading], None]]:
    """Return the server of `config`, and what has to hear of every reading."""
    units = Units(config, share, readers, lend, now_ms)
    return ModbusServer(share, units.make), units.hear
