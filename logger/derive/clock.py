"""What time it is: one clock for a whole run, and what to do while it is wrong.

Within a run time follows the elapsed time since boot, which no one can set and which
goes on while the machine sleeps. The wall clock says where it starts. A difference
below `STEP_S` is followed smoothly, a larger one that stays is a step: it is taken over
and reported.

A clock that was never set (no battery, no network yet) is not trusted. What is read
meanwhile is parked with its moment since boot and stamped once the clock is right.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

from logger.bus.elapsed import elapsed
from logger.derive.built import BUILT_MS
from logger.derive.peer import elsewhere
from logger.derive.timesync import synchronised

STEP_S = 0.5  # a difference that is too large to be followed smoothly
CONFIRM_S = 1.0  # how long a step must last before it is believed
PATIENCE_S = 900.0  # how long to wait for somebody to set the clock
_FOLLOW = 0.005  # seconds a second: how fast a small difference is made up
_HORIZON_S = 10.0  # for how long one correction may act
_UNSURE_S = 0.05  # two readings of the clocks further apart say nothing
_FAR_MS = 86_400_000
_AGREE_S = 5.0  # the time of a server has whole seconds and was a while on its way


def boot_id() -> str:
    """Return what tells this boot of the machine from all others; "" if nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""  # not Linux


@dataclass(frozen=True, slots=True)
class Machine:
    """The clocks of a machine, in seconds, and what is known about them: whether the
    kernel calls the wall clock synchronised, and whether a peer (its address, the own
    one) has another clock. `mono` goes on from the start of the machine and never goes
    back; `boot` tells one such start from another, "" when nobody can."""

    wall: Callable[[], float] = time.time
    mono: Callable[[], float] = elapsed
    kept: Callable[[], bool] = synchronised
    elsewhere: Callable[[str, str], bool] = elsewhere
    boot: Callable[[], str] = boot_id


_THIS_MACHINE = Machine()


@dataclass(frozen=True, slots=True)
class Step:
    """The clock went from `from_ms` to `to_ms`; `first` when it had never been right."""

    from_ms: int
    to_ms: int
    first: bool = False

    @property
    def size_ms(self) -> int:
        """How far it went; negative is back."""
        return self.to_ms - self.from_ms


class Clock:
    """The time of a run, in milliseconds UTC.

    `stamped_ms` is the newest time that a logger itself gave to what is in the buffer,
    None when that is not known; the times of points from elsewhere say nothing about
    this machine. `since` is the moment of `mono` when the first reading without a time was
    taken, in a run before this one. `now_ms` may be called from any thread, `check` about
    once a second from one.
    """

    def __init__(
        self,
        machine: Machine = _THIS_MACHINE,
        *,
        stamped_ms: int | None = None,
        since: float | None = None,
        not_before_ms: int = BUILT_MS,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._wall, self._mono, self._kept = machine.wall, machine.mono, machine.kept
        self._stamped_ms, self._not_before_ms = stamped_ms, not_before_ms
        self._patience_s = patience_s
        self._server: float | None = None  # a server's time minus mono
        start = self._mono()
        self._since = start if since is None else min(start, since)
        # Time at a moment of `mono`, and by how much a second it is to be corrected.
        # One tuple, so that another thread sees all of it or nothing.
        self._base = (start, self._wall(), 0.0)
        self._suspect: tuple[float, float] | None = None
        self._wrong: float | None = None  # wall minus mono of a wall clock nobody set
        self._trusted = self._believable(start, self._base[1])

    def learn(self, stamped_ms: int | None, since: float | None = None) -> None:
        """Take what is known of earlier runs, as in the constructor; before the first stamp."""
        self._stamped_ms = stamped_ms
        if since is not None:
            self._since = min(self._since, since)
        self._trusted = self._believable(self._base[0], self._base[1])

    @property
    def trusted(self) -> bool:
        """Whether points may be stamped with `now_ms`."""
        return self._trusted

    def now_ms(self) -> int:
        """Return the time; it never goes back except by a step that `check` reports."""
        return int(self._at(self._mono()) * 1000)

    @property
    def offset_ms(self) -> int:
        """What the time is ahead of `mono`: a step changes it, and what was stamped before."""
        return self.stamp_ms(0)

    def moment_ms(self, stamp_ms: int) -> int:
        """Return the moment, in milliseconds of `mono`, that got `stamp_ms`."""
        start, time_s, _ = self._base
        return stamp_ms - round((time_s - start) * 1000)

    def stamp_ms(self, moment_ms: int) -> int:
        """Return the time of a moment, in milliseconds of `mono`, of this boot."""
        start, time_s, _ = self._base
        return moment_ms + round((time_s - start) * 1000)

    def hear(self, server_s: float, mono: float) -> None:
        """Take the time of another machine, seconds since 1970, as it was at `mono`."""
        self._server = server_s - mono

    def check(self) -> Step | None:
        """Compare with the wall clock; return a step when there was one."""
        before = self._mono()
        wall = self._wall()
        mono = self._mono()
        if mono - before > _UNSURE_S:
            return None
        now = self._at(mono)
        if not self._trusted:
            return self._wait(mono, now, wall)
        if self._wrong is not None:
            if abs(wall - mono - self._wrong) < STEP_S:
                return None  # as wrong as before
            self._wrong = None
        error = wall - now
        if abs(error) < STEP_S:
            self._suspect = None
            rate = max(-_FOLLOW, min(_FOLLOW, error / _HORIZON_S))
            self._base = (mono, now, rate)
            return None
        if self._suspect is None or abs(self._suspect[1] - error) >= STEP_S:
            self._suspect = (mono, error)  # there and back again: neither is taken over
            return None
        if mono - self._suspect[0] < CONFIRM_S:
            return None
        self._suspect = None
        self._base = (mono, wall, 0.0)
        return Step(int(now * 1000), int(wall * 1000))

    def _at(self, mono: float) -> float:
        start, time_s, rate = self._base
        passed = mono - start
        return time_s + passed + rate * min(passed, _HORIZON_S)

    def _believable(self, mono: float, wall: float) -> bool:
        if wall * 1000 < self._not_before_ms:
            return False
        # By this wall clock, did this run begin after the newest stamp? If not, what
        # was read since then would fall among older points.
        started_ms = (wall - (mono - self._since)) * 1000
        if self._stamped_ms is None or started_ms > self._stamped_ms:
            return True
        if self._server is not None and abs(wall - mono - self._server) < _AGREE_S:
            return True
        return self._kept()

    def _wait(self, mono: float, now: float, wall: float) -> Step | None:
        right = wall
        if not self._believable(mono, wall):
            guess = self._guess(mono, wall)
            if guess is None:
                return None
            right = guess
            self._wrong = None if guess == wall else wall - mono
        self._base = (mono, right, 0.0)
        self._trusted = True
        if abs(right - now) < STEP_S:
            return None
        return Step(int(now * 1000), int(right * 1000), first=True)

    def _guess(self, mono: float, wall: float) -> float | None:
        """Return the best time when nobody has set the clock for long, if there is one."""
        newest = self._stamped_ms
        if newest is None or mono - self._since < self._patience_s:
            return None
        if wall * 1000 >= self._not_before_ms and newest - wall * 1000 > _FAR_MS:
            return wall  # the newest stamp, not the clock, must be wrong
        return newest / 1000 + 1 + (mono - self._since)  # time goes on where it stopped


class Stamps:
    """Sees to it that two points of one series never share a timestamp by accident.

    After a step back the same milliseconds come again. Stamps of the last `memory_ms`
    are remembered, per key; a taken one moves to the next free millisecond. Further
    back a stamp moves by the number of steps back so far, so that aligned windows stay
    apart from those of the first time.
    """

    def __init__(self, memory_ms: int = 2 * 3_600_000) -> None:
        self._memory_ms = memory_ms
        self._taken: dict[Hashable, array[int]] = {}
        self._forgot: dict[Hashable, int] = {}  # what came before this is not known
        self._back = 0

    def stepped(self, step: Step) -> None:
        """Take note of a step of the clock."""
        if step.size_ms < 0:
            self._back += 1

    def take(self, key: Hashable, stamp_ms: int) -> int:
        """Return `stamp_ms`, or the next millisecond that `key` has not used yet."""
        taken = self._taken.setdefault(key, array("q"))
        if not taken or stamp_ms > taken[-1]:
            taken.append(stamp_ms)
            self._forget(key, taken)
            return stamp_ms
        if stamp_ms < self._forgot.get(key, 0):
            stamp_ms += self._back
        place = bisect_left(taken, stamp_ms)
        while place < len(taken) and taken[place] == stamp_ms:
            stamp_ms += 1
            place += 1
        insort(taken, stamp_ms)
        return stamp_ms

    def _forget(self, key: Hashable, taken: array[int]) -> None:
        # Trimmed by eighths, so that most calls cost nothing.
        old = len(taken) // 8
        if len(taken) > 64 and taken[old] < taken[-1] - self._memory_ms:
            del taken[:old]
            self._forgot[key] = taken[0]
