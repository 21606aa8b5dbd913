"""The configuration: the example loads; every mistake names the place and the remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logger.config import load_config
from logger.config.alerts import Alerts
from logger.config.derive import Counters, Events
from logger.config.metrics import Metrics
from logger.config.types import size
from logger.domain.errors import ConfigError
from tests.configs import configuration
from tests.running import command

EXAMPLE = Path(__file__).parent.parent / "config" / "logger.toml"

GOOD = configuration(("grid", "grid"), ("roof", "pv"), bus="a", port="socket://127.0.0.1:5020")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "logger.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    return caught.value


def test_example_loads() -> None:
    config = load_config(EXAMPLE)
    assert [meter.name for bus in config.bus for meter in bus.meter] == ["grid", "roof"]
    assert config.influxdb is None
    assert config.intervals.identity == 3600


def test_every_commented_key_of_the_example_is_known(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_key = line.startswith("# ") and (bare.startswith("[") or " = " in bare)
        prose = not is_key or bare.startswith(("A gateway", "Durations"))
        lines.append(line if prose else bare)
    config = load_config(write(tmp_path, "\n".join(lines)))
    assert config.influxdb is not None
    assert config.influxdb.fast_bucket == "live"
    assert config.bus[0].meter[1].timeout == 2
    assert config.prices.valid[0].buy_t2 == 0.26
    # What the example shows as defaults are the defaults; these have none.
    events = Events(demand_high=5.0)
    alerts = Alerts(day_energy=30.0, fuse=25.0, power_factor=0.9)
    assert (config.events, config.counters, config.alerts) == (events, Counters(), alerts)
    assert config.metrics == Metrics()


def test_defaults_and_overrides(tmp_path: Path) -> None:
    text = GOOD.replace('role = "pv"', 'role = "pv"\nfast = "500ms"\nidentity = "10m"')
    config = load_config(write(tmp_path, text))
    grid, roof = config.bus[0].meter
    assert config.interval(grid, "fast") == 5
    assert config.interval(roof, "fast") == 0.5
    assert config.interval(roof, "slow") == 60
    assert config.interval(roof, "identity") == 600
    assert config.bus[0].character_s == pytest.approx(11 / 9600)


def test_relative_paths_start_beside_the_file(tmp_path: Path) -> None:
    text = GOOD + '[buffer]\npath = "state/buffer.sqlite"\n'
    assert load_config(write(tmp_path, text)).buffer.path == tmp_path / "state/buffer.sqlite"


@pytest.mark.parametrize(
    ("old", "new", "line", "says", "hint"),
    [
        ('port = "socket', 'prot = "socket', 6, "unknown key", "did you mean 'port'?"),
        ("address = 2", 'address = "two"', 17, "should be a whole number, not", "without quotes"),
        ("address = 2", "address = 0", 17, "greater than or equal to 1", ""),
        ("address = 2", "address = 248", 17, "less than or equal to 247", ""),
        ("address = 2", 'address = "2"', 17, "should be a whole number, not", "without quotes"),
        ("address = 2", "address = 1", 17, "address 1 is given to 'grid' and 'roof'", "modbus_id"),
        ('name = "roof"', 'name = "grid"', 15, "two meters are called 'grid'", "differ"),
        ('role = "pv"', "role = pv", 18, "not TOML", 'text needs quotes: role = "pv"'),
        ('0"\naddress = 2', '8"\naddress = 2', 16, "unknown model", "'pro380'"),
        ('role = "pv"', 'role = "solar"', 18, "'pv'", ""),
        ('name = "a"', 'name = "a"\nbaudrate = 9601', 6, "9601", ""),
        ('name = "a"', 'name = "a"\nbaudrate = 115200', 6, "does not speak 115200", "9600"),
        ('name = "a"', 'name = "a"\nparity = "mark"', 6, "'even'", ""),
        ('name = "home"', 'name = "home"\n[intervals]\nfast = 0', 4, "greater than 0", ""),
        ('name = "home"', 'name = "home"\n[intervals]\nslow = "-1s"', 4, "not a duration", ""),
        ('name = "home"', 'name = "home"\n[intervals]\nslow = 300', 4, "write 300ms, 300s or", ""),
        ('name = "home"', 'name = "home"\n[intervals]\nslow = true', 4, "expected a duration", ""),
        ('name = "home"', 'name = "home"\n[intervals]\nslow = "1y"', 4, "not a duration", ""),
        ('name = "home"', 'name = "home"\ntimezone = "Mars/Olympus"', 3, "unknown time zone", ""),
        ('name = "home"', 'name = "ho\\nme"', 2, "control characters", ""),
        ('name = "home"', 'name = "ho\\u2028me"', 2, "control characters", ""),
        ("socket://", "http://", 6, "expected a device", ""),
        ('[site]\nname = "home"', "[site]", 1, "missing", "add it"),
        ('name = "roof"', "name = ", 15, "not TOML", ""),
    ],
)  # fmt: skip
def test_mistakes_name_place_and_remedy(
    tmp_path: Path, old: str, new: str, line: int, says: str, hint: str
) -> None:
    assert GOOD.count(old) == 1
    error = refused(tmp_path, GOOD.replace(old, new))
    assert says in error.message
    assert hint in error.hint
    assert str(tmp_path / "logger.toml") in error.message
    if "not TOML" in says:
        assert f"line {line}, column" in error.message
    else:
        assert f"logger.toml:{line}:" in error.message


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is a directory"):
        load_config(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b'name = "caf\xe9"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(path)


def test_token_from_file_then_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = '[influxdb]\nurl = "http://localhost:8086"\nbucket = "energy"\n'
    monkeypatch.delenv("INFLUXDB_TOKEN", raising=False)
    influx = load_config(write(tmp_path, GOOD + section)).influxdb
    assert influx is not None
    with pytest.raises(ConfigError, match="no InfluxDB token") as caught:
        influx.token()
    assert "token_file" in caught.value.hint
    monkeypatch.setenv("INFLUXDB_TOKEN", " from-environment\n")
    assert influx.token() == "from-environment"

    influx = load_config(write(tmp_path, GOOD + section + 'token_file = "token"\n')).influxdb
    assert influx is not None
    with pytest.raises(ConfigError, match="No such file"):
        influx.token()
    (tmp_path / "token").write_text("from-file\n", encoding="utf-8")
    assert influx.token() == "from-file"
    (tmp_path / "token").write_text("\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is empty"):
        influx.token()


def test_state_directory_of_systemd_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state{os.pathsep}/elsewhere")
    config = load_config(write(tmp_path, GOOD))
    assert config.buffer.path == tmp_path / "state" / "buffer.sqlite"


def test_sizes() -> None:
    assert size("2GiB") == 2 * 1024**3
    assert size("500 MB") == 500_000_000
    with pytest.raises(ValueError, match="expected a size"):
        size("big")


def test_all_mistakes_are_told_at_once_each_with_its_remedy(tmp_path: Path) -> None:
    text = GOOD.replace("address = 2", 'address = "two"').replace('role = "pv"', 'role = "gird"')
    text = text.replace(
        'name = "home"', 'name = "home"\ntimezone = "Mars/X"\n[buffer]\nmax_sice = 1'
    )
    text = text.replace('name = "roof"\nmodel = "pro380"', 'name = "grid"\nmodel = "pro830"')
    path = write(tmp_path, text)
    done = command("config", "check", "--config", str(path))
    assert done.returncode == 2
    assert f"{path}: 6 mistakes" in done.stderr
    told = [int(line.split(":")[1]) for line in done.stderr.splitlines() if line.startswith("/")]
    assert told[1:] == sorted(told[1:])  # in the order of the file
    for said in (
        "timezone: unknown time zone 'Mars/X'",
        "did you mean 'max_size'?",
        "two meters are called 'grid'",
        "unknown model",
        "should be a whole number, not 'two'",
        "did you mean 'grid'?",
    ):
        assert said in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "says", "hint"),
    [
        ("[[bus]]", "[bus]", "several, so its name stands in two brackets", "write [[bus]]"),
        ('[site]\nname = "home"', "", "site: missing", 'a section [site] with name = "home"'),
        ('role = "pv"', 'role = "pv"\ninvert = "yes"', "true or false, not 'yes'", "quotes"),
        ('name = "home"', "name = 5", "should be text, not 5", "quotes"),
        ("socket://127.0.0.1:5020", "ttyUSB0", "its path begins with /dev/", ""),
        ('name = "home"', 'name = "home"\n[buffer]\nmax_size = 500', "500 bytes hold next", ""),
        (
            'name = "home"',
            'name = "home"\n[intervals]\nslow = "5m"\n[alerts]\nsilent_after = "10m"',
            "600s is shorter than four slow intervals of 300s",
            'silent_after = "1200s"',
        ),
    ],
)  # fmt: skip
def test_complaints_are_in_plain_words(
    tmp_path: Path, old: str, new: str, says: str, hint: str
) -> None:
    assert GOOD.count(old) == 1
    error = refused(tmp_path, GOOD.replace(old, new))
    assert says in error.message
    assert hint in error.hint
    assert "Input" not in error.message


def test_one_device_has_one_bus(tmp_path: Path) -> None:
    first = GOOD.replace("socket://127.0.0.1:5020", "/dev/ttyUSB0")
    second = (
        first[first.index("[[bus]]") :].replace('"a"', '"b"').replace('"grid"\nmodel', '"g"\nmodel')
    )
    error = refused(tmp_path, first + second.replace('"roof"', '"r"'))
    assert "/dev/ttyUSB0 is the port of bus 'a', too" in error.message


def test_silence_is_never_expected_sooner_than_counters_come(tmp_path: Path) -> None:
    text = GOOD.replace('name = "home"', 'name = "home"\n[intervals]\nslow = "5m"')
    assert load_config(write(tmp_path, text)).alerts.silent_after == 1200
    assert load_config(write(tmp_path, GOOD)).alerts.silent_after == 600


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "logger.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_config(path) == load_config(write(tmp_path, GOOD))


def test_a_missing_file_says_what_writes_one(tmp_path: Path) -> None:
    done = command("run", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 2
    assert "inepro-logger init" in done.stderr
    assert "inepro-logger scan --port PORT --write" in done.stderr
