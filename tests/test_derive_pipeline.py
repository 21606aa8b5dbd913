"""The stages together: points of the data model, state that survives, state that cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.config.derive import Events, Price, Prices
from logger.derive.changes import MeterChanges
from logger.derive.clock import Step
from logger.derive.pipeline import Derive
from logger.domain.datamodel import MEASUREMENTS
from logger.domain.field import FieldType
from logger.domain.quantity import TARIFF
from logger.models import Job
from tests.derive_rig import T0, fast, identity, info, of, reading, slow

TYPES = {
    FieldType.FLOAT: float,
    FieldType.INTEGER: int,
    FieldType.TEXT: str,
    FieldType.BOOLEAN: bool,
}


def busy() -> Derive:
    derive = Derive([info(), info("roof", "pv")], "s")
    for name, role in (("house", "grid"), ("roof", "pv")):
        derive.feed(identity(T0, meter=name, role=role, more={"tariff": 1}))
        for number in range(3):
            derive.feed(slow(T0 + number * 60_000, 50.5 + number, 20.25, name, role))
            derive.feed(fast(T0 + number * 60_000, (266.0, 231.0, 0.0), meter=name, role=role))
    derive.feed(slow(T0 + 200_000, 0.0, 0.0))
    return derive


def test_every_point_keeps_to_the_data_model() -> None:
    derive = Derive([info(), info("roof", "pv")], "s")
    points = []
    for second in range(0, 1300, 10):
        for name, role in (("house", "grid"), ("roof", "pv")):
            at = T0 + second * 1000
            points += derive.feed(fast(at, (266.0, 231.0, 0.0), 51.0, meter=name, role=role))
            if second % 60 == 0:
                points += derive.feed(slow(at, 50.5 + second, 20.25, name, role))
    points += derive.feed(identity(T0, more={"tariff": 1})) + derive.tick(T0 + 9_000_000)
    points += derive.buffer(0.9, T0)
    assert {"power", "energy", "meter", "site", "power_1m", "event"} <= {
        point.measurement for point in points
    }
    for point in points:
        model = MEASUREMENTS[point.measurement]
        assert set(point.tags) <= {"site", *model.tags}
        for name, value in point.fields.items():
            assert type(value) is TYPES[model.fields[name].kind], (point.measurement, name)
        point.line()


def test_the_state_survives_json_and_goes_on_alike() -> None:
    first, second = busy(), Derive([info(), info("roof", "pv")], "s")
    state = first.state(stopping=True)
    assert second.restore(json.loads(json.dumps(state)))
    assert second.state(stopping=True) == state
    for number in range(4, 9):
        at = T0 + number * 60_000
        one = slow(at, number / 8, 0.125)
        assert first.feed(one) == second.feed(one)
        assert first.feed(fast(at + 30_000)) == second.feed(fast(at + 30_000))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def _paths(state: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(state, dict):
        return [at, *(p for key, value in state.items() for p in _paths(value, (*at, key)))]
    if isinstance(state, list):
        return [at, *(p for key, value in enumerate(state) for p in _paths(value, (*at, key)))]
    return [at]


@given(data=st.data(), junk=_JSON)
def test_a_state_with_anything_in_it_is_taken_or_refused_but_never_breaks(
    data: st.DataObject, junk: Any
) -> None:
    state = json.loads(json.dumps(busy().state(stopping=True)))
    path = data.draw(st.sampled_from(_paths(state)))
    if path:
        inner = state
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = junk
    else:
        state = junk
    derive = Derive([info(), info("roof", "pv")], "s")
    if not derive.restore(state):
        assert derive.state()["guard"] == {}
    for number in range(5):  # and whatever was taken can be worked with
        at = T0 + 400_000 + number * 60_000
        derive.feed(identity(at))
        derive.feed(slow(at, 60.5 + number, 30.5))
        derive.feed(fast(at, (266.0, 231.0, 0.0), meter="roof", role="pv"))
        derive.feed(fast(at))
        derive.tick(at + 30_000)
        json.dumps(derive.state(stopping=True))


def test_a_state_of_another_version_is_refused() -> None:
    derive = busy()
    assert not derive.restore({**derive.state(), "version": 99})


def test_two_readings_at_one_time_keep_apart() -> None:
    derive = Derive([info()], "s")
    points = derive.feed(fast(T0)) + derive.feed(fast(T0))
    assert [point.time_ms - T0 for point in of(points, "power") if point.tags["phase"] == "L1"] == [
        300,
        301,
    ]


def test_an_empty_reading_gives_nothing_and_is_no_sign_of_life() -> None:
    derive = Derive([info()], "s")
    assert derive.feed(reading({}, T0)) == []
    derive.tick(T0)
    assert of(derive.tick(T0 + 100_000), "event")


def test_a_meter_that_was_not_announced_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Derive([info()], "s").feed(fast(T0, meter="cellar"))


def test_facts_of_a_slow_job_become_a_point_only_when_they_change() -> None:
    changes = MeterChanges()
    kept = []
    for number, tariff in enumerate([1, 1, 2, 2, 1]):
        one = reading({"active/total/total": 1.5 + number, "tariff": tariff}, T0, Job.SLOW)
        kept.append(changes.keep(one).values.get(TARIFF))
    assert kept == [1, None, 2, None, 1]
    assert changes.keep(identity(T0, more={"tariff": 1})).values[TARIFF] == 1
    again = MeterChanges()
    again.restore(json.loads(json.dumps(changes.state())))
    assert TARIFF not in again.keep(reading({"tariff": 1}, T0, Job.SLOW)).values


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"voltage_low \(260\) is above voltage_high \(253\)"):
        Events(voltage_low=260)


def test_prices_hold_from_their_day_on() -> None:
    import datetime as dt

    first = Price(since=dt.date(2026, 1, 1), buy=0.31, buy_t2=0.22, sell=0.07)
    second = Price(since=dt.date(2026, 7, 1), buy=0.29)
    prices = Prices(valid=[second, first])
    assert prices.on(dt.date(2025, 12, 31)) is None
    assert prices.on(dt.date(2026, 6, 30)) is first
    assert prices.on(dt.date(2026, 7, 1)) is second
    assert (first.buying("T1"), first.buying("T2"), first.buying("total")) == (0.31, 0.22, 0.31)
    with pytest.raises(ValueError, match="two prices begin on 2026-01-01"):
        Prices(valid=[first, first])


@pytest.mark.parametrize(
    ("first", "size_ms"),
    [(True, 5_000_000_000), (False, 3_600_000), (False, -61_000), (False, -5_000_000_000)],
)
def test_a_reading_under_way_when_the_clock_is_moved_gets_the_new_time(
    size_ms: int, first: bool
) -> None:
    derive = Derive([info()], "s")
    derive.clock_step(Step(T0 + 1000, T0 + 1000 + size_ms, first=first))
    points = derive.feed(fast(T0 + 900))  # stamped by the clock as it was
    assert {p.time_ms for p in of(points, "power")} == {T0 + 1200 + size_ms}
    points = derive.feed(fast(T0 + 2000 + size_ms))
    assert {p.time_ms for p in of(points, "power")} == {T0 + 2300 + size_ms}
    derive.tick(T0 + 32_000 + size_ms)
    points = derive.feed(fast(T0 + 60_000 + size_ms))
    assert {p.time_ms for p in of(points, "power")} == {T0 + 60_300 + size_ms}
    minutes = of(derive.tick(T0 + 400_000 + size_ms), "power_1m")
    assert len({p.time_ms for p in minutes}) == 1
