"""`init`: secrets, modes, questions; nothing is overwritten."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from logger.cli.init import init
from logger.config import load_config
from logger.config.answers import SECRETS
from logger.domain.errors import ConfigError, ExportError
from logger.simulate import VirtualLine, virtual_site
from logger.survey import place
from tests.running import command

NOON = 1_782_037_800.0  # of a summer's day

app = typer.Typer()
app.command()(init)


def run(*arguments: str | Path, keys: str = "", code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=keys)
    assert result.exit_code == code, result.output
    return result.output


def values(path: Path) -> dict[str, str]:
    rows = [row for row in path.read_text(encoding="utf-8").splitlines() if "=" in row]
    return dict(row.split("=", 1) for row in rows if not row.startswith("#"))


def test_secrets_are_random_and_for_the_owner_alone(tmp_path: Path) -> None:
    os.umask(0)
    try:
        run(tmp_path / "a", "--yes")
        run(tmp_path / "b", "--yes")
    finally:
        os.umask(0o022)
    first, second = values(tmp_path / "a" / ".env"), values(tmp_path / "b" / ".env")
    for name in SECRETS:
        assert len(first[name]) >= 24
        assert re.fullmatch(r"[\w-]+", first[name])  # no $ and nothing to quote
        assert first[name] != second[name]
    assert len({first[name] for name in SECRETS}) == len(SECRETS)
    assert stat.S_IMODE((tmp_path / "a" / ".env").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a" / "config" / "local.toml").stat().st_mode) == 0o644


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    run(tmp_path, "--yes", "--site", "first")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert len(before) == 2
    output = run(tmp_path, "--yes", "--site", "second")
    assert output.count("stays as it is") == 2
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_options_reach_the_configuration(tmp_path: Path) -> None:
    run(
        tmp_path, "--yes", "--site", "barn", "--zone", "Europe/Vienna", "--port",
        "socket://10.1.2.3:4196", "--meter", "3:grid", "--meter", "7:pv:roof", "--email",
        "a@example.org",
    )  # fmt: skip
    config = load_config(tmp_path / "config" / "local.toml")
    assert (config.site.name, config.site.timezone) == ("barn", "Europe/Vienna")
    assert config.bus[0].port == "socket://10.1.2.3:4196"
    assert [(m.name, m.address, m.role) for m in config.bus[0].meter] == [
        ("grid", 3, "grid"),
        ("roof", 7, "pv"),
    ]
    assert config.influxdb is not None
    assert config.influxdb.url == "http://influxdb:8086"
    assert config.influxdb.fast_bucket == "live"
    env = values(tmp_path / ".env")
    assert env["ALERT_EMAIL"] == "a@example.org"
    assert env["TZ"] == "Europe/Vienna"
    assert env["LOGGER_CONFIG"] == "./config/local.toml"


def test_any_name_is_written_so_that_it_reads_back(tmp_path: Path) -> None:
    site, name = 'My "home" \\ ö 🌞', 'Roof [west] "a"'
    run(tmp_path, "--yes", "--site", site, "--meter", f"3:grid:{name}")
    config = load_config(tmp_path / "config" / "local.toml")
    assert (config.site.name, config.bus[0].meter[0].name) == (site, name)


def test_an_adapter_is_named_as_the_container_sees_it(tmp_path: Path) -> None:
    port = "/dev/serial/by-id/usb-X-if00-port0"
    run(tmp_path / "a", "--yes", "--port", port)
    assert load_config(tmp_path / "a" / "config" / "local.toml").bus[0].port == f"/host{port}"
    run(tmp_path / "b", "--yes", "--port", port, "--no-docker")
    config = load_config(tmp_path / "b" / "config" / "local.toml")
    assert config.bus[0].port == port
    assert config.influxdb is not None
    assert config.influxdb.url == "http://localhost:8086"
    assert not (tmp_path / "b" / ".env").exists()


def test_a_user_without_root_gets_a_buffer_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    unit = tmp_path / "inepro-logger.service"
    monkeypatch.setattr(place, "UNITS", (unit,))

    def placed(directory: str) -> tuple[Path, Path | None, str]:
        output = run(tmp_path / directory, "--yes", "--no-docker")
        config = load_config(tmp_path / directory / "config" / "local.toml")
        assert config.influxdb is not None
        return config.buffer.path, config.influxdb.token_file, output

    service = Path("/var/lib/inepro-logger/buffer.sqlite")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    buffer, _, output = placed("root")
    assert buffer == service
    steps = [line.split(". ", 1)[1] for line in output.splitlines() if ". " in line]
    at = "/etc/inepro-logger/logger.toml"
    file = tmp_path / "root" / "config" / "local.toml"
    assert f"sudo install -D -m 640 -g inepro-logger {file} {at}" in steps
    assert any(re.fullmatch(rf"sudo \S*inepro-logger check --config {at}", one) for one in steps)
    assert "sudo systemctl enable --now inepro-logger" in steps
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    buffer, token, output = placed("user")
    assert buffer == tmp_path / "home/.local/state/inepro-logger/buffer.sqlite"
    assert token == tmp_path / "home/.config/inepro-logger/influxdb-token"
    assert f"goes into {token}" in output
    assert f"inepro-logger.service, with buffer.path {service}" in output
    unit.touch()  # the service is here: the file is for it
    assert placed("beside")[:2] == (service, Path("/etc/inepro-logger/influxdb-token"))


def test_a_few_questions_are_enough(tmp_path: Path) -> None:
    keys = ["farm", "Europe/Oslo", "socket://gw:502", "n", "2", "1", "", "grid", "house"]
    keys += ["1", "5", "grow-750", "pv", "shed", "me@example.org", "http://farm.local:3000/"]
    output = run(tmp_path, keys="\n".join([*keys, ""]))
    assert "address 1 is that of 'house' already" in output
    config = load_config(tmp_path / "config" / "local.toml")
    assert config.site.name == "farm"
    assert [(m.name, m.address, m.role, m.model) for m in config.bus[0].meter] == [
        ("house", 1, "grid", "pro380"),
        ("shed", 5, "pv", "grow-750"),
    ]
    env = values(tmp_path / ".env")
    assert env["ALERT_EMAIL"] == "me@example.org"
    assert env["GRAFANA_URL"] == "http://farm.local:3000/"


def test_the_line_is_written_as_the_meters_on_it_are_set(tmp_path: Path) -> None:
    """A port that is not there is asked for again; a pseudo-terminal has no parity."""
    site = virtual_site(7, start=NOON, meters={1: "grid", 2: "pv"})
    with VirtualLine(site.meters, clock=lambda: NOON, paced=False, parity="N") as line:
        port = line.start_pty()
        keys = ["home", "UTC", f"{tmp_path}/ttyUSB7", "y", "1-3", port, "y", "1-3"]
        keys += ["grid", "main", "pv", "roof"]
        output = run(tmp_path, "--no-docker", keys="\n".join([*keys, ""]))
    assert "ttyUSB7: no such device" in output
    (bus,) = load_config(tmp_path / "config" / "local.toml").bus
    assert (bus.port, bus.baudrate, bus.parity) == (port, 9600, "none")
    assert [(one.name, one.address, one.role) for one in bus.meter] == [
        ("main", 1, "grid"), ("roof", 2, "pv"),
    ]  # fmt: skip


def test_where_nobody_answers_other_speeds_are_offered_then_meters_are_named(
    tmp_path: Path,
) -> None:
    site = virtual_site(7, start=NOON, meters={1: "grid"})
    with VirtualLine(site.meters, clock=lambda: NOON, paced=False, parity="N") as line:
        keys = ["home", "UTC", line.start_pty(), "y", "9", "y", "1", "9", "", "load", "heatpump"]
        output = run(tmp_path, "--no-docker", keys="\n".join([*keys, ""]))
    assert "Try every other speed and parity" in output
    (bus,) = load_config(tmp_path / "config" / "local.toml").bus
    assert [(one.name, one.address) for one in bus.meter] == [("heatpump", 9)]


def test_a_line_of_many_meters_gets_an_interval_that_fits_it(tmp_path: Path) -> None:
    meters = [text for n in range(2, 61) for text in ("--meter", f"{n}:load:flat-{n}")]
    port = ("--port", "socket://127.0.0.1:4196")
    run(tmp_path, "--yes", "--no-docker", *port, "--meter", "1:grid", *meters)
    file = tmp_path / "config" / "local.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("[influxdb]")], encoding="utf-8")
    done = command("config", "check", "--config", str(file))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--meter", "300:grid"), "from 1 to 247"),
        (("--meter", "1:grid", "--meter", "1:pv"), "address 1 is that of 'grid'"),
        (("--meter", "1:grid", "--meter", "2:grid"), "a meter is called 'grid' already"),
        (("--meter", "1:gird"), "did you mean 'grid'?"),
        (("--meter", "1:grid:a\nb"), "control characters"),
        (("--meter", "1:grid", "--model", "pro830"), "did you mean 'pro380'?"),
        (("--zone", "Mars/X"), "unknown time zone"),
        (("--site", "socket://10.1.2.3:4196"), "looks like a port"),
        (("--port", "Europe/Vienna"), "no device"),
        (("--port", "tcp://10.1.2.3"), "port number is missing"),
        (("--email", "nobody"), "mail addresses"),
        (("--url", "machine:3000"), "address of Grafana"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_leave_no_file(
    tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    output = run(tmp_path, "--yes", *options, code=2)
    assert says in " ".join(output.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_a_broken_file_that_is_there_is_told_before_any_question(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    config = tmp_path / "config" / "local.toml"
    config.write_text("[site]\nname = \n", encoding="utf-8")
    result = CliRunner().invoke(app, [str(tmp_path)], input="")
    assert isinstance(result.exception, ConfigError)
    assert f"{config}: not TOML" in result.exception.message
    assert "run init again" in result.exception.hint
    assert not (tmp_path / ".env").exists()


def test_a_file_that_stays_gives_its_zone(tmp_path: Path) -> None:
    run(tmp_path, "--yes", "--zone", "Asia/Tokyo")
    (tmp_path / ".env").unlink()
    run(tmp_path, "--yes", "--zone", "Europe/Oslo")
    assert values(tmp_path / ".env")["TZ"] == "Asia/Tokyo"


def test_what_no_file_takes_is_said(tmp_path: Path) -> None:
    output = run(tmp_path, "--yes", "--no-docker", "--email", "me@example.org")
    assert "note: ALERT_EMAIL=me@example.org: no file takes it" in output
    assert "inepro-logger check --config" in output


def test_two_files_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, placed = os.link, []

    def full(source: Path, target: Path) -> None:
        placed.append(target)
        if len(placed) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        link(source, target)

    monkeypatch.setattr(os, "link", full)
    result = CliRunner().invoke(app, [str(tmp_path / "site"), "--yes"])
    assert isinstance(result.exception, ExportError)
    assert [one.name for one in placed] == ["local.toml", ".env"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("meter", ["x:grid", "1", "1:roof"])
def test_a_meter_that_cannot_be_is_refused(tmp_path: Path, meter: str) -> None:
    assert "ADDRESS:ROLE" in run(tmp_path, "--yes", "--meter", meter, code=2)
    assert not (tmp_path / ".env").exists()


def test_a_port_that_was_never_named_says_which_file_to_edit(tmp_path: Path) -> None:
    run(tmp_path, "--yes", "--port", "/dev/serial/by-id/CHANGE-ME")
    config = tmp_path / "config" / "local.toml"
    text = config.read_text(encoding="utf-8") + f'[buffer]\npath = "{tmp_path}/buffer.sqlite"\n'
    config.write_text(text, encoding="utf-8")
    said = command("read", "grid", "--config", str(config))
    assert said.returncode != 0
    assert "CHANGE-ME: no such device" in said.stderr
    assert "config/local.toml" in said.stderr


def test_a_missing_adapter_is_said(tmp_path: Path) -> None:
    if list(Path("/dev/serial/by-id").glob("*")):
        output = run(tmp_path, "--yes", "--port", "/dev/serial/by-id/CHANGE-ME")
    else:
        output = run(tmp_path, "--yes")
    assert "into `port` of config/local.toml" in output
    assert "/host/dev/serial/by-id" in output
    assert "no docker-compose.yml" in output


def test_without_docker_no_step_speaks_of_its_file(tmp_path: Path) -> None:
    output = run(tmp_path, "--yes", "--no-docker", "--port", "/dev/serial/by-id/CHANGE-ME")
    assert f"into `port` of {tmp_path / 'config' / 'local.toml'}" in output
    assert "docker" not in output.replace(str(tmp_path), "")
