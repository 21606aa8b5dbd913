"""No noise and no late answer ever becomes a value."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from logger.bus.late import LATE_AT_MOST_S
from logger.models import Job
from logger.simulate import QUIRKS, Quirk, quirks_named
from tests.readers import JOBS, NOW_MS, Setup, complete, fixed_meter, line_of, truth


def _values(setup: Setup, jobs: int) -> list[int]:
    """Read `jobs` jobs of every meter; fail on any value that is not the meter's.

    Returns how many values each meter gave.
    """
    truths = [truth(meter) for meter in setup.line.meters]
    counts = [0] * len(truths)
    for number in range(jobs):
        for index, (reader, right) in enumerate(zip(setup.readers, truths, strict=True)):
            setup.clock.now += 1
            reading = reader.read(JOBS[number % 3], NOW_MS)
            wrong = {k: v for k, v in reading.values.items() if right[k] != v}
            assert not wrong
            counts[index] += len(reading.values)
    return counts


class SometimesLate(Quirk):
    """One answer in five comes with the next request, whoever it is for."""

    name = "sometimes-late"

    def __init__(self) -> None:
        super().__init__()
        self._held = b""

    def spoiled(self, frame: bytes) -> list[tuple[float, bytes]]:
        if not self.dice.chance(0.2):
            return [(0.0, frame)]
        self._held += frame
        return []

    def overdue(self) -> bytes:
        held, self._held = self._held, b""
        return held


_NOISE = ("zero-bytes", "drop-bytes", "flip-bits", "split-frames", "wrong-address", "babble")


@given(
    st.lists(st.sampled_from(_NOISE), min_size=1, max_size=3, unique=True), st.integers(1, 10_000)
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_noise_gives_no_wrong_value_and_passes(names: list[str], seed: int) -> None:
    there = [fixed_meter(address=1), fixed_meter("pro380-compact", 2)]
    with line_of(*there, timeout=0.05) as setup:
        setup.line.set_quirks(quirks_named(names, seed))
        _values(setup, 6)
        setup.line.set_quirks([])
        setup.clock.now += LATE_AT_MOST_S  # what was asked in the noise is answered no more
        # The noise is over; from here on a slow machine must not look like a silent meter.
        setup.bus.config = setup.bus.config.model_copy(update={"timeout": 2.0})
        for reader in setup.readers:
            readings = [reader.read(job, NOW_MS) for job in (Job.FAST, Job.SLOW, Job.IDENTITY)]
            assert any(complete(reading) for reading in readings[:2])
            assert complete(readings[2])


def test_late_answers_are_never_taken_for_others() -> None:
    """A meter that answers one request late, over 10,000 requests on its line."""
    models = ("pro380", "pro380-legacy", "pro380-compact")
    there = [fixed_meter(model, address) for address, model in enumerate(models, start=1)]
    with line_of(*there, timeout=0.004, baudrate=115200) as setup:
        for meter in there:
            meter.identity.baudrate = 115200
        setup.line.baudrate = 115200
        for late, silent in (
            ("late-answer@1", [0]),
            ("late-answer@2", [1]),
            ("late-answer", [0, 1, 2]),
        ):
            setup.line.set_quirks(quirks_named([late]))
            counts = _values_for(setup, 2500)
            assert [number for number, count in enumerate(counts) if not count] == silent
        setup.line.set_quirks([SometimesLate()])
        assert all(_values_for(setup, 2500))
        setup.line.set_quirks([])
        setup.clock.now += LATE_AT_MOST_S  # what was asked before is answered no more
        # A slow machine must not look like a silent meter.
        setup.bus.config = setup.bus.config.model_copy(update={"timeout": 2.0})
        assert all(_values(setup, 9))
        assert setup.bus.stats.requests >= 10_000


def _values_for(setup: Setup, requests: int) -> list[int]:
    """Read until `requests` more requests went out; count the values of each meter."""
    _values(setup, 3)  # what was answered before the quirk is no matter
    until = setup.bus.stats.requests + requests
    sums = [0] * len(setup.readers)
    while setup.bus.stats.requests < until:
        sums = [a + b for a, b in zip(sums, _values(setup, 3), strict=True)]
    return sums


def test_every_quirk_of_the_simulator_is_known_here() -> None:
    assert set(_NOISE) < set(QUIRKS)
