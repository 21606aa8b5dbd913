"""Fetching the blocks of one meter, and finding out which ones it answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from logger.domain.errors import BusError, GarbledError, PortError, RefusedError, SilentError
from logger.meter.adapt import AdaptivePlan, Search, named
from logger.meter.reading import Failure, ReadingBuilder
from logger.meter.requester import JobAborted, Requester, is_busy, is_lacking
from logger.models import Job, Model
from logger.models.plan import Block

log = logging.getLogger(__name__)

# How long a job may go on looking for blocks that the meter answers.
_SEARCH_S = 3.0
# A meter that says "later" is asked again after these times, seconds.
_LATER_S = (0.0, 0.05, 0.2)
# So many blocks that the meter answered before, and so many probes, show that it is well.
_WITNESSES = 2


@dataclass(slots=True)
class Round:
    """What one job has read so far. `started` and `ended` are monotonic, in seconds."""

    job: Job
    started: float
    ended: float = 0.0
    builder: ReadingBuilder = field(default_factory=ReadingBuilder)
    failures: list[Failure] = field(default_factory=list)
    repeats: int = 1


class Explorer:
    """Fetches the blocks of a plan and cuts those that the meter does not answer.

    `now_ms` gives the time, milliseconds UTC; `clock` is monotonic, in seconds.
    `changed` is called when the plan has changed; `lasting` tells that jobs are to follow.
    """

    def __init__(
        self,
        meter: str,
        model: Model,
        plan: AdaptivePlan,
        requester: Requester,
        *,
        now_ms: Callable[[], int],
        clock: Callable[[], float],
        changed: Callable[[], None],
        lasting: bool,
    ) -> None:
        self._meter = meter
        self._model = model
        self._plan = plan
        self._requester = requester
        self._now_ms = now_ms
        self._clock = clock
        self._changed = changed
        self._lasting = lasting
        self._busy = False  # whether the log has told that the meter says "later"

    def ask(self, block: Block, this: Round | None) -> BusError | None:
        """Ask for `block` and keep its values; return why it failed, if it did."""
        try:
            words = self._requester.ask(block)
        except PortError as err:
            raise JobAborted(block, err) from err
        except BusError as err:
            return err
        if this is not None:
            at_ms = self._requester.answered_ms(self._now_ms)
            registers = self._model.of_job(this.job)
            this.builder.take(self._model, registers, block, words, at_ms)
        return None

    def fetch_all(self, this: Round) -> None:
        """Ask for the blocks of the job; those that are cut are now and then tried in full."""
        done = self._try_in_full(this)
        for block in self._plan.blocks(this.job):
            if block != done and block not in self._plan.searches:
                self._fetch(block, this)

    def _fetch(self, block: Block, this: Round) -> None:
        error = self._ask_patiently(block, this)
        if error is not None and not isinstance(error, RefusedError) and this.repeats > 0:
            this.repeats -= 1
            error = self._ask_patiently(block, this)
        if error is None:
            self._plan.worked(block)
            return
        if isinstance(error, GarbledError):
            self._requester.resynchronise(
                block
            )  # on a line full of noise short answers are lost, too
        if not is_lacking(error) or not self._plan.failed(
            block, this.job, self._clock(), garbled=isinstance(error, GarbledError)
        ):
            this.failures.append(Failure(block, error))

    def _ask_patiently(self, block: Block, this: Round | None) -> BusError | None:
        """Ask like `ask`, and some more times where the meter says "later"."""
        error = self.ask(block, this)
        for wait_s in _LATER_S:
            if not is_busy(error):
                break
            if not self._busy:
                self._busy = True
                log.info("meter %s: %s; it is asked again, now and later", self._meter, error)
            time.sleep(wait_s)
            error = self.ask(block, this)
        return error

    def search_on(self, this: Round) -> None:
        """Go on looking for the parts of blocks that the meter does not answer as a whole."""
        for block, search in list(self._plan.searches.items()):
            mine = any(block.holds(register) for register in self._model.of_job(this.job))
            if mine:
                for part in search.parts:  # found in an earlier job: its values go on
                    self.ask(part, this)
            error = self._search(search, this if mine else None, self._clock() + _SEARCH_S)
            left = search.block
            if search.baseless or left is None:
                if left is None and self._plan.finish(block, self._now_ms()):
                    self._tell(block, search)
                    continue
                self._plan.give_up(block, self._clock())
            if mine and not self._whole(block, this):
                at = left or block
                this.failures.append(
                    Failure(at, error or SilentError(f"{at} is still to be tried"))
                )

    def _search(self, search: Search, this: Round | None, until: float) -> BusError | None:
        """Put the questions of `search`; return the error that ended it, or the last one."""
        error: BusError | None = None
        while (part := search.block) and self._clock() < until:
            if search.baseless and not self._is_well(search):
                break
            failed = self._ask_patiently(part, this)
            if isinstance(failed, GarbledError):
                self._requester.resynchronise(part)
                failed = self._ask_patiently(part, this)
            error = failed or error
            if failed is not None and not is_lacking(failed):
                break
            if isinstance(failed, SilentError | GarbledError):
                self._requester.resynchronise(part)  # a meter that went away refuses nothing
            search.record(failed is None)
        return error

    def _is_well(self, search: Search) -> bool:
        """Return whether the meter answers anything: one that restarts refuses everything."""
        known = self._plan.proven()[:_WITNESSES]
        for block in dict.fromkeys((*known, *self._requester.probes[:_WITNESSES])):
            error = self.ask(block, None)
            if error is None:
                search.evident = True
                return True
            if isinstance(error, SilentError | GarbledError):
                self._requester.resynchronise(block)
        return False

    def _whole(self, block: Block, this: Round) -> bool:
        """Return whether every value of `block` was read after all."""
        return all(
            register.quantity in this.builder.values
            for register in self._model.of_job(this.job)
            if block.holds(register)
        )

    def _tell(self, block: Block, search: Search) -> None:
        parts = [str(part) for part in self._plan.all_parts() if block.contains(part)]
        if parts:
            log.info(
                "meter %s: does not answer %s in one request; asked as %s from now on",
                self._meter,
                block,
                ", ".join(parts),
            )
        if search.lacking:
            again = ", tried again later" if self._lasting else ""
            text = f"does not answer {named(search.lacking)}: left out{again}"
            log.warning("meter %s: %s", self._meter, text)
        self._changed()

    def _try_in_full(self, this: Round) -> Block | None:
        """Try a block that was cut, if one is due; return it when it was read."""
        block = self._plan.to_retry(this.job, self._now_ms())
        if block is None:
            return None
        error = self.ask(block, this)
        self._plan.retried(block, error is None, self._now_ms())
        if error is None:
            log.info("meter %s: answers %s in one request again", self._meter, block)
        else:
            for register in self._plan.lacking(block, this.job):
                if self.ask(Block(register.address, register.length), this) is None:
                    self._plan.search_anew(block, this.job)
                    break
        self._changed()
        return block if error is None else None
