"""A line that others use, too: whose answer an answer is.

Answers of others are recognised by their traces. Who takes an answer to somebody else's
question for the own one leaves the own answer over, which comes a moment later and is
then one that nobody asked for. So a job is believed when no such trace is found at its
end; where others were heard, or lengths are short, the line is listened to for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from logger.bus import apart
from logger.bus.frames import Unsolicited
from logger.bus.late import LateAnswers
from logger.bus.traffic import Traffic
from logger.bus.twice import Repeats
from logger.bus.watch import Mark, Wait, Watch
from logger.domain.errors import RefusedError, SharedLineError
from logger.models.plan import Block

_T = TypeVar("_T")
# Others mostly ask for a value or two: answers of this length are looked at twice.
_SHORT = 8
# The quiet after a job: so many times what an answer took, this at least and at most.
_QUIET, _LEAST_S, _MOST_S = 1.6, 0.01, 0.5
# An answer that took longest counts less and less.
_FADES = 0.97
# A job with answers to others' questions among its own is done so often.
TRIES = 3
# Where answers could not be told apart it is not tried again for so long, seconds.
_CROWDED_S = 20.0
# After a job that had answers of others so many answers are each looked at twice, in
# steps of so many seconds.
_CAREFUL, _STEP_S = 60, 0.01
# Where answers come twice the second one is waited for so long at least.
_SECOND_S = 0.2


class Overhears(Protocol):
    """A port that tells what came by which was not asked for.

    `asked` are requests of others; `last_answer` is the answer to our last question, and
    `took_s` how long it took.
    """

    unsolicited: tuple[Unsolicited, ...]
    asked: tuple[Unsolicited, ...]
    last_answer: bytes
    took_s: float


class Sharing:
    """Whose answers those on a line are.

    `ask` puts a question and returns the words of its answer, `listen` waits until the line
    was quiet for so many seconds (at most for so many), `wait` that something comes (see
    `Connection.wait`); `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        traffic: Traffic,
        repeats: Repeats,
        ask: Callable[[int, Block, float | None], list[int]],
        listen: Callable[[float, float], None],
        wait: Wait,
        clock: Callable[[], float],
    ) -> None:
        self.traffic = traffic
        self.repeats = repeats
        self._ask = ask
        self._listen = listen
        self._clock = clock
        self._marks: list[Mark] = []
        self._fitting: tuple[int, int, int] | None = None  # address, count, how often heard
        self._whole: set[tuple[int, Block]] = set()  # whose parts the meter refuses
        self._crowded: dict[tuple[int, int], float] = {}
        self._slowest_s = 0.0
        self._careful = 0  # how many more answers are looked at twice
        self.watch = Watch(self._marks, listen, wait, clock)

    def read(
        self,
        address: int,
        block: Block,
        timeout_s: float | None,
        values: Callable[[], Sequence[apart.Span]] | None,
    ) -> list[int]:
        """Return the words of `block`, in a way that no answer of others passes for.

        `values` tells the places of the values in it; unknown, it is one value. Raises
        like `Bus.read`.
        """
        self.watch.begin()
        taken = self.traffic.lengths(address, self._clock())

        def ask(part: Block) -> list[int]:
            for mark in self._marks:
                if mark.address == address:
                    mark.lengths.add(part.count)
            return self._sure(address, part, timeout_s)

        if block.count not in taken:
            return ask(block)
        spans = values() if values is not None else ((0, block.count),)
        if (parts := apart.parts_of(block, spans, taken)) is not None:
            return apart.read_in_parts(ask, block, parts)
        words = [(at, 1) for at in range(block.count)]
        parts = apart.parts_of(block, words, taken)
        if parts is not None and (address, block) not in self._whole:
            try:
                return apart.read_within(ask, block, parts)
            except RefusedError:
                self._whole.add((address, block))
        return self._read_alone(address, block, timeout_s)

    def _read_alone(self, address: int, block: Block, timeout_s: float | None) -> list[int]:
        where = f"address {address}, {block}"
        place, now = (address, block.count), self._clock()

        def alone(one: Block) -> list[int] | None:
            self._fitting = (address, one.count, 0)
            words = self._ask(address, one, timeout_s)
            self.listen_until_quiet(timeout_s or _MOST_S)
            _, _, others = self._fitting
            return None if others else words

        def none(_one: Block) -> list[int] | None:
            return None

        crowded = now - self._crowded.get(place, -_CROWDED_S) < _CROWDED_S
        try:
            return apart.read_alone(none if crowded else alone, block, where)
        except SharedLineError:
            if not crowded:
                self._crowded[place] = now
            raise
        finally:
            self._fitting = None

    def _sure(self, address: int, block: Block, timeout_s: float | None) -> list[int]:
        try:
            return self._ask(address, block, timeout_s)
        except RefusedError:
            if not self.traffic.wary(self._clock()):
                raise
        return self._ask(address, block, timeout_s)  # it may have been somebody else's refusal

    def sort(self, port: Overhears, late_answers: Mapping[int, LateAnswers], address: int) -> bool:
        """Sort what came by on `port`; tell whether the meter at `address` answered late."""
        now, came_late = self._clock(), False
        for answer in port.unsolicited:
            late = late_answers[answer.address]
            if self.repeats.habit and self.repeats.again(answer.frame):
                continue
            if self.repeats.belated(answer.frame):
                self._spoil(answer, sure=False)
            elif late.late(answer.count):
                came_late |= answer.address == address
            elif self.repeats.again(answer.frame):
                self._again(answer)
            else:
                self.overheard(answer, sure=late.calm(now))
        for one in port.asked:
            self.overheard(one)
        return came_late

    def overheard(self, one: Unsolicited, *, sure: bool = True) -> None:
        """Note an answer that nobody here asked for, or somebody else's request: the answer
        to that may have passed for the one to ours, where ours was lost.

        An answer that is not `sure` may be a late one to a question of our own.
        """
        if sure:
            self.traffic.heard(one.address, one.count, self._clock())
        self._spoil(one, sure=sure)

    def _again(self, answer: Unsolicited) -> None:
        """Note that the last answer came again: by itself it is no sign of another master,
        though it may be one: who asks twice in a row gets the same twice."""
        if self.repeats.habit:
            self.traffic.forget()  # the second answers were taken for somebody else's
        self._spoil(answer, sure=True)

    def _spoil(self, one: Unsolicited, *, sure: bool) -> None:
        if self._fitting is not None and self._fitting[:2] == (one.address, one.count):
            self._fitting = (one.address, one.count, self._fitting[2] + 1)
        for mark in self._marks:
            if mark.address == one.address and one.count in mark.lengths:
                mark.spoiled = True
                mark.sure |= sure

    def answered(self, port: Overhears, timeout_s: float) -> None:
        """Note that `port` has brought an answer; where it comes twice, or may be somebody
        else's, wait for what else comes."""
        self._slowest_s = max(port.took_s, _FADES * self._slowest_s)
        self.repeats.answered(port.last_answer)
        if not (self.repeats.habit or self._careful):
            return
        self._careful = max(self._careful - 1, 0)
        quiet_s = self._quiet_s(timeout_s / 4)
        if self.repeats.habit:  # it ends when it has come
            quiet_s = max(quiet_s, _SECOND_S)
        for _ in range(round(quiet_s / _STEP_S)):
            self._listen(_STEP_S, 3 * _STEP_S)
            if self.repeats.seen:
                return

    def listen_until_quiet(self, at_most_s: float) -> None:
        """Listen until what others left over would have come."""
        quiet_s = self._quiet_s(at_most_s)
        self._listen(quiet_s, 3 * quiet_s)

    def _quiet_s(self, at_most_s: float) -> float:
        return min(max(_QUIET * self._slowest_s, _LEAST_S), at_most_s, _MOST_S)

    def begin(self, address: int) -> Mark:
        """Begin a job with the meter at `address`; `end` ends it."""
        mark = Mark(address)
        self._marks.append(mark)
        return mark

    def end(self, mark: Mark, timeout_s: float, *, rare: bool, at_once: bool = False) -> bool:
        """End a job; tell whether an answer may have been one to somebody else's question.

        `rare` tells that there is time to listen, as the job is done now and then only. A
        job that is `held` now has to be told to the watch, unless it is to end `at_once`.
        """
        short = min(mark.lengths, default=_SHORT + 1) <= _SHORT
        open_question = bool(mark.lengths) and not mark.spoiled
        quiet_s = 0.0
        if open_question and (rare or short or self.traffic.wary(self._clock())):
            self.listen_until_quiet(timeout_s / 4)
        elif open_question and self.watch.wanted is not None:
            quiet_s = self._quiet_s(timeout_s / 4)
            if self.watch.listen_on(quiet_s):
                quiet_s = 0.0
        if not at_once and self.watch.keep(mark, short=short, quiet_s=quiet_s):
            return False
        self._marks.remove(mark)
        if mark.spoiled:
            self._careful = _CAREFUL
        return mark.spoiled

    def certain(self, address: int, timeout_s: float, work: Callable[[], _T]) -> _T:
        """Return what `work` finds out about a meter when no answer of others was in it.

        It is done again else. Nothing of it is held: who asks for it waits. Raises
        SharedLineError after three times, and what `work` raises.
        """
        at_once = self.watch.wanted is not None
        for _ in range(TRIES):
            mark = self.begin(address)
            try:
                found = work()
            finally:
                ambiguous = self.end(mark, timeout_s, rare=True, at_once=at_once)
            if not ambiguous:
                return found
        raise mixed_up(address, sure=mark.sure)


def mixed_up(address: int, *, sure: bool) -> SharedLineError:
    """Return the error of a job whose answers may be those to another master's questions.

    Where that is not `sure` they may as well be late ones to questions of our own.
    """
    if sure:
        return SharedLineError(
            f"address {address}: answers to another master's questions came between: nothing of "
            "this job is believed",
            "shared = true in its [[bus]] makes it read so that they are told apart; without "
            "another master, two meters may have this address",
        )
    return SharedLineError(
        f"address {address}: an answer came late, or was one to another master's question: "
        "nothing of this job is believed",
        "raise the timeout; if others ask on this line, too: shared = true in its [[bus]]",
    )
