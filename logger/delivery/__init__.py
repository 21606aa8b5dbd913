"""The delivery: moves points from the buffer to InfluxDB and decides by its answers.

It promises: a row leaves the queue only when the server has acknowledged it, or refused it and
it is set aside with the server's words; whatever else a server says, it is kept and sent again.
The newest points go first, the backlog follows; a bucket that is missing stops no other.

    delivery   threads for each lane
    worker     batches: newest, backlog, their size
    outlet     rows out of the buffer, marks back to it
    bisect     which lines of a batch are at fault. Pure but for its `write`
    backoff, health    pauses; what the log says when a bucket takes points, or no longer
    backfill   the same from a command
"""

from logger.delivery.delivery import Delivery
from logger.delivery.health import LaneState

__all__ = ["Delivery", "LaneState"]
