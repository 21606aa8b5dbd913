"""The reader that fits a line: Modbus or M-Bus."""

from __future__ import annotations

from collections.abc import Callable

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.meter.reader import Reader
from logger.meter.session import MeterReader
from logger.meter.state import StateStore
from logger.models import Model


def reader_of(
    bus: Bus,
    meter: MeterConfig,
    model: Model,
    now_ms: Callable[[], int],
    *,
    states: StateStore | None = None,
    foreign: bool = False,
) -> Reader:
    """Return what reads `meter` on `bus`, whose protocol is that of `model`."""
    if bus.config.protocol == "mbus":  # which most installations have none of
        from logger.bus.mbus import MbusBus
        from logger.meter.mbusreader import MbusReader

        assert isinstance(bus, MbusBus)
        return MbusReader(bus, meter, model, now_ms, states=states, foreign=foreign)
    return MeterReader(bus, meter, model, now_ms, states=states, foreign=foreign)
