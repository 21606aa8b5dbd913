"""What every reader of a meter has: its counts, its last error, and one way to read."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError
from logger.meter.reading import Reading
from logger.models import Job, Model
from logger.models.plan import Block

log = logging.getLogger(__name__)


class Reader(ABC):
    """One meter on one bus. Used by the worker of that bus only. Counts are since the start."""

    def __init__(self, bus: Bus, meter: MeterConfig, model: Model) -> None:
        self.bus = bus.name
        self.meter = meter
        self.model = model
        self.reads = 0
        self.errors = 0
        self.rejected = 0
        self.last_ms: float | None = None
        self.last_good: int | None = None
        self.last_of: dict[Job, int] = {}  # when each job last gave values, ms UTC
        self.error: BusError | None = None  # of the last job, or that the model is wrong
        self._reported: set[type[BusError]] = set()

    @property
    @abstractmethod
    def wrong_model(self) -> BusError | None:
        """What is wrong with the configured model, None when nothing is known to be."""

    @property
    @abstractmethod
    def away(self) -> bool:
        """Tell whether the meter is silent and only asked now and then."""

    @property
    @abstractmethod
    def left_out(self) -> Sequence[str]:
        """The keys of the values that this meter does not answer."""

    @abstractmethod
    def blocks(self, job: Job) -> Sequence[Block | str]:
        """Return what `job` asks for; empty when it has nothing to read."""

    @abstractmethod
    def read(self, job: Job, round_ms: int) -> Reading:
        """Do `job` once. Never raises for what happens on the line: that is in the reading."""

    def _account(self, reading: Reading, answered: int, failed: int) -> None:
        """Count what a job came to, and say in the log what changed."""
        self.reads += answered
        self.errors += failed
        self.rejected += len(reading.rejected)
        self.last_ms = reading.elapsed_ms
        for one in reading.rejected:
            log.debug("meter %s: %s: %s", self.meter.name, one.key, one.reason)
        if reading.failures:
            error = reading.failures[-1].error
            if type(error) not in self._reported:
                log.warning("meter %s: %s", self.meter.name, error)
            self._reported.add(type(error))
            self.error = error
        else:
            if self._reported:
                log.info("meter %s: reads again", self.meter.name)
            self.error = self.wrong_model
            self._reported.clear()
        if reading.values:
            self.last_good = self.last_of[reading.job] = reading.taken_ms
