"""Questions to the meters of one line on behalf of clients.

They run on the worker of the line, when no job of the log waits for it, one at a time and
within a budget of the line's time. Equal questions that wait become one.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from logger.bus.busload import Lending
from logger.domain.errors import BusError, RefusedError
from logger.share.budget import Budget
from logger.share.pdu import Code

log = logging.getLogger(__name__)

Outcome = Sequence[int] | Code
# A question is put within this time or answered with "busy": most clients wait for a second.
PATIENCE_S = 0.8
# So many different questions wait at most.
_MOST = 32
# A register that a meter refuses is not asked for again for so long; one that it does not
# answer, though it answers others, for so long.
_REFUSED_S, _SILENT_S = 60.0, 10.0
_REMEMBERED = 256
_KNOWN = {code.value for code in Code}


@dataclass(slots=True)
class _Waiting:
    key: Hashable
    run: Callable[[], Sequence[int]]
    since: float
    done: list[Callable[[Outcome], None]] = field(default_factory=list)
    lent: bool = False
    begun: bool = False
    over: bool = False


class Demand:
    """The questions of clients to one line.

    Everything but `_do` is called on the server's thread. `lend` gives a function to the
    worker of the line; `wake` is called on that worker when an outcome is there for `tick`.
    """

    def __init__(
        self,
        lend: Callable[[Callable[[], None]], None],
        lending: Lending,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lending = lending
        self.asked = 0  # questions that were put
        self._lend = lend
        self._wake = wake
        self._clock = clock
        self._budget = Budget(lending.share, clock())
        self._waiting: OrderedDict[Hashable, _Waiting] = OrderedDict()
        self._lent: _Waiting | None = None
        self._finished: SimpleQueue[tuple[_Waiting, Outcome, float]] = SimpleQueue()
        self._known: OrderedDict[Hashable, tuple[Code, float]] = OrderedDict()

    @property
    def idle(self) -> bool:
        """Whether no question waits."""
        return not self._waiting

    def ask(
        self,
        key: Hashable,
        run: Callable[[], Sequence[int]],
        done: Callable[[Outcome], None],
        *,
        remember: bool = True,
    ) -> None:
        """Put a question; `done` hears the outcome, perhaps at once.

        `run` asks the meter, on the worker of the line; it raises BusError. Questions with the
        same `key` are one; with `remember` a refusal answers them for a while.
        """
        now = self._clock()
        code, until = self._known.get(key, (Code.BUSY, 0.0))
        if remember and now < until:
            done(code)
            return
        waiting = self._waiting.get(key)
        if waiting is None:
            if self.lending.share <= 0 or len(self._waiting) >= _MOST:
                done(Code.BUSY)
                return
            waiting = self._waiting[key] = _Waiting(key, run, now)
        waiting.done.append(done)
        self._next(now)

    def tick(self) -> None:
        """Hand out what was answered, give up what waited for too long, go on."""
        now = self._clock()
        try:
            while True:
                waiting, outcome, took_s = self._finished.get_nowait()
                self._budget.spend(took_s, now)
                self._lent = None
                self._end(waiting, outcome)
        except Empty:
            pass
        for waiting in list(self._waiting.values()):
            if not waiting.begun and now - waiting.since > PATIENCE_S:
                waiting.over = True
                self._end(waiting, Code.BUSY)
        self._next(now)

    def _end(self, waiting: _Waiting, outcome: Outcome) -> None:
        if self._waiting.get(waiting.key) is waiting:
            del self._waiting[waiting.key]
        if outcome in (Code.ILLEGAL_ADDRESS, Code.ILLEGAL_VALUE, Code.NO_ANSWER):
            assert isinstance(outcome, Code)
            keep_s = _SILENT_S if outcome is Code.NO_ANSWER else _REFUSED_S
            self._known[waiting.key] = (outcome, self._clock() + keep_s)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        for done in waiting.done:
            done(outcome)
        waiting.done.clear()

    def _next(self, now: float) -> None:
        if self._lent is not None or self._budget.left_s(now) <= 0:
            return
        waiting = next((one for one in self._waiting.values() if not one.lent), None)
        if waiting is not None:
            waiting.lent = True
            self._lent = waiting
            self._lend(lambda: self._do(waiting))

    def _do(self, waiting: _Waiting) -> None:
        """Ask the meter; on the worker of the line."""
        outcome: Outcome = Code.FAILED
        started = self._clock()
        try:
            if waiting.over:  # who asked has been told "busy"
                outcome = Code.BUSY
                return
            waiting.begun = True
            self.asked += 1
            outcome = waiting.run()
        except RefusedError as err:
            outcome = Code(err.code) if err.code in _KNOWN else Code.FAILED
        except BusError as err:
            log.debug("share: %s", err)
            outcome = Code.NO_ANSWER
        finally:
            self._finished.put((waiting, outcome, self._clock() - started))
            self._wake()
