"""Quantities: their text in files, and that files of earlier versions still fit."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from logger import models
from logger.derive.pipeline import Derive
from logger.domain.quantity import EXPORT_TOTAL, IMPORT_TOTAL, Quantity
from logger.models import Job
from tests.derive_rig import T0, identity, info, of, reading, slow

MINUTE = 60_000


@pytest.mark.parametrize("name", models.available())
def test_each_register_is_found_by_its_text(name: str) -> None:
    model = models.load(name)
    for register in model.registers:
        quantity = Quantity.parse(register.key)
        assert quantity == (register.field, register.phase, register.tariff)
        assert str(quantity) == register.key
        assert model.by_quantity[quantity] is model.by_key[register.key]


@pytest.mark.parametrize("text", ["", "/", "voltage/", "/L1", "a//T1", "a/total/T1/L1"])
def test_a_text_that_is_no_quantity_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        Quantity.parse(text)


def test_the_state_file_writes_quantities_as_text() -> None:
    derive = Derive([info(), info("roof", "pv")], "home")
    derive.feed(identity(T0))
    for number in range(3):
        derive.feed(slow(T0 + MINUTE * number, 500.5 + number, 20.0))
        derive.feed(reading({"tariff": 1}, T0 + MINUTE * number, Job.SLOW))
    state = json.loads(json.dumps(derive.state(stopping=True)))
    counters = state["guard"]["house"]["counters"]
    assert counters["active_import/total/total"][0] == "502.5"
    assert counters["active_import/L1/total"][0] == "125.625"
    total, parts = "active_import/total/total", ("L1/total", "L2/total", "L3/total")
    assert (
        f"{total}={'+'.join(f'active_import/{part}' for part in parts)}"
        in (state["guard"]["house"]["fits"])
    )
    assert state["changes"] == {
        "house": {"serial": "22091039", "power_down_count": 7, "meter_amps": 100, "tariff": 1}
    }


def test_a_state_file_of_an_earlier_version_is_taken_up() -> None:
    """The counter was at 9000 and 1 kWh is missing to the register, by the file."""
    state = Derive([info(), info("roof", "pv")], "home").state()
    text = "active_import/total/total"
    state["guard"] = {
        "house": {
            "serial": "22091039", "former": "", "told": True, "amps": 100.0,
            "counters": {text: ["9000.0", T0 - MINUTE, False, []]}, "fits": {},
        }
    }  # fmt: skip
    state["flows"] = {
        "offset": {"house": {text: "1000.5"}, "roof": {}},
        "totals": {"house": ["grid", "10000.5", "0"], "roof": ["pv", "0", "0"]},
        "former": {},
        "highest": {},
    }
    derive = Derive([info(), info("roof", "pv")], "home")
    assert derive.restore(json.loads(json.dumps(state)))
    glitch = reading({IMPORT_TOTAL: Decimal("12.5")}, T0, Job.SLOW)
    assert of(derive.feed(glitch), "energy") == []
    good = {IMPORT_TOTAL: Decimal("9000.25"), EXPORT_TOTAL: Decimal(0)}
    for each in (
        reading(good, T0 + MINUTE, Job.SLOW),
        reading(good, T0 + 2 * MINUTE, Job.SLOW),
    ):
        found = derive.feed(each)
    found += derive.tick(T0 + 10 * MINUTE)
    assert {point.fields["grid_import"] for point in of(found, "site")} == {10000.75}


def test_a_minute_of_an_unknown_field_in_the_state_file_starts_afresh() -> None:
    derive = Derive([info()], "home")
    state = derive.state(stopping=True)
    state["minutes"] = {"house": [T0, {"L1/volts": [1, 2.5, 2.5, 2.5]}, False]}
    assert not derive.restore(state)
    assert derive.tick(T0 + 10 * MINUTE) == []
    state["minutes"] = {"house": [T0, {"L1/voltage": [1, 2.5, 2.5, 2.5]}, False]}
    assert derive.restore(state)
    (minute,) = of(derive.tick(T0 + 10 * MINUTE), "power_1m")
    assert (minute.tags["phase"], minute.fields["voltage"]) == ("L1", 2.5)
