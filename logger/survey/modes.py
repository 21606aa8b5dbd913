"""Whether a silent gateway speaks the other way than configured."""

from __future__ import annotations

from logger.bus import Bus
from logger.config import Bus as BusConfig
from logger.domain.errors import BusError, RefusedError
from logger.models.plan import Block

# Every model has its serial number and meter code here.
_QUESTION = Block(0x4000, 2)


def other_way(config: BusConfig, address: int) -> tuple[str, str] | None:
    """Ask the meter at `address` as if the silent gateway spoke the other way. Reads only.

    Returns what was found out and what to write, None when it is silent then, too.
    """
    place = config.network
    if place is None or place.scheme not in ("tcp", "socket"):
        return None
    says, port = (
        ("this gateway speaks Modbus TCP", place.spoken_as("tcp"))
        if place.scheme == "socket"
        else ("this gateway passes RTU frames", place.spoken_as("socket"))
    )
    bus = Bus(config.model_copy(update={"port": port}))
    try:
        bus.read(address, _QUESTION)
    except RefusedError:
        pass
    except BusError:
        return None
    finally:
        bus.close()
    return says, f'port = "{port}"'
