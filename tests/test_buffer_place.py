"""Where the buffer is to lie: `check`, `config check`, a first `run`, `demo` and `status` say
what is wrong with the place before points are lost to it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from logger.cli.check import check
from logger.config.write import value
from logger.store import place
from logger.survey import place as survey
from tests.configs import configuration
from tests.running import RunningLogger, command, wait_until

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:50 / {point} rw,relatime shared:2 - {kind} server:/export rw,vers=4.2
"""


def write(tmp_path: Path, buffer: Path | str) -> Path:
    file = tmp_path / "logger.toml"
    text = configuration(("grid", "grid"), buffer={"path": str(buffer)})
    file.write_text(text, encoding="utf-8")
    return file


def finding(file: Path, *more: str) -> dict[str, str]:
    """Return what `check` says about the buffer."""
    app = typer.Typer()
    app.command()(check)
    done = CliRunner().invoke(app, ["--config", str(file), "--json", *more])
    assert done.exit_code == 1  # the bus leads nowhere
    (found,) = [one for one in json.loads(done.stdout) if one["about"] == "buffer"]
    return dict(found)


def test_check_tries_the_place_as_the_user_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "data/b.sqlite")
    assert finding(file)["verdict"] == "ok"
    found = finding(file, "--user", "nobody")
    assert found["verdict"] == "fail"
    assert "user nobody may not write" in found["text"]
    (tmp_path / "data").mkdir(0o755)
    for one in (tmp_path, *tmp_path.parents):
        if one.stat().st_uid == os.geteuid():
            one.chmod(one.stat().st_mode | 0o001)
    # A directory that is the buffer's own may be given away, one of others, or above it, never.
    assert (
        f"sudo chown -R nobody {tmp_path / 'data'}," in finding(file, "--user", "nobody")["remedy"]
    )
    (tmp_path / "data" / "letters").touch()
    assert "chown" not in finding(file, "--user", "nobody")["remedy"]
    deeper = write(tmp_path, "data/deeper/b.sqlite")
    hint = finding(deeper, "--user", "nobody")["remedy"]
    assert f"sudo install -d -o nobody {tmp_path / 'data' / 'deeper'}," in hint
    (tmp_path / "data").chmod(0o700)
    (tmp_path / "data" / "deeper").mkdir()
    assert "chown" not in finding(deeper, "--user", "nobody")["remedy"]
    shutil.rmtree(tmp_path / "data")
    file = write(tmp_path, "data/b.sqlite")
    found = finding(file, "--user", "nobody")
    unit = tmp_path / "inepro-logger.service"
    unit.write_text(f"ExecStart=inepro-logger run --config {file}\nUser=nobody\n", encoding="utf-8")
    monkeypatch.setattr(survey, "UNITS", (unit,))
    assert finding(file) == found
    (tmp_path / "data").mkdir()
    # What a run as root left behind: the directory is nobody's, a file in it is not.
    for one in (tmp_path, *tmp_path.parents):
        if one.stat().st_uid == os.geteuid():
            one.chmod(one.stat().st_mode | 0o001)
    state = tmp_path / "data" / "b.sqlite.state" / "derived.json"
    state.parent.mkdir()
    state.write_text("{}", encoding="utf-8")
    for one in (state.parents[1], state.parent):
        one.chmod(0o777)
    state.chmod(0o644)
    assert f"may not write {state}" in finding(file)["text"]
    state.chmod(0o666)
    assert finding(file)["verdict"] == "ok"
    journal = tmp_path / "data" / "b.sqlite.journal"
    journal.touch(0o644)
    assert f"may not write {journal}" in finding(file)["text"]
    journal.chmod(0o666)
    assert finding(file)["verdict"] == "ok"


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_check_fails_on_a_file_system_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    point = tmp_path / "my share"
    point.mkdir()
    monkeypatch.setattr(place, "MOUNTS", mounts)
    shown = str(point).replace(" ", "\\040")
    mounts.write_text(MOUNTS.format(point=shown, kind=kind), encoding="utf-8")
    file = write(tmp_path, point / "deep" / "b.sqlite")
    done = CliRunner()
    app = typer.Typer()
    app.command()(check)
    said = done.invoke(app, ["--config", str(file)]).stdout
    assert f"is on {kind}, a file system of the network" in said
    file = write(tmp_path, tmp_path / "my share 2" / "b.sqlite")
    assert finding(file)["verdict"] == "ok"


def test_a_directory_is_no_buffer(tmp_path: Path) -> None:
    file = write(tmp_path, tmp_path)
    found = finding(file)
    assert (found["verdict"], found["text"]) == ("fail", f"{tmp_path} is a directory")
    assert value(str(tmp_path / "buffer.sqlite")) in found["remedy"]
    for words in (("config", "check"), ("run",)):
        done = command(*words, "--config", str(file))
        assert done.returncode == 2
        assert f"{tmp_path} is a directory" in done.stderr


def test_a_first_run_into_a_place_that_takes_no_file_ends(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = write(tmp_path, tmp_path / "file" / "b.sqlite")
    done = command("run", "--config", str(file))
    assert done.returncode == 2
    assert f"{tmp_path / 'file'} is no directory" in done.stderr
    assert "Traceback" not in done.stderr
    checked = command("config", "check", "--config", str(file))
    assert "warn: buffer.path" in checked.stdout
    shown = command("demo", "--for", "1s", "--buffer", str(tmp_path / "file" / "b.sqlite"))
    assert shown.returncode == 2
    assert "the points are in" not in shown.stdout


def test_config_check_knows_what_run_trips_over(tmp_path: Path) -> None:
    file = tmp_path / "logger.toml"
    given = {"path": str(tmp_path / "b.sqlite"), "max_size": "4MiB"}
    port = "/dev/serial/by-id/usb-nowhere"
    meters = ("g", "grid"), ("p", "pv")
    file.write_text(configuration(*meters, port=port, buffer=given), encoding="utf-8")
    done = command("config", "check", "--config", str(file), "--json")
    port_warning, room_warning = json.loads(done.stdout)["warnings"]
    assert f"no {port} here" in port_warning
    assert "buffer.max_size holds" in room_warning
    unnamed = configuration(("g", "grid"), port="/dev/serial/by-id/CHANGE-ME", buffer=given)
    file.write_text(unnamed, encoding="utf-8")
    done = command("config", "check", "--config", str(file))
    assert done.returncode == 2
    assert "its port was never named" in done.stderr


def test_status_of_a_logger_without_influxdb_lets_no_point_wait(tmp_path: Path) -> None:
    with RunningLogger(write(tmp_path, tmp_path / "b.sqlite")) as logger:
        wait_until(lambda: "pid" in logger.status())
        said = command("status", "--config", str(logger.config)).stdout
    assert "points wait" not in said
    assert "no [influxdb], this file is the store" in said
