"""Whether what a job brought can be the values of the meter that is configured.

A job is looked at in steps: before it (`numbers_fit`: is the meter set as its table says?), in it
(`fetched`, `searched`), and when it is over (`finished`).
"""

from __future__ import annotations

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.domain.errors import (
    BusError,
    EncodingError,
    PortError,
    RefusedError,
    SilentError,
    StrangerError,
)
from logger.meter.adapt import AdaptivePlan
from logger.meter.explore import Round
from logger.meter.guard import DataTypeGuard
from logger.meter.modelcheck import ModelCheck
from logger.meter.reading import Failure
from logger.meter.requester import JobAborted, Requester
from logger.meter.steps import CounterSteps
from logger.models import Job, Model

# A device that refuses everything for so long does not just restart.
_REFUSES_FOR_S = 20.0


class Judge:
    """Judges the jobs of one meter; `foreign` accepts a meter of another model.

    Asks the meter itself, by `requester` and on `bus`, where the values do not tell.
    """

    def __init__(
        self,
        bus: Bus,
        meter: MeterConfig,
        model: Model,
        plan: AdaptivePlan,
        requester: Requester,
        *,
        foreign: bool,
    ) -> None:
        self._address = meter.address
        self._plan = plan
        self._requester = requester
        self._foreign = foreign
        self._data_type = DataTypeGuard(model, meter.name)
        self._model_check = ModelCheck(bus, meter, model)
        self._steps = CounterSteps(model)
        self._refusing_since: float | None = None

    @property
    def wrong(self) -> BusError | None:
        """What is wrong with the configured model, None when nothing is known to be."""
        return self._model_check.wrong

    @property
    def takes_foreign(self) -> bool:
        """Whether values are taken by a table that is not the meter's own."""
        return self._foreign and not self._model_check.another_kind

    def numbers_fit(self, this: Round) -> bool:
        """Return whether the meter's numbers mean what its table says; ask where needed."""
        guard = self._data_type
        if guard.to_ask(this.job):
            try:
                guard.heard(self._requester.ask(guard.block))
            except RefusedError:
                guard.refused()
            except PortError as err:
                raise JobAborted(guard.block, err) from err
            except BusError as err:
                this.failures.append(Failure(guard.block, err))
                return False
        if guard.wrong is not None and this.job is not Job.IDENTITY:
            this.failures.append(Failure(guard.block, guard.wrong))
            return False
        return True

    def fetched(self, this: Round) -> None:
        """Look at what the blocks of the plan gave: is it the model that is configured?"""
        if this.builder.values:
            self._data_type.answered()
        if this.job is Job.IDENTITY or self._plan.searches:
            lacking = bool(self._plan.searches or self._plan.cuts)
            self._model_check.check(this.builder.values, lacking)

    def searched(self, this: Round) -> None:
        """Ask for the data type again, if values look as if it was changed."""
        if self._data_type.suspicious(this.builder.rejected) and not self.numbers_fit(this):
            this.builder.forget()

    def finished(self, this: Round) -> bool:
        """Look at what a whole job came to: another model, or no Inepro meter at all?

        What cannot be is taken out of it. Return whether the identity job should follow.
        """
        if this.job is Job.IDENTITY:
            self._identify(this)
        (block, *_) = self._plan.full[this.job] or (None,)
        if block is None:
            return False
        values, rejected, failures = this.builder.values, this.builder.rejected, this.failures
        doubtful = False
        if self.wrong is not None and not self.takes_foreign:
            values.clear()
            failures.append(Failure(block, self.wrong))
        elif this.job is not Job.IDENTITY and this.builder.meaningless:
            first = rejected[0]
            values.clear()
            text = (
                f"the values of the {this.job} job cannot be true: {first.quantity}: {first.reason}"
            )
            failures.append(Failure(block, EncodingError(text, "is it another model?")))
            doubtful = True
        if self._steps.odd(values, this.ended):
            doubtful = True  # another meter, perhaps of another model
        self._refusals(this)
        return doubtful

    def _identify(self, this: Round) -> None:
        """See whether the numbers of who answered the identity job mean what they should."""
        guard = self._data_type
        guard.identified(this.builder.values)
        if guard.wrong is not None:
            this.failures.append(Failure(guard.block, guard.wrong))

    def _refusals(self, this: Round) -> None:
        """Say of a device that refuses everything for a while that it is no meter."""
        failures = this.failures
        error = failures[-1].error if failures else None
        if this.builder.values or not isinstance(error, RefusedError):
            if this.builder.values or isinstance(error, SilentError):
                self._refusing_since = None
            return
        if self._refusing_since is None:
            self._refusing_since = this.started
        if this.started - self._refusing_since >= _REFUSES_FOR_S:
            text = f"{error.message}, as everything for a while: another device than a meter"
            hint = f"who is at address {self._address}? See inepro-logger scan"
            refused = Failure(self._plan.full[this.job][0], StrangerError(text, error.code, hint))
            failures.append(refused)
