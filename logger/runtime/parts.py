"""What is to live as long as the logger, for the watch to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from logger.buffer import Buffer
from logger.runtime.schedule import Schedule
from logger.runtime.service import Service
from logger.runtime.watch import Part

if TYPE_CHECKING:
    from logger.delivery import Delivery

# The keeping thread may mend a damaged file, which takes long on a slow medium.
_BUFFER_END_S = 3600.0
_UNDELIVERED = "points wait and none is delivered, though nothing is known to be wrong, overdue"


def parts_of(
    schedule: Schedule,
    buffer: Buffer,
    delivery: Delivery | None,
    services: Mapping[str, Service],
) -> Iterator[Part]:
    """Yield every thread that is to live as long as the logger, and every lane."""
    yield Part("the thread of the schedule", schedule.late_s)
    for name, late_s in schedule.workers().items():
        restart, doing = partial(schedule.restart, name), partial(schedule.doing, name)
        yield Part(f"the thread of {name}", late_s, restart, doing)
    yield Part("the thread of the buffer", buffer.late_s, buffer.restart, end_s=_BUFFER_END_S)
    if delivery is not None:
        for name, late_s in delivery.threads().items():
            yield Part(f"the thread of {name}", late_s, partial(delivery.restart, name))
        for name, late_s in delivery.lanes().items():
            yield Part(f"the delivery of {name} points", late_s, lacks=_UNDELIVERED)
    for name, service in services.items():
        yield Part(f"the thread of {name}", service.late_s, service.restart)
