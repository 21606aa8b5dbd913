"""The delivery: moves points from the buffer to InfluxDB and decides by its answers."""

from logger.delivery.delivery import Delivery
from logger.delivery.health import LaneState

__all__ = ["Delivery", "LaneState"]
