"""What the calculation says of a line: how busy it is, and that no turn is missed."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logger.bus import busload
from logger.config import Config
from logger.domain.errors import ConfigError
from logger.models import Job, Model, load
from logger.models.plan import Block

MODELS = {"pro380": load("pro380")}
US = 1_000_000


def site(fast: Sequence[float], *, slow: float = 60.0, baudrate: int = 9600) -> Config:
    """Return a line with a PRO380 for each fast interval."""
    meters: list[dict[str, Any]] = [
        {"name": f"m{at}", "model": "pro380", "address": at, "role": "load", "fast": interval}
        for at, interval in enumerate(fast, 1)
    ]
    bus = {"name": "line", "port": "/dev/ttyUSB7", "baudrate": baudrate, "meter": meters}
    return Config.model_validate(
        {"site": {"name": "s"}, "intervals": {"slow": slow}, "bus": [bus], "buffer": {"path": "b"}}
    )


def missed(config: Config, start_s: float, seconds: float) -> int:
    """Return how many turns a line misses that takes exactly the calculated times.

    The jobs go by their deadlines, one after the other; a turn that has not begun when
    the next one is due is missed. Counters and identities are also due at the start.
    """
    bus = config.bus[0]
    took, interval = [], []
    for job in (Job.IDENTITY, Job.SLOW, Job.FAST):
        for meter in bus.meter:
            took.append(round(busload.job_s(bus, MODELS["pro380"], job) * US))
            interval.append(round(config.interval(meter, job) * US))
    now, count = round(start_s * US), 0
    turns = [(-(-now // every) * every, task) for task, every in enumerate(interval)]
    heapq.heapify(turns)
    queue: list[tuple[int, int, int]] = []
    waits: dict[int, bool] = {}  # whether a turn that is due on a multiple waits
    numbers = itertools.count()
    for task in range(2 * len(bus.meter)):
        waits[task] = False
        heapq.heappush(queue, (now + interval[task], next(numbers), task))
    end = now + round(seconds * US)
    while now < end:
        while turns[0][0] <= now:
            due, task = turns[0]
            heapq.heapreplace(turns, (due + interval[task], task))
            if task not in waits:
                heapq.heappush(queue, (due + interval[task], next(numbers), task))
            count += waits.get(task, False)
            waits[task] = True
        if not queue:
            now = turns[0][0]
            continue
        _, _, task = heapq.heappop(queue)
        del waits[task]
        now += took[task]
    return count


def test_a_transaction_is_its_characters_the_delay_and_one_silence() -> None:
    bus = site([5.0]).bus[0]
    # 8 + 5 + 2 * 48 characters of 11 bits, 20 ms, and 3.5 characters.
    assert busload.transaction_s(bus, Block(0x5002, 48)) == pytest.approx(
        (109 + 3.5) * 11 / 9600 + 0.02
    )
    fast = site([5.0], baudrate=38400).bus[0]
    assert busload.transaction_s(fast, Block(0x5002, 48)) == pytest.approx(
        109 * 11 / 38400 + 0.02 + 0.00175
    )


@pytest.mark.parametrize("count", [1, 2, 3, 5, 12, 31, 60])
def test_at_the_fastest_interval_no_turn_is_missed(count: int) -> None:
    config = site([60.0] * count)
    fastest = busload.fastest(config, config.bus[0], MODELS)
    assert fastest is not None
    just = site([round(fastest + 0.0005, 3)] * count)
    assert busload.problem(just, just.bus[0], MODELS) is None
    for start_s in (7.3, 1000.25, 7 * 3600 - 4.1):
        assert missed(just, start_s, 1200) == 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_meters_are_held_up_by_counters_before_the_line_is_full(count: int) -> None:
    config = site([60.0] * count)
    fastest = busload.fastest(config, config.bus[0], MODELS)
    assert fastest is not None
    bus = config.bus[0]
    fast, slow = (busload.job_s(bus, MODELS["pro380"], job) for job in (Job.FAST, Job.SLOW))
    assert fastest == pytest.approx(((count - 1) * fast + slow) / 0.95, rel=1e-3)
    tight = site([round(0.93 * fastest, 3)] * count)
    assert sum(busload.loads(tight, tight.bus[0], MODELS).values()) < busload.FULL
    assert missed(tight, 7.3, 1200) > 0
    with pytest.raises(ConfigError, match=r"a job of 0\.21 s .* miss its turn") as caught:
        busload.check(tight, MODELS)
    assert "would fit" in str(caught.value)


def test_a_full_line_is_refused_with_what_would_fit() -> None:
    config = site([1.5] * 12)
    with pytest.raises(ConfigError, match="12 meters at 9600 baud would keep the line busy 12"):
        busload.check(config, MODELS)
    # A line that is refused at 95 % is not told to be at its limit of 95 %.
    with pytest.raises(ConfigError, match=r"busy 95\.\d% of the time, and above 95% nothing"):
        busload.check(site([12.1] * 60), MODELS)
    fits = site([2.0] * 12)
    assert busload.problem(fits, fits.bus[0], MODELS) is None


def test_counters_alone_can_fill_a_line() -> None:
    config = site([60.0] * 5, slow=1.0)
    assert busload.fastest(config, config.bus[0], MODELS) is None


@settings(max_examples=60, deadline=None)
@given(
    fast=st.lists(st.sampled_from([0.2, 0.25, 0.4, 0.5, 0.75, 1, 2, 2.5, 5, 10]), min_size=1),
    slow=st.sampled_from([0.5, 1.0, 3.0, 7.0, 60.0]),
    baudrate=st.sampled_from([2400, 9600, 19200]),
    start_s=st.integers(0, 3600).map(lambda second: second + 0.37),
)
def test_what_is_not_refused_misses_nothing(
    fast: list[float], slow: float, baudrate: int, start_s: float
) -> None:
    config = site(fast[:30], slow=slow, baudrate=baudrate)
    model: dict[str, Model] = MODELS
    fits = busload.problem(config, config.bus[0], model) is None
    if not fits:
        fastest = busload.fastest(config, config.bus[0], model)
        if fastest is None:
            return
        config = site([round(fastest + 0.0005, 3)] * len(fast[:30]), slow=slow, baudrate=baudrate)
        if busload.problem(config, config.bus[0], model) is not None:
            raise AssertionError(f"{fastest} was said to fit")
    assert missed(config, start_s, 300) == 0
