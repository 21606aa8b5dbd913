"""M-Bus through the commands: run, check, read, settings, simulate, on virtual meters."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import termios
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from logger.mbus import frames
from logger.simulate import (
    MbusLine,
    VirtualClock,
    VirtualLine,
    VirtualSite,
    quirks_named,
    virtual_site,
)
from logger.simulate.channel import Channel
from logger.simulate.frame import Request
from tests.running import COMMAND, ROOT, RunningLogger, command, wait_until

NOON = 1_782_037_800.0  # 2026-06-21 10:30 UTC
CONFIG = """\
[site]
name = "home"
[intervals]
fast = "1s"
slow = "2s"
identity = "20s"
[[bus]]
name = "cellar"
protocol = "mbus"
port = "{port}"
baudrate = 9600
parity = "{parity}"
timeout = "2s"
{meters}
[buffer]
path = "buffer.sqlite"
"""
METER = """\
[[bus.meter]]
name = "{name}"
model = "{model}"
{place}
role = "{role}"
fast = "1s"
"""


@dataclass
class Place:
    """A configuration on a virtual line."""

    config: Path
    site: VirtualSite
    line: VirtualLine


@contextlib.contextmanager
def a_place(
    directory: Path,
    model: str = "ambition-2pu-mb",
    quirk: str = "",
    pty: bool = False,
    speed: float = 1.0,
    places: tuple[str, str] = ("address = 1", "address = 2"),
    kind: type[MbusLine] = MbusLine,
) -> Iterator[Place]:
    site = virtual_site(7, start=NOON, meters={1: "grid", 2: "pv"}, model=model)
    quirks = quirks_named([quirk] if quirk else [])
    clock = VirtualClock(NOON, speed)
    parity = "N" if pty else "E"
    with kind(
        site.meters, clock=clock, baudrate=9600, parity=parity, paced=False, quirks=quirks
    ) as line:
        port = line.start_pty() if pty else f"socket://127.0.0.1:{line.start_tcp()}"
        rows = (("grid", places[0], "grid"), ("roof", places[1], "pv"))
        meters = "".join(
            METER.format(name=name, model=model, place=place, role=role)
            for name, place, role in rows
        )
        config = directory / "logger.toml"
        text = CONFIG.format(port=port, parity="none" if pty else "even", meters=meters)
        config.write_text(text, encoding="utf-8")
        yield Place(config, site, line)


@pytest.mark.parametrize("pty", [False, True], ids=["tcp", "pty"])
def test_run_logs_mbus_meters_like_any_other(tmp_path: Path, pty: bool) -> None:
    with a_place(tmp_path, pty=pty) as place:
        with RunningLogger(place.config) as logger:
            wait_until(lambda: logger.status().get("readings", 0) >= 12)
            state = logger.status()
            assert [one["model"] for one in state["meters"]] == ["ambition-2pu-mb"] * 2
            assert not [text for text in state["problems"] if "grid" in text or "roof" in text]
            (bus,) = state["buses"]
            assert bus["garbled"] == bus["silent"] == 0
        reads = [key for key in place.line.requests.elements() if key[1] in (0x5B, 0x7B)]
        assert bus["answered"] <= len(reads) + 2  # and a reset for each meter, no more
        energy = place.site.meter(1).counters.energy("active_import", None, None)
        done = command("report", "energy", "--config", str(place.config))
        assert done.returncode in (0, 1)
        shown = command("read", "grid", "--json", "--config", str(place.config))
        values = {
            (one["field"], one["phase"], one["tariff"]): one["value"]
            for one in json.loads(shown.stdout)["values"]
        }
        assert values["active_import", "total", "total"] == pytest.approx(energy, abs=0.2)


def test_check_reads_and_judges(tmp_path: Path) -> None:
    with a_place(tmp_path) as place:
        done = command("check", "--meters-only", "--json", "--config", str(place.config))
    found = {
        (one["subject"], one["about"]): (one["verdict"], one["text"])
        for one in json.loads(done.stdout)
    }
    assert found["grid", "model"] == ("ok", "Ambition 2PU, firmware 2")
    assert found["grid", "serial number"][0] == "ok"
    assert found["grid", "CT ratio"][0] == "fail"  # 5/5, as from the factory
    assert found["grid", "error code"] == ("ok", "none")
    assert found["cellar", "bus load"][0] in ("ok", "fail")
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("quirk", "word"), [("dead", "no answer within"), ("flip-bits", "address 2")]
)
def test_check_says_what_is_wrong(tmp_path: Path, quirk: str, word: str) -> None:
    with a_place(tmp_path, "pro380-mb", quirk="dead@2" if quirk == "dead" else "") as place:
        for meter in place.site.meters:
            if quirk == "flip-bits" and meter.address == 1:
                meter.identity.address = 2  # two on one address
        done = command("check", "--meters-only", "--json", "--config", str(place.config))
    answers = [one for one in json.loads(done.stdout) if one["about"] == "answer"]
    assert any(word in one["text"] and one["verdict"] == "fail" for one in answers)


def test_read_prints_the_records_and_names_the_wrong_model(tmp_path: Path) -> None:
    with a_place(tmp_path, "pro380-mb") as place:
        done = command("read", "grid", "--config", str(place.config), env={"COLUMNS": "140"})
        assert done.returncode == 0, done.stderr
        assert "1C 04" in done.stdout
        assert "Total forward active energy" in done.stdout
        text = place.config.read_text(encoding="utf-8")
        place.config.write_text(text.replace("pro380-mb", "ambition-2pu-mb"), encoding="utf-8")
        wrong = command("read", "grid", "--config", str(place.config))
        assert wrong.returncode == 1
        assert 'model = "pro380-mb"' in wrong.stderr


def test_settings_are_shown_and_the_address_is_set(tmp_path: Path) -> None:
    with a_place(tmp_path, "pro380-mb") as place:
        at = ("--config", str(place.config))
        shown = json.loads(command("settings", "show", "grid", "--json", *at).stdout)
        values = {one["name"]: one["value"] for one in shown["settings"]}
        assert (values["primary_address"], values["baud_rate"]) == ("1", "9600")
        assert values["serial"] == "22091039"
        dry = command("settings", "set", "grid", "primary_address", "9", "--dry-run", *at)
        assert "68 06 06 68 53 01 51 01 7A 09" in dry.stdout
        taken = command("settings", "set", "grid", "primary_address", "2", "--yes", *at)
        assert "belongs to 'roof'" in taken.stderr
        done = command("settings", "set", "grid", "primary_address", "9", "--yes", *at)
        assert done.returncode == 0, done.stderr
        assert "it was 1, it is 9" in done.stdout
        assert "address = 9" in done.stdout
        assert sorted(meter.address for meter in place.site.meters) == [2, 9]


class LineOfOnePort(MbusLine):
    """A line on a pseudo-terminal that has the speed to which its master set the port."""

    def _serve(self, channel: Channel, request: Request, arrived: float) -> float:
        self.baudrate = _SPEEDS[termios.tcgetattr(channel.fileno())[5]]
        return super()._serve(channel, request, arrived)


_SPEEDS = {getattr(termios, f"B{rate}"): rate for rate in (300, 600, 1200, 2400, 4800, 9600)}


def test_a_meter_answers_at_the_speed_that_was_set(tmp_path: Path) -> None:
    with a_place(tmp_path, "pro380-mb", pty=True, kind=LineOfOnePort) as place:
        at = ("--config", str(place.config))
        done = command("settings", "set", "grid", "baud_rate", "2400", "--yes", *at)
        assert done.returncode == 0, done.stderr
        assert "it was 9600, it is 2400" in done.stdout
        assert "baudrate = 2400" in done.stdout
        assert place.site.meter(1).identity.baudrate == 2400
        old = command("read", "grid", *at)
        assert old.returncode == 1
        assert "no answer" in old.stderr
        text = place.config.read_text(encoding="utf-8")
        place.config.write_text(
            text.replace("baudrate = 9600", "baudrate = 2400"), encoding="utf-8"
        )
        new = command("read", "grid", *at)
        assert new.returncode == 0, new.stderr
        assert "Total forward active energy" in new.stdout


def test_a_speed_that_the_converter_does_not_follow_is_told(tmp_path: Path) -> None:
    """A converter on TCP hides the speed, and keeps its own until a person sets it."""
    with a_place(tmp_path, "pro380-mb") as place:
        at = ("--config", str(place.config))
        meter = place.site.meter(1)
        done = command("settings", "set", "grid", "baud_rate", "2400", "--yes", *at)
        assert meter.identity.baudrate == 2400
        assert done.returncode == 1  # nobody answers: the line still has the old speed
        assert "no answer" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("tariff", "2", "not written over M-Bus"),
        ("secondary_address", "12345678", "not written over M-Bus"),
        ("parity", "odd", "cannot be changed"),
        ("primary_address", "251", "0..250"),
        ("baud_rate", "19200", "9600"),
        ("primary_adress", "3", "did you mean 'primary_address'"),
    ],
)
def test_what_is_not_set_is_refused_with_the_reason(
    tmp_path: Path, name: str, value: str, word: str
) -> None:
    with a_place(tmp_path, "pro380-mb") as place:
        done = command(
            *("settings", "set", "grid", name, value, "--yes", "--config", str(place.config))
        )
        assert done.returncode != 0
        assert word in done.stderr
        assert not place.line.requests


def test_a_selected_meter_keeps_its_number_when_its_address_changes(tmp_path: Path) -> None:
    by_number = ('secondary = "22091039"', 'secondary = "22091040"')
    with a_place(tmp_path, "pro380-mb", places=by_number) as place:
        at = ("--config", str(place.config))
        done = command("settings", "set", "roof", "primary_address", "77", "--yes", *at)
        assert done.returncode == 0, done.stderr
        assert "it was 2, it is 77" in done.stdout
        assert sorted(meter.address for meter in place.site.meters) == [1, 77]


def test_simulate_serves_mbus_meters_and_prints_what_reads_them(tmp_path: Path) -> None:
    arguments = ("simulate", "--model", "pro380-mb", "--meter", "0:grid", "--no-pace")
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--listen", "tcp://127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        section = []
        for text in process.stdout:
            section.append(text)
            if text.startswith("role"):
                break
        body = "".join(section[2:])
        (bus,) = tomllib.loads(body)["bus"]
        assert (bus["protocol"], bus["baudrate"]) == ("mbus", 2400)
        config = tmp_path / "logger.toml"
        config.write_text(f'[site]\nname = "x"\n{body}', encoding="utf-8")
        done = command("read", "grid-0", "--config", str(config))
        assert done.returncode == 0, done.stderr
        assert "Total forward active energy" in done.stdout
        process.send_signal(signal.SIGINT)
        rest = process.communicate()[0]
        assert "control 7B" in rest
    finally:
        process.kill()
        process.wait()


def test_nothing_but_reads_goes_to_a_meter_that_is_logged(tmp_path: Path) -> None:
    with a_place(tmp_path, "pro380-mb") as place:
        with RunningLogger(place.config) as logger:
            wait_until(lambda: logger.status().get("readings", 0) >= 4)
        sent = {control & ~frames.FRAME_COUNT_BIT for _, control, *_ in place.line.requests}
        assert sent == {frames.SND_NKE, frames.REQ_UD2}
