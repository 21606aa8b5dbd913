"""What every reader of a meter has: its counts, its last error, and one way to read."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError
from logger.domain.quantity import SERIAL, Quantity
from logger.meter.complaint import Complaint
from logger.meter.reading import Reading
from logger.models import Job, Model
from logger.models.plan import Block

log = logging.getLogger(__name__)


class Reader(ABC):
    """One meter on one bus. Used by the worker of that bus only. Counts are since the start.

    A meter that is known to be of another model gives no values, unless its configuration
    accepts that, or `foreign` asks for them. `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        bus: Bus,
        meter: MeterConfig,
        model: Model,
        clock: Callable[[], float],
        *,
        foreign: bool = False,
    ) -> None:
        self.bus = bus.name
        self.meter = meter
        self.model = model
        self.reads = 0
        self.errors = 0
        self.rejected = 0
        self.last_ms: float | None = None
        self.last_good: int | None = None
        self.serial = ""  # the serial number that it said last
        self.last_of: dict[Job, int] = {}  # when each job last gave values, ms UTC
        self._wanted: set[Job] = set()  # the jobs that should run soon
        self.error: BusError | None = None  # of the last job, or that the model is wrong
        self._clock = clock
        self._foreign = foreign or meter.accept_model
        self._complaint = Complaint()

    @property
    @abstractmethod
    def wrong(self) -> BusError | None:
        """What is wrong with the configured model, None when nothing is known to be."""

    @property
    def wrong_model(self) -> str:
        """What is wrong with the configured model, empty when it fits or is accepted."""
        return "" if self._takes_foreign else str(self.wrong or "")

    @property
    def _takes_foreign(self) -> bool:
        """Whether values are taken by a table that is not the meter's own."""
        return self._foreign

    @property
    @abstractmethod
    def away(self) -> bool:
        """Whether the meter is silent and only asked now and then."""

    @property
    @abstractmethod
    def left_out(self) -> Sequence[Quantity]:
        """The quantities that this meter does not answer."""

    @abstractmethod
    def blocks(self, job: Job) -> Sequence[Block | str]:
        """Return what `job` asks for; empty when it has nothing to read."""

    @abstractmethod
    def read(self, job: Job, round_ms: int) -> Reading:
        """Do `job` once. Never raises for what happens on the line: that is in the reading."""

    def wants(self) -> Sequence[Job]:
        """Return the jobs that should run soon."""
        return tuple(self._wanted)

    def hand_on(self, reading: Reading, then: Callable[[Reading], None]) -> None:
        """Call `then` with the last `reading`, when it is known whether it can be believed."""
        then(reading)

    def _account(self, reading: Reading, answered: int, failed: int) -> None:
        """Count what a job came to, and say in the log what changed."""
        self.reads += answered
        self.errors += failed
        self.rejected += len(reading.rejected)
        self.last_ms = reading.elapsed_ms
        for one in reading.rejected:
            log.debug("meter %s: %s: %s", self.meter.name, one.quantity, one.reason)
        now = self._clock()
        if reading.failures:
            error = self.error = reading.failures[-1].error
            line = self._complaint.failed(type(error).__name__, str(error), now)
        else:
            self.error = None if self._takes_foreign else self.wrong
            line = self._complaint.worked(now)
        if line is not None:
            log.log(line[0], "meter %s: %s", self.meter.name, line[1])
        self.serial = str(reading.values.get(SERIAL, self.serial))
        if reading.values:
            self.last_good = self.last_of[reading.job] = reading.taken_ms
