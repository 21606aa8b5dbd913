"""Reads the jobs of one meter over its bus: plan, transactions, decoding, one reading."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from logger.bus import Bus
from logger.bus.sharing import TRIES
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError, PortError
from logger.domain.quantity import Quantity
from logger.meter.adapt import AdaptivePlan
from logger.meter.believed import Believed
from logger.meter.explore import Explorer, Round
from logger.meter.judging import Judge
from logger.meter.reader import Reader
from logger.meter.reading import Failure, Reading, inverted, without_values
from logger.meter.remembered import Remembered
from logger.meter.requester import Heard, JobAborted, Requester
from logger.meter.state import StateStore
from logger.meter.transformers import ct_problem
from logger.models import Job, Model, Value
from logger.models.plan import Block, plans

log = logging.getLogger(__name__)


class MeterReader(Reader):
    """One meter on one Modbus line. Used by the worker of that bus only.

    A meter that is known to be of another model gives no values, unless its
    configuration accepts that, or `foreign` asks for them.
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
        foreign: bool = False,
    ) -> None:
        model = model.limited(bus.config.longest_block)
        super().__init__(bus, meter, model, clock, foreign=foreign)
        self._bus = bus
        self._now_ms = now_ms
        self._requester = Requester(bus, meter, model, clock)
        self._plan = AdaptivePlan(plans(model), {job: model.of_job(job) for job in Job})
        port = bus.config.port
        self._remembered = Remembered(meter, model, port, self._plan, states)
        self._explorer = Explorer(
            meter.name,
            model,
            self._plan,
            self._requester,
            now_ms=now_ms,
            clock=clock,
            changed=self._remembered.keep,
            lasting=states is not None,
        )
        self._judge = Judge(bus, meter, model, self._plan, self._requester, foreign=self._foreign)
        self._ct_problem = ""
        self._believed = Believed(bus, meter.address)
        self._requester.heard = self._believed.take
        self._counts = (0, 0)  # of the last job: questions answered and failed

    @property
    def wrong(self) -> BusError | None:
        """What is wrong with the configured model, None when nothing is known to be."""
        return self._judge.wrong

    @property
    def away(self) -> bool:
        """Whether the meter is silent and only asked now and then."""
        return self._requester.pause.length_s > 0

    @property
    def _takes_foreign(self) -> bool:
        """Whether values are taken by a table that is not the meter's own."""
        return self._judge.takes_foreign

    @property
    def left_out(self) -> Sequence[Quantity]:
        """The quantities that this meter does not answer."""
        return [register.quantity for register in self._plan.left_out()]

    def blocks(self, job: Job) -> Sequence[Block]:
        """Return the requests that `job` takes."""
        return self._plan.blocks(job)

    def tell(self, heard: Heard) -> None:
        """Let `heard` hear of the words of every block that is read, on the worker's thread."""
        self._believed.heard = heard

    def fetch(self, block: Block, timeout_s: float) -> Sequence[int]:
        """Return the words of `block`, in one question out of turn for somebody else.

        Raises BusError, at once for a meter that is silent or whose port is closed.
        """
        self._not_away()
        ask = partial(self._requester.ask_once, block, timeout_s)
        return self._believed.once(ask, timeout_s)

    def write(self, address: int, words: Sequence[int], function: int, timeout_s: float) -> None:
        """Write `words` from register `address` on, for somebody else. Raises BusError."""
        self._not_away()
        self._requester.write(address, list(words), function, timeout_s)

    def _not_away(self) -> None:
        if self.error is not None and (self.away or isinstance(self.error, PortError)):
            raise self.error

    def read(self, job: Job, round_ms: int) -> Reading:
        """Do `job` once. Never raises for what happens on the line: that is in the reading.

        A meter that is silent, or a port that is closed, ends the job at once instead of
        costing its neighbours a timeout for each block; a silent meter is then left alone
        for a while, and its readings hold no request.
        """
        requester = self._requester
        requester.requests = requester.answered = requester.failed = 0
        self._believed.nothing()
        self._wanted.discard(job)
        blocks = self._plan.blocks(job)
        this = Round(job, self._clock(), repeats=1 + len(blocks) // 10)
        away = self.away
        if requester.pause.lasts(this.started) and self.error is not None and blocks:
            this.failures.append(Failure(blocks[0], self.error))
            return self._reading(this, round_ms)
        self._do_certainly(this)
        if self._judge.finished(this):
            self._wanted.add(Job.IDENTITY)
        if away and not self.away and job is not Job.IDENTITY:
            self._wanted.add(Job.IDENTITY)  # the meter may have been replaced meanwhile
        reading = self._reading(this, round_ms)
        reading = inverted(reading) if self.meter.invert else reading
        self._counts = (requester.answered, requester.failed)
        if not self._believed.held:
            self._conclude(reading, *self._counts)
        return reading

    def _do_certainly(self, this: Round) -> None:
        """Do the job, again if answers to another master's questions came in between."""
        believed, patience_s = self._believed, self.meter.timeout or self._bus.config.timeout
        for _ in range(TRIES):
            believed.begin()
            try:
                self._do(this)
            except JobAborted as over:
                this.failures.append(Failure(over.block, over.error))
            this.ended = self._clock()
            if not believed.end(patience_s, rare=this.job is Job.IDENTITY):
                return
            this.builder.forget()
            this.builder.rejected.clear()
            this.failures.clear()
            if not believed.mark.sure:
                break  # the meter is just slow: asked more it would be slower
        this.failures.append(Failure(self._plan.full[this.job][0], believed.error))

    def hand_on(self, reading: Reading, then: Callable[[Reading], None]) -> None:
        """Call `then` with the last `reading`, without its values if they are not believed:
        then the job is to be done again soon."""
        held, (answered, failed) = self._believed.held, self._counts

        def told(error: BusError | None) -> None:
            known = reading if error is None else without_values(reading, error)
            if held and error is None:
                self._conclude(known, answered, failed)
            elif held:
                self._wanted.add(reading.job)
                self._conclude(known, 0, answered + failed)
            then(known)

        self._believed.hold(told)

    def _conclude(self, reading: Reading, answered: int, failed: int) -> None:
        """Take what is believed of a job for the meter's."""
        if reading.job is Job.IDENTITY:
            self._know(reading.values)
        self._account(reading, answered, failed)

    def _do(self, this: Round) -> None:
        if not self._judge.numbers_fit(this):
            return
        self._explorer.fetch_all(this)
        self._judge.fetched(this)
        self._explorer.search_on(this)
        self._judge.searched(this)

    def _know(self, values: Mapping[Quantity, Value]) -> None:
        """Take note of who answered the identity job."""
        problem = ct_problem(self.model, values)
        if problem and problem != self._ct_problem:
            log.warning("meter %s: %s", self.meter.name, problem)
        self._ct_problem = problem
        self._remembered.identified(values)

    def _reading(self, this: Round, round_ms: int) -> Reading:
        return Reading(
            meter=self.meter.name,
            role=self.meter.role,
            model=self.model.name,
            job=this.job,
            taken_ms=this.builder.taken_ms or self._now_ms(),
            round_ms=round_ms,
            values=this.builder.values,
            moments=this.builder.apart(),
            failures=tuple(this.failures),
            rejected=tuple(this.builder.rejected),
            requests=self._requester.requests,
            elapsed_ms=max(this.ended - this.started, 0.0) * 1000,
        )
