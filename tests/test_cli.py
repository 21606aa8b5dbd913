"""The command line: mistakes get one clear line and exit code 2, faults exit code 1."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from logger import __version__
from logger.cli import app
from logger.cli.ondemand import COMMANDS
from logger.config import load_config
from logger.domain.errors import ConfigError
from logger.runtime.configured import check_config
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests.engines.process import free_port
from tests.running import ROOT, RunningLogger, command, wait_until
from tests.test_config import GOOD

NOBODY = 65534
FAST = GOOD.replace(
    'name = "home"',
    'name = "home"\n[intervals]\nfast = "700ms"\nslow = "5s"',
)
BUFFER = '\n[buffer]\npath = "state/buffer.sqlite"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "logger.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_version_and_help() -> None:
    assert command("version").stdout.strip() == __version__
    assert command("--version").stdout.strip() == __version__
    shown = command("--help")
    assert shown.returncode == 0
    for name in ("demo", "run", "read", "status", "simulate", "buffer", "config", "version"):
        assert name in shown.stdout


HEAVY = (
    *("apscheduler", "asyncio", "influxdb_client", "minimalmodbus", "paho", "prometheus_client"),
    *("pyarrow", "pydantic", "rich", "serial", "sqlite3", "ssl", "starlette", "urllib3", "uvicorn"),
)


def loaded(*words: str) -> set[str]:
    """Return the heavy modules that the command line `words` has loaded when it ends."""
    code = (
        "import sys, atexit\n"
        "from logger.__main__ import main\n"
        "atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr))\n"
        "sys.argv = ['inepro-logger', *sys.argv[1:]]\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stderr.startswith("loaded "), done.stderr
    return set(done.stderr.split()) & set(HEAVY)


@pytest.mark.parametrize("words", ["--help", "--version"])
def test_help_imports_nothing_heavy(words: str) -> None:
    assert loaded(*words.split()) == set()


def test_the_list_of_commands_says_what_they_say_themselves() -> None:
    group: Any = get_command(app)
    for name, (_, text) in COMMANDS.items():
        said = cleandoc(group.commands[name].help)
        assert text == " ".join(said.split("\n\n")[0].split()), name


@pytest.mark.parametrize("name", ["run", "status", "read grid", "config check"])
def test_mistakes_have_no_traceback(tmp_path: Path, name: str) -> None:
    bad = write(tmp_path, GOOD.replace("address = 2", "adress = 2"))
    done = command(*name.split(), "--config", str(bad))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"{bad}:17" in done.stderr
    assert "did you mean 'address'?" in done.stderr


def test_unreadable_file(tmp_path: Path) -> None:
    bad = write(tmp_path, GOOD)
    bad.chmod(0)
    me = os.geteuid()
    if me == 0:  # root may read every file
        os.seteuid(NOBODY)
    try:
        with pytest.raises(ConfigError, match="not readable"):
            load_config(bad)
    finally:
        os.seteuid(me)


def test_missing_token_is_a_mistake(tmp_path: Path) -> None:
    section = '[influxdb]\nurl = "http://127.0.0.1:1"\nbucket = "energy"\n'
    config = write(tmp_path, GOOD + section)
    for name in ("run", "config check"):
        done = command(*name.split(), "--config", str(config), env={"INFLUXDB_TOKEN": ""})
        assert done.returncode == 2
        assert "INFLUXDB_TOKEN" in done.stderr


@pytest.mark.parametrize("section", ["http", "metrics", "mqtt"])
def test_config_check_finds_the_package_that_run_would_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    url = '\nurl = "mqtt://127.0.0.1"' if section == "mqtt" else ""
    loaded = load_config(write(tmp_path, f"{GOOD}[{section}]{url}\n"))
    check_config(loaded)
    monkeypatch.setattr("logger.config.extras.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=rf"\[{section}\] needs the package"):
        check_config(loaded)


def test_unknown_meter(tmp_path: Path) -> None:
    done = command("read", "gird", "--config", str(write(tmp_path, GOOD)))
    assert done.returncode == 2
    assert "did you mean 'grid'?" in done.stderr


def test_schedule_that_cannot_fit(tmp_path: Path) -> None:
    text = GOOD.replace('name = "home"', 'name = "home"\n[intervals]\nfast = "100ms"')
    done = command("config", "check", "--config", str(write(tmp_path, text)))
    assert done.returncode == 2
    fits = re.search(r'intervals\.fast = "([^"]+)" would fit', done.stderr)
    assert fits, done.stderr
    better = write(tmp_path, text.replace('"100ms"', f'"{fits[1]}"'))
    assert command("config", "check", "--config", str(better)).returncode == 0


def test_config_check_as_json(tmp_path: Path) -> None:
    done = command("config", "check", "--json", "--config", str(write(tmp_path, GOOD)))
    (bus,) = json.loads(done.stdout)["buses"]
    assert bus["name"] == "a"
    assert 0.05 < bus["load"] < 0.1


def test_no_logger_running(tmp_path: Path) -> None:
    done = command("status", "--config", str(write(tmp_path, GOOD + BUFFER)))
    assert done.returncode == 1
    assert "no logger is running" in done.stderr


def test_the_demo_of_a_flat_shows_one_phase_and_no_pv() -> None:
    done = command("demo", "--world", "flat", "--for", "7s")
    assert done.returncode == 0, done.stderr
    assert "readings of 1 meter, 0 errors" in done.stdout
    assert "PV" not in done.stdout
    assert command("demo", "--world", "castle").returncode != 0


def test_demo_ends_by_itself(tmp_path: Path) -> None:
    done = command("demo", "--for", "7s", "--buffer", str(tmp_path / "demo.sqlite"))
    assert done.returncode == 0, done.stderr + done.stdout
    summary = re.search(r"(\d+) readings of 2 meters, 0 errors, (\d+) jobs missed", done.stdout)
    assert summary, done.stdout
    # both meters each second; a machine that is busy may miss some, and says so
    assert int(summary[1]) + int(summary[2]) >= 12
    assert "grid " in done.stdout
    assert (tmp_path / "demo.sqlite").stat().st_size > 0
    assert "inepro-logger init" in done.stdout.partition("Next")[2]


def test_a_port_that_comes_later(tmp_path: Path) -> None:
    """The port is missing at first: the process waits for it, and reads when it is there."""
    site = virtual_site(7, start=0.0)
    line = VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False)
    device = tmp_path / "ttyUSB0"
    text = FAST.replace("socket://127.0.0.1:5020", str(device)) + BUFFER
    config = write(tmp_path, text.replace('name = "a"', 'name = "a"\nparity = "none"'))
    with RunningLogger(config) as logger, line:
        logger.wait_for("no such device")
        assert logger.alive
        wait_until(lambda: logger.status()["pid"])
        device.symlink_to(line.start_pty())
        logger.wait_for("is open again")
        wait_until(lambda: logger.status()["readings"] >= 4)
    assert sum("no such device" in message for message in logger.messages()) <= 3


def test_check_beside_the_logger_that_has_the_port(tmp_path: Path) -> None:
    """As `init` says: start the stack, then check in its container."""
    line = VirtualLine(virtual_site(7, start=0.0).meters, clock=VirtualClock(0.0), paced=False)
    text = FAST.replace("socket://127.0.0.1:5020", line.start_pty()) + BUFFER
    config = write(tmp_path, text.replace('name = "a"', 'name = "a"\nparity = "none"'))
    with line, RunningLogger(config) as logger:
        wait_until(lambda: logger.status()["exit"] == 0)
        checked = command("check", "--meters-only", "--config", str(config))
        assert checked.returncode == 0, checked.stdout
        assert "the logger that runs has it" in checked.stdout
        assert re.search(r"ok +reading +\d+ answers", checked.stdout)


def test_a_gateway_that_goes_and_comes(tmp_path: Path) -> None:
    site = virtual_site(7, start=0.0)
    first = VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False)
    port = first.start_tcp(port=free_port())
    config = write(tmp_path, FAST.replace("5020", str(port)) + BUFFER)
    with RunningLogger(config) as logger:
        with first:
            wait_until(lambda: logger.status().get("readings", 0) >= 4)
        logger.wait_for("no connection")
        again = VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False)
        with again:
            before = logger.status()["readings"]
            again.start_tcp(port=port)
            wait_until(lambda: logger.status()["readings"] >= before + 4)


def test_buffer_directory_is_made(tmp_path: Path) -> None:
    site = virtual_site(7, start=0.0)
    with VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False) as line:
        port = line.start_tcp()
        deep = BUFFER.replace("state/", "a/b/c/")
        config = write(tmp_path, FAST.replace("5020", str(port)) + deep)
        with RunningLogger(config) as logger:
            wait_until(lambda: logger.status().get("readings", 0) >= 4)
    assert (tmp_path / "a/b/c/buffer.sqlite").exists()


def test_second_logger_on_one_buffer_is_refused(tmp_path: Path) -> None:
    site = virtual_site(7, start=0.0)
    with VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False) as line:
        config = write(tmp_path, FAST.replace("5020", str(line.start_tcp())) + BUFFER)
        with RunningLogger(config) as logger:
            wait_until(lambda: logger.status().get("readings", 0) >= 1)
            second = command("run", "--config", str(config))
            assert second.returncode == 1
            assert "buffer" in second.stderr
            assert "Traceback" not in second.stderr
            wait_until(lambda: logger.status()["exit"] == 0)


def test_the_token_is_nowhere(tmp_path: Path) -> None:
    """A wrong server must not make the logger tell its token."""
    secret = "s3cret-token-of-the-test"
    site = virtual_site(7, start=0.0)
    with VirtualLine(site.meters, clock=VirtualClock(0.0), paced=False) as line:
        section = '[influxdb]\nurl = "http://127.0.0.1:9"\nbucket = "energy"\n'
        text = FAST.replace("5020", str(line.start_tcp())) + section + BUFFER
        config = write(tmp_path, text)
        with RunningLogger(config, env={"INFLUXDB_TOKEN": secret}) as logger:
            wait_until(lambda: logger.status().get("readings", 0) >= 4)
            logger.wait_for("127.0.0.1:9")
            state = json.dumps(logger.status())
    assert secret not in state
    for path in tmp_path.rglob("*"):
        if path.is_file() and not stat.S_ISSOCK(path.stat().st_mode):
            assert secret.encode() not in path.read_bytes(), path
