"""What `buffer import` takes and refuses: the ranges of the data model, which hold all that this
logger stores, and no number that nothing can have measured."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from logger import models
from logger.cli import app
from logger.derive.pipeline import Derive
from logger.domain.datamodel import FIELDS, MEASUREMENT_OF, MEASUREMENTS, SCALE
from logger.domain.field import FieldType
from logger.models import Job
from tests.configs import configuration
from tests.derive_rig import T0, events, fast, identity, info, of, reading

_TAGS = "site=home,meter=grid,role=grid"
_NUMBERS = (FieldType.FLOAT, FieldType.INTEGER)


def imported(directory: Path, lines: Iterable[str]) -> Any:
    """Return what `buffer import --json` says of lines."""
    config, file = directory / "logger.toml", directory / "some.lp"
    config.write_text(configuration(("grid", "grid"), buffer={"path": "buffer.sqlite"}))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["buffer", "import", str(file), "--config", str(config), "--json"]
    done = CliRunner().invoke(app, words)
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    return json.loads(done.stdout)


def line(measurement: str, field: str, value: float, number: int) -> str:
    """Return a line with one field, at a time of its own."""
    kind = MEASUREMENTS[measurement].fields[field].kind
    text = f"{int(value)}i" if kind is FieldType.INTEGER else repr(float(value))
    return f"{measurement},{_TAGS} {field}={text} {T0 + number}"


def test_every_number_has_a_range(tmp_path: Path) -> None:
    """Without one a slip of the hand goes into reports and dashboards for ever."""
    names = [
        (measurement, name)
        for measurement, known in MEASUREMENTS.items()
        for name, field in known.fields.items()
        if field.kind in _NUMBERS
    ]
    odd = [line(*name, -(10.0**18), number) for number, name in enumerate(names)]
    found = imported(tmp_path, odd)
    assert found["points"] == 0
    assert len(found["bad"]) == len(odd)
    for (measurement, name), said in zip(names, found["bad"], strict=True):
        assert f"{measurement}.{name} is -1e+18: expected not below" in said


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("power.power_factor", 1.02, "not below -1.01 and not above 1.01"),
        ("power_1m.current_max", -12_001, "not below -12000 and not above 12000"),
        ("power.active_power", 10_000_001, "not below -10000000 and not above 10000000"),
        ("power.temperature", 151, "not below -60 and not above 150"),
        ("energy.active", 1e8, "not below -99999999 and not above 99999999"),
        ("meter.error_code", 65_536, "not below -32768 and not above 65535"),
        ("cost_15m.cost", 1.1e13, "not below -1e+13 and not above 1e+13"),
        ("cost_15m.priced_import", -33, "not below -32"),
        ("price.spot", 1_000_001, "not below -1000000 and not above 1000000"),
        ("site.grid_power", 2e9, "not below -1000000000 and not above 1000000000"),
        ("logger.reads", -1, "not below 0"),
        ("energy_15m.import", -32.5, "not below -32"),
    ],
)
def test_a_number_out_of_its_range_is_refused_with_the_range(
    tmp_path: Path, field: str, value: float, reason: str
) -> None:
    measurement, _, name = field.partition(".")
    found = imported(tmp_path, [line(measurement, name, value, 0)])
    assert found["points"] == 0
    (said,) = found["bad"]
    assert said.startswith("line 1: ")
    assert f"{field} is " in said
    assert f"expected {reason}: " in said


def test_what_a_meter_of_any_model_may_send_is_taken(tmp_path: Path) -> None:
    """The limits of its model, or what its registers hold."""
    least_of, most_of = {"int16": -(2**15)}, {"int16": 2**15 - 1, "uint16": 2**16 - 1}
    good: dict[tuple[str, float], None] = {}
    for name in models.available():
        model = models.load(name)
        for register in model.registers:
            known = FIELDS.get(register.field)
            if known is None or known.kind not in _NUMBERS:
                continue
            scale = SCALE.get(register.unit, 1)
            if (limits := model.limits.get(register.field)) is not None:
                good |= dict.fromkeys((register.field, float(at * scale)) for at in limits)
            elif known.least is None or known.least < 0:
                ends = (least_of.get(register.encoding, 0), most_of.get(register.encoding, 0))
                good |= dict.fromkeys((register.field, float(at)) for at in ends)
    lines = [line(MEASUREMENT_OF[field], field, at, n) for n, (field, at) in enumerate(good)]
    found = imported(tmp_path, lines)
    assert not found["bad"]
    assert found["points"] == len(lines) > 60


@pytest.mark.parametrize(("top", "digit"), [(99_000_000.0, 8.0), (1000.0, 0.01)])
@pytest.mark.parametrize("steps", [1, 4])
def test_a_quarter_hour_in_which_a_counter_fell_by_its_last_digits_is_taken_in_again(
    tmp_path: Path, top: float, digit: float, steps: int
) -> None:
    """A plant on transformers counts in steps of 8 kWh at last, a float32 having no finer ones."""
    derive = Derive([info(fast_ms=10_000)], "home")
    points = list(derive.feed(identity(T0, more={"meter_amps": 5, "ct_ratio": "9995"})))
    for minute in range(50):
        at_ms = T0 + minute * 60_000
        drawn = round(top if minute < 20 else top - steps * digit, 2)
        values = {"active_import/total/total": drawn, "active_export/total/total": 50.0}
        points += derive.feed(reading(values, at_ms, Job.SLOW))
        for offset in range(0, 60_000, 10_000):
            points += derive.feed(fast(at_ms + offset + 200, kilowatts=0.0))
    quarters = of(points, "energy_15m")
    assert [p.fields["import"] for p in quarters] == [0.0, pytest.approx(-steps * digit), 0.0]
    assert not events(points)
    found = imported(tmp_path, [point.line() for point in points])
    assert not found["bad"]
    assert found["points"]
