"""The counter guard at its bounds: how much, how long, how many further readings.

One counter alone (no sums) of a meter of 100 A: 100 A x 276 V x 3 x 1.5 = 124.2 kW, so
0.0345 kWh a second.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from logger.derive.counters import CounterGuard
from logger.derive.registers import GuardResult
from logger.domain.quantity import IMPORT_TOTAL, Quantity
from logger.domain.wiring import NEUTRAL_PHASES
from logger.models import Job, Value
from tests.derive_rig import T0, identity, reading, slow

DAY_COUNTER = Quantity("day_counter", "total", "total")
PHASES = [Quantity("active_import", phase, "total") for phase in NEUTRAL_PHASES]
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
D = Decimal


class Alone:
    """A guard that knows one counter of one meter; every call is one reading."""

    def __init__(self, start: str = "5000.0000", key: Quantity = IMPORT_TOTAL) -> None:
        self.guard, self.key, self.at = CounterGuard(), key, T0
        self.guard.feed(identity(T0))
        self.verdicts: list[GuardResult] = []
        self.read(start, 0)
        self.read(start, MINUTE)

    def read(self, value: str, later_ms: int = MINUTE) -> list[str]:
        """Return what passes of a reading so much later."""
        self.at += later_ms
        passed, verdicts = self.guard.feed(reading({self.key: D(value)}, self.at, Job.SLOW))
        self.verdicts += verdicts
        return [str(each.values[self.key]) for each in passed if self.key in each.values]


@pytest.mark.parametrize(
    ("start", "value", "passes"),
    [
        # 0.0345 kWh and twice the last digit of the display, 0.01
        ("5000.0000", "5000.0544", True),
        ("5000.0000", "5000.0546", False),
        # and twice the step of a float32, 0.03125, where that is more
        ("412345.0000", "412345.0969", True),
        ("412345.0000", "412345.0971", False),
        # the larger of both values' steps counts: 0.0156 below 262,144 and 0.03125 above
        ("262143.9500", "262144.0469", True),
        ("262143.9500", "262144.0471", False),
    ],
)
def test_a_rise_may_be_amps_by_time_and_the_last_digits(
    start: str, value: str, passes: bool
) -> None:
    assert Alone(start).read(value, SECOND) == ([value] if passes else [])


@pytest.mark.parametrize(("value", "passes"), [("4.9456", True), ("4.9454", False)])
def test_a_counter_that_may_fall_is_bounded_in_both_directions(value: str, passes: bool) -> None:
    key = Quantity("active", "total", "total")
    assert Alone("5.0000", key).read(value, SECOND) == ([value] if passes else [])


def test_a_day_counter_never_falls_unnoticed_but_may_start_anew() -> None:
    counter = Alone("5.0000", DAY_COUNTER)
    assert counter.read("4.9999", SECOND) == []
    assert counter.read("4.9999") == []
    assert counter.read("4.9999") == ["4.9999"] * 3
    assert counter.verdicts == []


def test_no_rising_counter_falls_by_its_last_digit() -> None:
    assert Alone().read("4999.9999", SECOND) == []


def test_the_phase_of_a_meter_may_take_a_third() -> None:
    key = Quantity("active_import", "L1", "total")
    assert Alone("5000.0000", key).read("5000.0314", SECOND) == ["5000.0314"]
    assert Alone("5000.0000", key).read("5000.0316", SECOND) == []


@pytest.mark.parametrize(
    ("gap_ms", "passed"), [(HOUR, [["5010.0"], ["5010.5"]]), (HOUR + 1, [[], ["5010.0", "5010.5"]])]
)
def test_after_an_hour_a_rise_that_no_sum_confirms_waits_for_the_next_reading(
    gap_ms: int, passed: list[list[str]]
) -> None:
    counter = Alone()
    assert [counter.read("5010.0", gap_ms), counter.read("5010.5")] == passed
    assert counter.verdicts == []


@pytest.mark.parametrize(("gap_ms", "further"), [(HOUR, 2), (HOUR + 1, 1)])
def test_after_an_hour_a_rise_beyond_the_bound_needs_one_reading_less(
    gap_ms: int, further: int
) -> None:
    counter = Alone()
    assert counter.read("9000.0", gap_ms) == []
    for number in range(1, further):
        assert counter.read(f"9000.{number}") == []
    assert len(counter.read("9000.5")) == further + 1
    assert len(counter.verdicts) == 1


def test_after_an_hour_a_fall_needs_as_many_as_ever() -> None:
    counter = Alone()
    assert counter.read("12.0", HOUR + 1) == []
    assert counter.read("12.5") == []
    assert counter.read("12.75") == ["12.0", "12.5", "12.75"]


def test_as_many_further_readings_must_agree_as_configured() -> None:
    for agree in (1, 2, 3):
        counter = Alone()
        counter.guard = CounterGuard(agree=agree)
        counter.read("5000.0", 0)
        counter.read("5000.0")
        assert [len(counter.read("12.5")) for _ in range(agree + 1)] == [0] * agree + [agree + 1]


@pytest.mark.parametrize(
    ("next_value", "agrees"), [("12.5544", True), ("12.5546", False), ("12.4999", False)]
)
def test_held_values_agree_within_amps_by_time_and_the_last_digits(
    next_value: str, agrees: bool
) -> None:
    counter = Alone()
    assert counter.read("12.5000", SECOND) == []
    assert counter.read(next_value, SECOND) == []
    assert bool(counter.read(next_value, SECOND)) is agrees


def test_held_values_of_a_large_counter_agree_within_a_step_of_its_float() -> None:
    counter = Alone("500000.0")
    assert counter.read("412345.0000", SECOND) == []
    assert counter.read("412345.0969", SECOND) == []
    assert len(counter.read("412345.0969", SECOND)) == 3


@pytest.mark.parametrize(
    ("value", "breaks"),
    [
        ("4999.9960", 0),  # four times the last digit, 0.001
        ("4999.9959", 1),
        ("5000.1240", 1),  # beyond amps by time, even after three seconds
    ],
)
def test_a_counter_within_its_noise_just_goes_on(value: str, breaks: int) -> None:
    counter = Alone("5000.0000")
    for _ in range(3):
        passed = counter.read(value, SECOND)
    assert passed == [value] * 3
    assert len(counter.verdicts) == breaks


@pytest.mark.parametrize(
    ("after", "counted"), [("0.0384", "0.0384"), ("0.0386", "0"), ("12.5000", "0")]
)
def test_what_a_counter_surely_counted_since_a_reset(after: str, counted: str) -> None:
    """From zero to what amps and time allow, 0.0345 kWh, and four last digits."""
    counter = Alone()
    for _ in range(3):
        counter.read(after, SECOND)
    (verdict,) = counter.verdicts
    (found,) = verdict.breaks
    assert (found.counted, found.after) == (D(counted), D(after))


def test_a_moved_clock_forgets_what_was_held_and_makes_no_gap() -> None:
    counter = Alone()
    assert counter.read("12.5") == []
    counter.guard.clock_step(2 * HOUR)
    counter.at += 2 * HOUR
    assert counter.guard.holding() == set()
    assert counter.read("12.75") == []
    assert counter.read("13.0") == []
    assert counter.read("13.25") == ["12.75", "13.0", "13.25"]
    counter.guard.clock_step(2 * HOUR)
    counter.at += 2 * HOUR
    assert counter.read("13.5") == ["13.5"]  # a minute has passed, and not two hours


def phases(residual: str, number: int = 0) -> dict[Quantity, Value]:
    """Return a total that exceeds the sum of its phases by `residual`; all rise by `number`."""
    rise = D(number) / 4
    values: dict[Quantity, Value] = {PHASES[n]: 250 + rise for n in (0, 1)}
    return {**values, PHASES[2]: D(500), IMPORT_TOTAL: 1000 + 2 * rise + D(residual)}


def all_pass(rests: list[str]) -> bool:
    """Return whether every value passes, of readings whose sums are off by `rests`."""
    guard = CounterGuard()
    guard.feed(identity(T0))
    for number, residual in enumerate(rests):
        values = phases(residual, number)
        passed, _ = guard.feed(reading(values, T0 + MINUTE * number, Job.SLOW))
        if set(passed[-1].values) != set(values):
            return False
    return True


def test_rounding_that_adds_up_slowly_is_followed() -> None:
    """The last digit is 0.001, so four values may be off by 0.004 at once."""
    drift = [f"{0.0004 * number:.4f}" for number in range(100)]
    assert all_pass(drift)
    assert not all_pass(["0", "0", "0", "0.0041"])


def test_rounding_that_goes_to_and_fro_is_not() -> None:
    assert all_pass(["0", *("0.0032", "-0.0032") * 20])
    assert not all_pass(["0", *("0.0032",) * 3, "-0.0040"])


def test_a_sum_is_relied_on_after_three_readings_in_a_row() -> None:
    """A meter whose total is off its phases by a constant: not known before it was seen."""
    for further, caught in ((2, False), (3, True)):
        guard = CounterGuard()
        guard.feed(identity(T0))
        # the first waits for the second
        for number, residual in enumerate(["5.0"] * (2 + further) + ["5.5"]):
            passed, _ = guard.feed(reading(phases(residual), T0 + MINUTE * number, Job.SLOW))
        assert (IMPORT_TOTAL not in passed[-1].values) is caught


def test_a_swap_forgets_how_the_sums_held() -> None:
    guard = CounterGuard()
    guard.feed(identity(T0))
    for number in range(5):
        guard.feed(reading(phases("5.0"), T0 + MINUTE * number, Job.SLOW))
    guard.feed(identity(T0 + 5 * MINUTE, serial="30001122"))
    for number in (5, 6):
        passed, _ = guard.feed(slow(T0 + MINUTE * number, 7000.5, 0.0))
    assert IMPORT_TOTAL in passed[-1].values
    passed, verdicts = guard.feed(slow(T0 + 7 * MINUTE, 7000.625, 0.0))
    assert IMPORT_TOTAL in passed[-1].values
    assert verdicts == []


def test_held_values_of_several_counters_come_out_oldest_first() -> None:
    guard = CounterGuard()
    guard.feed(identity(T0))
    other = Quantity("reactive_import", "total", "total")

    def feed(number: int, **values: str) -> list[tuple[int, set[Quantity]]]:
        found = {
            {"other": other, "own": IMPORT_TOTAL}[name]: D(value) for name, value in values.items()
        }
        passed, _ = guard.feed(reading(dict(found), T0 + MINUTE * number, Job.SLOW))
        return [((each.round_ms - T0) // MINUTE, set(each.values)) for each in passed]

    feed(0, own="5000")
    feed(1, own="5000")
    assert feed(2, own="12.5") == [(2, set())]
    assert feed(3, other="7", own="12.75") == [(3, set())]  # a new one waits for one more
    assert feed(4, other="7", own="13") == [
        (2, {IMPORT_TOTAL}),
        (3, {other, IMPORT_TOTAL}),
        (4, {other, IMPORT_TOTAL}),
    ]


def test_the_same_serial_number_or_none_is_no_swap() -> None:
    counter = Alone()
    counter.guard.feed(identity(counter.at))
    assert counter.read("5000.5") == ["5000.5"]
    without = {"meter_amps": 100}
    counter.guard.feed(reading(without, counter.at, Job.IDENTITY))
    assert counter.read("5001.0") == ["5001.0"]
    counter.guard.feed(identity(counter.at))
    assert counter.read("5001.5") == ["5001.5"]
    assert counter.verdicts == []
