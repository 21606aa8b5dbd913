"""M-Bus in the configuration: addresses, speeds, models, and intervals that fit the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from logger.bus import busload
from logger.config import Config, load_config
from logger.domain.errors import ConfigError
from logger.models import Job, load
from tests.running import command

HEAD = '[site]\nname = "home"\n[[bus]]\nname = "b"\nprotocol = "mbus"\nport = "/dev/null"\n'


def meter(name: str, place: str, model: str = "pro380-mb", more: str = "") -> str:
    return f'[[bus.meter]]\nname = "{name}"\nmodel = "{model}"\nrole = "load"\n{place}\n{more}\n'


def loaded(tmp_path: Path, *meters: str, head: str = HEAD) -> Config:
    file = tmp_path / "logger.toml"
    file.write_text(head + "".join(meters), encoding="utf-8")
    return load_config(file)


def test_an_mbus_line_has_its_own_usual_speed_and_addresses(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        meter("a", "address = 0"),
        meter("b", 'secondary = "22091039"'),
        meter("c", "address = 250"),
    )
    (bus,) = config.bus
    assert (bus.baudrate, bus.parity, bus.stopbits) == (2400, "even", 1)
    assert [one.address for one in bus.meter] == [0, 253, 250]
    assert config.interval(bus.meter[0], Job.FAST) == 10.0
    assert config.interval(bus.meter[0], Job.SLOW) == 60.0


@pytest.mark.parametrize(
    ("meters", "message"),
    [
        ((meter("a", "address = 251"),), "has 0 to 250"),
        ((meter("a", "address = 253"),), "selected by its number"),
        ((meter("a", 'address = 3\nsecondary = "22091039"'),), "selected by its number"),
        ((meter("a", "address = 254"), meter("b", "address = 1")), "alone on its line"),
        ((meter("a", "address = 1"), meter("b", "address = 1")), "given to 'a' and 'b'"),
        (
            (meter("a", 'secondary = "22091039"'), meter("b", 'secondary = "22091039"')),
            "22091039 is given to 'a' and 'b'",
        ),
        ((meter("a", 'secondary = "2209103"'),), "secondary"),
        ((meter("a", "address = 1", "pro380"),), 'protocol = "modbus"'),
        ((meter("a", "address = 1", "pro380-mb+x"),), "no option 'x'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, meters: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, *meters)
    assert message in str(caught.value)


def test_an_mbus_meter_is_refused_on_modbus_and_modbus_keeps_its_addresses(tmp_path: Path) -> None:
    modbus = HEAD.replace('protocol = "mbus"\n', "")
    with pytest.raises(ConfigError, match="a pro380-mb speaks M-Bus, bus 'b' Modbus"):
        loaded(tmp_path, meter("a", "address = 1"), head=modbus)
    with pytest.raises(ConfigError, match="no secondary address on Modbus"):
        loaded(tmp_path, meter("a", 'secondary = "22091039"', "pro380"), head=modbus)
    with pytest.raises(ConfigError, match="greater than or equal to 1"):
        loaded(tmp_path, meter("a", "address = 0", "pro380"), head=modbus)
    with pytest.raises(ConfigError, match="does not speak 19200 baud"):
        loaded(tmp_path, meter("a", "address = 1"), head=HEAD + "baudrate = 19200\n")


def test_a_telegram_of_nine_records_takes_what_its_bytes_take(tmp_path: Path) -> None:
    config = loaded(tmp_path, meter("a", "address = 1"))
    (bus,) = config.bus
    took = busload.telegram_s(bus, load("pro380-mb"))
    assert took - busload.MBUS_DELAY_S == pytest.approx(0.394, abs=0.001)
    models = {"pro380-mb": load("pro380-mb")}
    load_by_job = busload.loads(config, bus, models)
    assert load_by_job[Job.SLOW] == pytest.approx(took / 60)
    assert load_by_job[Job.FAST] == load_by_job[Job.IDENTITY] == 0  # 3600 s are 60 times 60 s
    assert busload.fastest(config, bus, models) is None


def test_jobs_that_are_due_together_cost_one_telegram(tmp_path: Path) -> None:
    config = loaded(tmp_path, meter("a", "address = 1", "ambition-2pu-mb", 'slow = "25s"'))
    (bus,) = config.bus
    models = {"ambition-2pu-mb": load("ambition-2pu-mb")}
    took = busload.telegram_s(bus, models["ambition-2pu-mb"])
    found = busload.loads(config, bus, models)
    assert found[Job.FAST] == pytest.approx(took / 10)
    assert found[Job.SLOW] == pytest.approx(took / 25)  # 25 s is no multiple of 10 s
    assert found[Job.IDENTITY] == 0


def test_a_selected_meter_and_one_that_is_woken_cost_more(tmp_path: Path) -> None:
    plain = loaded(tmp_path, meter("a", "address = 1"))
    chosen = loaded(tmp_path, meter("a", 'secondary = "22091039"'))
    woken = loaded(tmp_path, meter("a", "address = 1", "pro380-mb+phase_values"))
    times = [
        busload.job_s(config.bus[0], load(config.bus[0].meter[0].model), Job.SLOW)
        for config in (plain, chosen, woken)
    ]
    assert times[0] < times[1] < times[2]
    assert times[2] > 2 * times[0]


def test_intervals_that_cannot_fit_are_refused_with_what_would(tmp_path: Path) -> None:
    many = [meter(f"m{n}", f"address = {n}", "ambition-2pu-mb") for n in range(12)]
    loaded(tmp_path, *many)
    done = command("config", "check", "--config", str(tmp_path / "logger.toml"))
    assert done.returncode == 2
    assert "12 meters at 2400 baud would keep the line busy 146% of the time" in done.stderr
    # 16 s would do for the telegrams, but the slow jobs every 60 s would need their own then.
    assert 'intervals.fast = "20s" would fit' in done.stderr
    fitting = 'fast = "20s"\n'
    loaded(tmp_path, *(one + fitting for one in many))
    done = command("config", "check", "--config", str(tmp_path / "logger.toml"))
    assert done.returncode == 0, done.stderr
    too_often = [meter(f"m{n}", f"address = {n}", more='slow = "20s"') for n in range(60)]
    loaded(tmp_path, *too_often)
    done = command("config", "check", "--config", str(tmp_path / "logger.toml"))
    assert "read the counters less often" in done.stderr
