"""The answers of one meter: handed on when they are known to be those to our questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from logger.bus import Bus
from logger.bus.sharing import mixed_up
from logger.bus.watch import Mark
from logger.domain.errors import BusError, RefusedError
from logger.meter.requester import BUSY, Heard
from logger.models.plan import Block


class Believed:
    """The job that the meter at `address` does, and the words that it was answered with.

    `heard` hears of words that are believed, with the moment at which they came.
    """

    def __init__(self, bus: Bus, address: int) -> None:
        self.heard: Heard | None = None
        self.mark = Mark(address)
        self._sharing = bus.sharing
        self._address = address
        self._words: list[tuple[Block, Sequence[int], float]] = []

    @property
    def error(self) -> BusError:
        """Say why nothing of the last job is believed."""
        return mixed_up(self._address, sure=self.mark.sure)

    @property
    def _early(self) -> BusError:
        return BusError(
            f"address {self._address}: the line was closed before it was known whether others "
            "use it, too: nothing of this job is kept"
        )

    @property
    def held(self) -> bool:
        """Whether it is still to be seen if the last job can be believed."""
        return self.mark.held

    def nothing(self) -> None:
        """Note a job that asks nothing."""
        self.mark, self._words = Mark(self._address), []

    def take(self, block: Block, words: Sequence[int], at: float) -> None:
        """Take the words of `block`, whose answer was complete at `at`."""
        if self.heard is not None:
            self._words.append((block, words, at))

    def begin(self) -> None:
        """Begin a job; `end` ends it."""
        self.mark, self._words = self._sharing.begin(self._address), []

    def end(self, timeout_s: float, *, rare: bool, at_once: bool = False) -> bool:
        """End a job as `Sharing.end` does."""
        ambiguous = self._sharing.end(self.mark, timeout_s, rare=rare, at_once=at_once)
        if ambiguous:
            self._words = []
        elif not self.held:
            self._tell(self._words)
        return ambiguous

    def hold(self, then: Callable[[BusError | None], None]) -> None:
        """Call `then` when it is known whether the last job is believed, with why it is not;
        its words go first."""
        mark, words = self.mark, self._words

        def told(sure: bool) -> None:
            if sure and mark.held:
                self._tell(words)
            if sure:
                then(None)
            else:
                then(self._early if mark.early else mixed_up(self._address, sure=mark.sure))

        self._sharing.watch.hold(mark, told)

    def once(self, ask: Callable[[], Sequence[int]], timeout_s: float) -> Sequence[int]:
        """Return the words of one question out of turn. Raises BusError.

        It cannot be held: who asks for it waits. In the first moments on a line, and where
        an answer of others came between, the meter is called busy.
        """
        watch = self._sharing.watch
        if watch.young:
            watch.begin()
            raise RefusedError(f"address {self._address}: the line is listened to first", BUSY)
        self.begin()
        try:
            words = ask()
        finally:
            ambiguous = self.end(timeout_s, rare=True, at_once=True)
        if ambiguous:
            raise RefusedError(self.error.message, BUSY)
        return words

    def _tell(self, words: Sequence[tuple[Block, Sequence[int], float]]) -> None:
        if (heard := self.heard) is not None:
            for one in words:
                heard(*one)
