"""Questions to one meter: late answers sorted out, a silent meter left alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError, GarbledError, RefusedError, SilentError
from logger.meter.backoff import Pause
from logger.models import Model
from logger.models.plan import Block, probes, values_in

_T = TypeVar("_T")
# Hears of a block, its words, and when they were complete (monotonic, seconds).
Heard = Callable[[Block, Sequence[int], float], None]
_UNSURE_S = 0.05  # two looks at a clock further apart say nothing
# Exceptions by which a meter says that it has no such registers (V1.1b3, chapter 7).
_NO_SUCH_REGISTERS = (2, 3)
# Exceptions that mean "later": acknowledge, and busy.
BUSY = 6
_LATER = (5, BUSY)
# A meter that is away is not waited for longer than a multiple of what it took before,
# every second time: it may have become slower.
_PATIENCE, _PATIENCE_AT_LEAST_S = 8.0, 0.25


class JobAborted(Exception):  # noqa: N818 - the end of a job, not a failure of ours
    """The job ends here: the meter is away, or the line not to be trusted."""

    def __init__(self, block: Block, error: BusError) -> None:
        super().__init__(str(error))
        self.block = block
        self.error = error


def is_lacking(error: BusError) -> bool:
    """Return whether the meter, which is there, has no answer to such a block."""
    if isinstance(error, RefusedError):
        return error.code in _NO_SUCH_REGISTERS
    return isinstance(error, SilentError | GarbledError)


def is_busy(error: BusError | None) -> bool:
    """Return whether the meter asks to be asked again."""
    return isinstance(error, RefusedError) and error.code in _LATER


def answered_ms(bus: Bus, now_ms: Callable[[], int]) -> int:
    """Return when the last answer on `bus` was complete, however long ago that is by now."""
    while True:
        age_s, now = bus.answer_age_s, now_ms()
        if bus.answer_age_s - age_s < _UNSURE_S:  # else stopped in between
            return now - int(age_s * 1000)


class Requester:
    """Asks one meter for blocks. `clock` is monotonic, in seconds."""

    def __init__(
        self, bus: Bus, meter: MeterConfig, model: Model, clock: Callable[[], float]
    ) -> None:
        self.pause = Pause()
        self.requests = 0
        self.answered = 0
        self.failed = 0
        self.heard: Heard | None = None
        self._bus = bus
        self._meter = meter
        self._model = model
        self._clock = clock
        self.probes = probes(model)
        self._slowest_s: float | None = None
        self._in_full = True  # whether the next question to a meter that is away waits in full

    def ask(self, block: Block) -> list[int]:
        """Return the words of `block`.

        Raises BusError when this block failed, JobAborted when the meter is away or when
        question and answer do not match.
        """
        self.resynchronise(block)
        return self._read(block, self._timeout)

    def ask_once(self, block: Block, timeout_s: float) -> list[int]:
        """Return the words of `block` for somebody else than the log, in one question.

        Raises BusError; a meter whose late answers may still come is not asked.
        """
        if self._bus.unsure(self._meter.address):
            raise RefusedError(
                f"meter {self._meter.name}: an answer is overdue, it is asked again in its turn",
                BUSY,
            )
        return self._read(block, timeout_s)

    def write(self, address: int, words: list[int], function: int, timeout_s: float) -> None:
        """Write `words` from register `address` on. Raises BusError."""
        own = self._meter.address
        self._counted(lambda: self._bus.write(own, address, words, function, timeout_s))

    def _read(self, block: Block, timeout_s: float | None) -> list[int]:
        words = self._counted(
            lambda: self._bus.read(
                self._meter.address, block, timeout_s, lambda: values_in(self._model, block)
            )
        )
        if self.heard is not None:
            self.heard(block, words, self._clock() - self._bus.answer_age_s)
        return words

    def answered_ms(self, now_ms: Callable[[], int]) -> int:
        """Return when the last answer was complete, however long ago that is by now."""
        return answered_ms(self._bus, now_ms)

    def resynchronise(self, block: Block) -> None:
        """Make sure that the next answer is to the next question. Raises JobAborted (`block`)."""
        if not self._bus.unsure(self._meter.address):
            return
        patience_s = self._patience_s
        try:
            self._counted(
                lambda: self._bus.resynchronise(self._meter.address, self.probes, patience_s)
            )
        except SilentError as err:
            self._in_full = not self._in_full
            self.pause.silent(self._clock())
            raise JobAborted(block, err) from err
        except BusError as err:
            raise JobAborted(block, err) from err
        self._well()

    def _counted(self, question: Callable[[], _T]) -> _T:
        before = self._bus.stats.requests
        lost = 0
        try:
            found = question()
        except BusError:
            self.failed += 1
            lost = 1
            raise
        finally:
            if any(one.address == self._meter.address for one in self._bus.unsolicited):
                self._slowest_s = None  # an answer came late: the meter has become slower
            sent = self._bus.stats.requests - before
            self.requests += sent
            self.answered += max(0, sent - lost)  # behind a closed port nothing is sent
        self._well()
        latency = self._bus.latency_s
        if latency is not None:
            self._slowest_s = max(latency, 0.9 * (self._slowest_s or 0.0))
        return found

    def _well(self) -> None:
        self.pause.answered()
        self._in_full = True

    @property
    def _timeout(self) -> float | None:
        return self._meter.timeout

    @property
    def _patience_s(self) -> float:
        """How long to wait for a short answer, seconds.

        Only a meter that is away is waited for less than the whole timeout.
        """
        whole = self._timeout if self._timeout is not None else self._bus.config.timeout
        if self._slowest_s is None or self._in_full or not self.pause.length_s:
            return whole
        return min(whole, max(_PATIENCE * self._slowest_s, _PATIENCE_AT_LEAST_S))
