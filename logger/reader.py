"""Reads the jobs of one meter over its bus: plan, transactions, decoding, one reading."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.errors import BusError, PortError, RefusedError, SilentError
from logger.line import (
    AdaptivePlan,
    Asker,
    Meaning,
    MeterState,
    Over,
    StateStore,
    ct_problem,
    is_lacking,
    named,
)
from logger.meters import Job, Model
from logger.plan import Block, plans
from logger.reading import Failure, Harvest, Reading, inverted
from logger.survey.compare import Likeness

log = logging.getLogger(__name__)

_SEARCH_S = 3.0  # how long a job may go on looking for blocks that the meter answers


@dataclass(slots=True)
class _Round:
    """What one job has come to so far."""

    job: Job
    started: float
    harvest: Harvest = field(default_factory=Harvest)
    failures: list[Failure] = field(default_factory=list)
    repeats: int = 1


class MeterReader:
    """One meter on one bus. Used by the worker of that bus only.

    `now_ms` gives the time of a point, milliseconds UTC; `clock` is monotonic, in
    seconds. `states` keeps what is found out about the meter across restarts. Counts
    are since the start.
    """

    def __init__(
        self,
        bus: Bus,
        meter: MeterConfig,
        model: Model,
        now_ms: Callable[[], int],
        *,
        states: StateStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = meter
        self.model = model
        self.reads = 0
        self.errors = 0
        self.rejected = 0
        self.last_ms: float | None = None
        self.last_good: int | None = None
        self.error: BusError | None = None  # of the last job, or that the model is wrong
        self._bus = bus
        self._now_ms = now_ms
        self._clock = clock
        self._states = states
        self._asker = Asker(bus, meter, model, clock)
        self._plan = AdaptivePlan(plans(model), {job: model.of_job(job) for job in Job})
        self._state = MeterState(meter=meter.name, model=model.name)
        self._restore()
        self._meaning = Meaning(model, meter.name)
        self.likeness = Likeness(bus, meter, model)
        self._ct_problem = ""
        self._reported: set[type[BusError]] = set()

    @property
    def bus(self) -> str:
        """The name of the bus the meter is on."""
        return self._bus.name

    @property
    def away(self) -> bool:
        """Tell whether the meter is silent and only asked now and then."""
        return self._asker.pause.length_s > 0

    @property
    def left_out(self) -> Sequence[str]:
        """The keys of the values that this meter does not answer."""
        return [register.key for register in self._plan.left_out()]

    def blocks(self, job: Job) -> Sequence[Block]:
        """Return the requests that `job` takes."""
        return self._plan.blocks(job)

    def read(self, job: Job, round_ms: int) -> Reading:
        """Do `job` once. Never raises for what happens on the line: that is in the reading.

        A meter that is silent, or a port that is closed, ends the job at once instead of
        costing its neighbours a timeout for each block; a silent meter is then left alone
        for a while, and its readings hold no request.
        """
        asker = self._asker
        asker.requests = asker.answered = asker.failed = 0
        blocks = self._plan.blocks(job)
        this = _Round(job, self._clock(), repeats=1 + len(blocks) // 10)
        if asker.pause.lasts(this.started) and self.error is not None and blocks:
            this.failures.append(Failure(blocks[0], self.error))
            return self._reading(this, round_ms)
        try:
            self._do(this)
        except Over as over:
            this.failures.append(Failure(over.block, over.error))
        if job is Job.IDENTITY:
            self._identify(this)
        asker.last = []  # a list a meter is worth letting go of
        reading = self._reading(this, round_ms)
        self._account(reading)
        return inverted(reading) if self.meter.invert else reading

    def _do(self, this: _Round) -> None:
        if not self._can_mean(this):
            return
        done = self._try_in_full(this)
        for block in self._plan.blocks(this.job):
            if block != done and block not in self._plan.searches:
                self._fetch(block, this)
        if this.job is Job.IDENTITY or self._plan.searches:
            self.likeness.look(this.harvest.values, bool(self._plan.searches or self._plan.cuts))
        self._search_on(this)
        if self._meaning.suspicious(this.harvest.rejected) and not self._can_mean(this):
            this.harvest.forget()

    def _ask(self, block: Block, this: _Round | None) -> BusError | None:
        """Ask for `block` and keep its values; return why it failed, if it did."""
        try:
            words = self._asker.ask(block)
        except PortError as err:
            raise Over(block, err) from err
        except BusError as err:
            return err
        if this is not None:
            at_ms = self._asker.answered_ms(self._now_ms)
            this.harvest.take(self.model, self.model.of_job(this.job), block, words, at_ms)
        return None

    def _fetch(self, block: Block, this: _Round) -> None:
        error = self._ask(block, this)
        if error is not None and not isinstance(error, RefusedError) and this.repeats > 0:
            this.repeats -= 1
            error = self._ask(block, this)
        if error is None:
            self._plan.worked(block)
        elif not is_lacking(error) or not self._plan.failed(block, this.job):
            this.failures.append(Failure(block, error))

    def _search_on(self, this: _Round) -> None:
        """Go on looking for the parts of blocks that the meter does not answer as a whole."""
        for block, search in list(self._plan.searches.items()):
            mine = any(block.holds(register) for register in self.model.of_job(this.job))
            error: BusError | None = None
            while (part := search.block) and self._clock() - this.started < _SEARCH_S:
                error = self._ask(part, this if mine else None)
                if error is not None and not is_lacking(error):
                    break
                if isinstance(error, SilentError):
                    self._asker.settle(part)  # a meter that went away refuses nothing
                search.told(error is None)
            if part is None:
                self._found(block)
            elif mine:
                this.failures.append(
                    Failure(part, error or SilentError(f"{part} is still to be tried"))
                )

    def _found(self, block: Block) -> None:
        lacking = self._plan.finish(block, self._now_ms())
        parts = [str(part) for part in self._plan.all_parts() if block.contains(part)]
        log.info(
            "meter %s: does not answer %s in one request; asked as %s from now on",
            self.meter.name,
            block,
            ", ".join(parts) or "nothing",
        )
        if lacking:
            again = ", tried again in a week" if self._states is not None else ""
            text = f"does not answer {named(lacking)}: left out{again}"
            log.warning("meter %s: %s", self.meter.name, text)
        self._remember()

    def _try_in_full(self, this: _Round) -> Block | None:
        """Once a week try a block that was cut; return it when it was read."""
        block = self._plan.to_retry(this.job, self._now_ms())
        if block is None:
            return None
        error = self._ask(block, this)
        self._plan.retried(block, error is None, self._now_ms())
        if error is None:
            log.info("meter %s: answers %s in one request again", self.meter.name, block)
        self._remember()
        return block if error is None else None

    def _can_mean(self, this: _Round) -> bool:
        """Tell whether the meter's numbers mean what its table says; ask where needed."""
        meaning = self._meaning
        if meaning.to_ask(this.job):
            error = self._ask(meaning.block, None)
            if error is None:
                meaning.heard(self._asker.last)
            elif isinstance(error, RefusedError):
                meaning.refused()
            else:
                this.failures.append(Failure(meaning.block, error))
                return False
        if meaning.wrong is not None and this.job is not Job.IDENTITY:
            this.failures.append(Failure(meaning.block, meaning.wrong))
            return False
        return True

    def _identify(self, this: _Round) -> None:
        """Take note of who answered the identity job."""
        values = this.harvest.values
        self._meaning.identified(values)
        if self._meaning.wrong is not None:
            this.failures.append(Failure(self._meaning.block, self._meaning.wrong))
        problem = ct_problem(self.model, values)
        if problem and problem != self._ct_problem:
            log.warning("meter %s: %s", self.meter.name, problem)
        self._ct_problem = problem
        known = (self._state.serial, self._state.software_version)
        serial, firmware = (str(values.get(key, "")) for key in ("serial", "software_version"))
        if not serial or (serial, firmware or known[1]) == known:
            return
        if known[0] and serial != known[0]:
            log.warning(
                "meter %s: another meter: serial number %s, it was %s",
                self.meter.name,
                serial,
                known[0],
            )
        if known[0]:
            self._plan.forget()
        self._state = replace(self._state, serial=serial, software_version=firmware or known[1])
        self._remember()

    def _restore(self) -> None:
        known = self._states.load(self.meter.name) if self._states is not None else None
        if known is not None and known.model == self.model.name:
            self._state = known
            self._plan.restore(known.cuts, known.tried_ms)

    def _remember(self) -> None:
        self._state = replace(self._state, cuts=dict(self._plan.cuts), tried_ms=self._plan.tried_ms)
        if self._states is not None:
            self._states.save(self._state)

    def _reading(self, this: _Round, round_ms: int) -> Reading:
        return Reading(
            meter=self.meter.name,
            role=self.meter.role,
            model=self.model.name,
            job=this.job,
            taken_ms=this.harvest.taken_ms or self._now_ms(),
            round_ms=round_ms,
            values=this.harvest.values,
            moments=this.harvest.apart(),
            failures=tuple(this.failures),
            rejected=tuple(this.harvest.rejected),
            requests=self._asker.requests,
            elapsed_ms=(self._clock() - this.started) * 1000,
        )

    def _account(self, reading: Reading) -> None:
        self.reads += self._asker.answered
        self.errors += self._asker.failed
        self.rejected += len(reading.rejected)
        self.last_ms = reading.elapsed_ms
        for one in reading.rejected:
            log.debug("meter %s: 0x%04X: %s", self.meter.name, one.address, one.reason)
        if reading.failures:
            error = reading.failures[-1].error
            if type(error) not in self._reported:
                log.warning("meter %s: %s", self.meter.name, error)
            self._reported.add(type(error))
            self.error = error
        else:
            if self._reported:
                log.info("meter %s: reads again", self.meter.name)
            self.error = self.likeness.wrong
            self._reported.clear()
        if reading.values:
            self.last_good = reading.taken_ms
