"""Reads the jobs of one meter over its bus: plan, transactions, decoding, one reading."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.errors import BusError, PortError, SilentError
from logger.meters import Job, Model
from logger.plan import Block, plan
from logger.reading import Failure, Harvest, Reading, inverted

log = logging.getLogger(__name__)


class MeterReader:
    """One meter on one bus. Used by the worker of that bus only.

    `now_ms` gives the time of a point, milliseconds UTC. Counts are since the start.
    """

    def __init__(
        self, bus: Bus, meter: MeterConfig, model: Model, now_ms: Callable[[], int]
    ) -> None:
        self.meter = meter
        self.model = model
        self.reads = 0
        self.errors = 0
        self.rejected = 0
        self.last_ms: float | None = None
        self.last_good: int | None = None
        self.error: BusError | None = None
        self._bus = bus
        self._now_ms = now_ms
        self._blocks = {job: plan(model.of_job(job), model.max_block, model.max_gap) for job in Job}

    @property
    def bus(self) -> str:
        """The name of the bus the meter is on."""
        return self._bus.name

    def blocks(self, job: Job) -> Sequence[Block]:
        """Return the requests that `job` takes."""
        return self._blocks[job]

    def read(self, job: Job, round_ms: int) -> Reading:
        """Do `job` once. Never raises for what happens on the line: that is in the reading.

        A meter that is silent, or a port that is closed, ends the job at once instead of
        costing its neighbours a timeout for each block.
        """
        harvest = Harvest()
        failures: list[Failure] = []
        requests = 0
        started = time.monotonic()
        for block in self._blocks[job]:
            requests += 1
            try:
                words = self._bus.read(self.meter.address, block, self.meter.timeout)
            except BusError as err:
                failures.append(Failure(block, err))
                if isinstance(err, PortError | SilentError):
                    break
            else:
                harvest.take(self.model, self.model.of_job(job), block, words)
        reading = Reading(
            meter=self.meter.name,
            role=self.meter.role,
            model=self.model.name,
            job=job,
            taken_ms=self._now_ms(),
            round_ms=round_ms,
            values=harvest.values,
            failures=tuple(failures),
            rejected=tuple(harvest.rejected),
            requests=requests,
            elapsed_ms=(time.monotonic() - started) * 1000,
        )
        self._account(reading)
        return inverted(reading) if self.meter.invert else reading

    def _account(self, reading: Reading) -> None:
        self.reads += reading.requests - len(reading.failures)
        self.errors += len(reading.failures)
        self.rejected += len(reading.rejected)
        self.last_ms = reading.elapsed_ms
        for one in reading.rejected:
            log.debug("meter %s: 0x%04X: %s", self.meter.name, one.address, one.reason)
        if reading.failures:
            error = reading.failures[0].error
            if self.error is None or type(self.error) is not type(error):
                log.warning("meter %s: %s", self.meter.name, error)
            self.error = error
        else:
            if self.error is not None:
                log.info("meter %s: reads again", self.meter.name)
            self.error = None
        if reading.values:
            self.last_good = reading.taken_ms
