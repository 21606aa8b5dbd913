"""Changing settings of virtual meters: before, frame, after, and what is refused."""

from __future__ import annotations

import csv
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from logger import models
from logger.cli.settings import app
from logger.config import load_config
from logger.domain.errors import BusError, ConfigError, PortError, RefusedError, SilentError
from logger.runtime.status import StatusServer, socket_path
from logger.settings import advice, find, listed, prepare
from logger.settings.names import settable
from logger.simulate import Quirk, VirtualLine, VirtualMeter, quirks_named
from logger.simulate.ledger import Books
from logger.simulate.world import World
from logger.survey.context import shared
from tests.lines import MODBUS_MODELS
from tests.running import ROOT

NOW = 1_750_000_000.0


# The manuals' examples, and one for each kind of encoding, to address 1: a file for each
# model that can be written to.
_DIRECTORY = ROOT / "tests" / "registers" / "frames"


def _frames(model: str) -> list[tuple[str, str, str, str]]:
    path = _DIRECTORY / f"{model}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(model, row["setting"], row["value"], row["frame"]) for row in csv.DictReader(file)]


_FRAMES = [frame for model in models.available() for frame in _frames(model)]


@pytest.mark.parametrize(("model", "name", "value", "frame"), _FRAMES)
def test_frames_are_the_manuals_byte_for_byte(
    model: str, name: str, value: str, frame: str
) -> None:
    assert prepare(models.load(model), name, value).frame(1)[:-2] == bytes.fromhex(frame)


@pytest.mark.parametrize("name", MODBUS_MODELS)
def test_every_writable_register_of_every_model_has_its_frame(name: str) -> None:
    model = models.load(name)
    shown = {find(model, setting).key for _, setting, _, _ in _frames(name)}
    missing = [
        register.key
        for register in model.registers
        if register.write and not register.refuse and register.field != "power_down_count"
    ]
    assert not set(missing) - shown, f"no frame from the manual in {_DIRECTORY / name}.csv"


def test_every_file_of_frames_belongs_to_a_model() -> None:
    assert _FRAMES
    assert {path.stem for path in _DIRECTORY.glob("*.csv")} <= set(models.available())


@pytest.mark.parametrize(
    ("model", "name", "value", "reason"),
    [
        ("pro380", "modbus_id", "0", "every meter"),
        ("pro380", "modbus_id", "248", "1..247"),
        ("pro380", "modbus_id", "1.5", "1..247"),
        ("pro380", "baud_rate", "19200", "9600"),
        ("pro380", "baud_rate", "fast", "9600"),
        ("pro380", "lcd_cycle_time", "31", "1..30"),
        ("pro380", "parity", "mark", "even"),
        ("pro380", "combination_code", "2", "forward only"),
        ("pro380", "day_counter", "5", "reset"),
        ("pro380", "tariff", "T3", "T1"),
        ("pro380", "serial", "1", "read-only"),
        ("pro380", "ct_ratio", "250", "set once, with the buttons"),
        ("pro380", "backlight", "on", "no setting"),
        ("pro380", "lcd_cycle_tim", "5", "lcd_cycle_time"),
        ("pro380-compact", "combination_code", "1", "no setting"),
        ("pro380-legacy", "parity", "even", "read-only"),
        ("ambition-2pu-ct", "combination_code", "2", "contradicts itself"),
        ("ambition-2pu-ct", "baud_rate", "6", "9600"),
        ("ambition-2pu-ct", "ct_ratio", "9996/5", "1..9995"),
        ("ambition-2pu-ct", "ct_ratio", "100/2", "1 or 5"),
        ("ambition-2pu-ct", "ct_ratio", "100", "250/5"),
        ("ambition-2pu-ct", "pulse_width", "1", "2..99"),
        ("ambition-2pu-ct", "s0_output_rate", "7", "10000, 2000, 1000, 100, 10, 1, 0.1, 0.01"),
    ],
)
def test_what_the_manual_does_not_allow_is_refused(
    model: str, name: str, value: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(models.load(model), name, value)
    assert reason in f"{caught.value.message} {caught.value.hint}"


@dataclass
class Scene:
    """A line with meters, and a configuration that reads it."""

    line: VirtualLine
    config: Path

    @property
    def meter(self) -> VirtualMeter:
        return self.line.meters[0]

    def run(self, *arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self.config)], input=typed)

    def set(self, name: str, value: str, *more: str, typed: str | None = None) -> Result:
        return self.run("set", "grid", name, value, *more, typed=typed)

    def writes(self) -> int:
        return sum(
            count for (_, function, *_), count in self.line.requests.items() if function != 3
        )


@contextmanager
def scene(
    tmp_path: Path,
    model: str = "pro380",
    quirks: Iterable[Quirk] = (),
    others: tuple[int, ...] = (),
    **settings: Any,
) -> Iterator[Scene]:
    books = Books(World(1), NOW)
    there = [VirtualMeter(models.load(model), 1, "grid", books, settings=settings)]
    there += [VirtualMeter(models.load(model), n, "load", books) for n in others]
    with VirtualLine(there, clock=lambda: NOW, paced=False, quirks=quirks) as line:
        config = tmp_path / "logger.toml"
        config.write_text(
            '[site]\nname = "home"\n[[bus]]\nname = "line"\n'
            f'port = "socket://127.0.0.1:{line.start_tcp()}"\nbaudrate = 9600\n'
            'parity = "even"\ntimeout = "2s"\n[[bus.meter]]\nname = "grid"\n'
            f'model = "{model}"\naddress = 1\nrole = "grid"\n'
            '[buffer]\npath = "b.sqlite"\n',
            encoding="utf-8",
        )
        yield Scene(line, config)


def test_settings_are_shown_in_words(tmp_path: Path) -> None:
    with scene(tmp_path, "ambition-2pu-ct", ct_ratio="02500005", serial="23050017") as here:
        shown = json.loads(here.run("show", "grid", "--json").stdout)
        table = here.run("show", "grid")
    values = {row["name"]: row["value"] for row in shown["settings"]}
    assert values["ct_ratio"] == "250/5"
    assert values["parity"] == "even"
    assert values["baud_rate"] == "9600"
    assert values["data_type"] == "standard"
    assert values["serial"] == "23050017"
    assert values["lcd_cycle_time"].endswith(" s")
    accepts = {row["name"]: row["accepts"] for row in shown["settings"]}
    assert accepts["modbus_id"] == "1..247"
    assert accepts["combination_code"] == ""
    assert "23050017" in table.stdout
    assert here.writes() == 0


def test_a_change_shows_before_and_after_and_how_to_undo(tmp_path: Path) -> None:
    with scene(tmp_path, lcd_cycle_time=10) as here:
        result = here.set("lcd_cycle_time", "25", typed="y\n")
        assert result.exit_code == 0, result.output
        assert "is 10 s, will be 25 s" in result.output
        assert "it was 10 s, it is 25 s" in result.output
        assert "settings set 'grid' lcd_cycle_time '10'" in result.output
        assert here.meter.settings["lcd_cycle_time"] == 25
        assert here.line.requests[1, 6, 0x4010, 1] == 1
        again = here.set("lcd_cycle_time", "25", "--yes")
        assert "already" in again.output
        assert here.writes() == 1


def test_without_consent_nothing_is_sent(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        assert here.set("lcd_cycle_time", "25", typed="n\n").exit_code == 1
        assert here.set("lcd_cycle_time", "25", typed="").exit_code == 1
        assert here.writes() == 0


def test_a_dry_run_prints_the_frame_and_touches_no_line(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        result = here.set("s0_output_rate", "10", "--dry-run")
        assert "01 10 40 0D 00 02 04 41 20 00 00" in result.stdout
        assert not here.line.requests


def test_a_dry_run_says_what_is_final(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        final = here.set("combination_code", "10", "--yes", "--dry-run")
        assert "cannot be taken back" in final.stdout
        assert "--again '10'" in final.stdout
        plain = here.set("combination_code", "9", "--yes", "--dry-run")
        assert "taken back" not in plain.stdout
        assert not here.line.requests


def test_notes_are_about_the_change_not_about_the_manual(tmp_path: Path) -> None:
    kept = {
        (name, register.field): note
        for name in MODBUS_MODELS
        for register in settable(models.load(name))
        if (note := advice(register))
    }
    assert set(kept) == {
        ("ambition-2pu-ct", "ct_ratio"),
        ("ambition-2pu-ct", "tariff"),
    }
    assert kept["ambition-2pu-ct", "ct_ratio"].startswith("can be changed 7 times")
    with scene(tmp_path, lcd_cycle_time=10) as here:
        result = here.set("lcd_cycle_time", "12", "--yes")
    assert "will be 12 s" in result.output
    assert "25" not in result.output
    assert "note:" not in result.output


def test_what_can_never_be_taken_back_demands_the_value_again(tmp_path: Path) -> None:
    with scene(tmp_path, combination_code=1) as here:
        for more in (("--yes",), ("--yes", "--again", "11")):
            refused = here.set("combination_code", "10", *more)
            assert isinstance(refused.exception, ConfigError)
        assert isinstance(here.set("combination_code", "10", typed="1\n").exception, ConfigError)
        assert here.writes() == 0
        result = here.set("combination_code", "10", typed="10\n")
        assert result.exit_code == 0, result.output
        assert "cannot be taken back" in result.output
        assert "To undo" not in result.output
        assert here.meter.settings["combination_code"] == 10
        # And so it is: the meter refuses to leave it.
        assert isinstance(here.set("combination_code", "1", "--yes").exception, RefusedError)


def test_the_ct_ratio_of_an_ambition(tmp_path: Path) -> None:
    with scene(tmp_path, "ambition-2pu-ct", ct_ratio="00050005") as here:
        assert isinstance(here.set("ct_ratio", "9995/5", "--yes").exception, ConfigError)
        result = here.set("ct_ratio", "9995/5", "--yes", "--again", "9995/5")
        assert result.exit_code == 0, result.output
        assert "it was 5/5" in result.output
        assert "7 times" in result.output
        assert here.meter.settings["ct_ratio"] == "99950005"


def test_the_data_type_is_set_back(tmp_path: Path) -> None:
    with scene(tmp_path, "ambition-2pu-ct", data_type=2) as here:
        result = here.set("data_type", "standard", "--yes")
        assert result.exit_code == 0, result.output
        assert "it was integer, it is standard" in result.output


def test_after_a_new_address_the_config_line_to_edit_is_named(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        result = here.set("address", "17", "--yes")
        assert result.exit_code == 0, result.output
        assert f"Now edit {here.config}:12: address = 17" in result.output
        assert here.meter.address == 17


def test_an_address_that_is_taken_is_refused(tmp_path: Path) -> None:
    with scene(tmp_path, others=(5,)) as here:
        taken = here.set("modbus_id", "5", "--yes")
        assert isinstance(taken.exception, ConfigError)
        assert "somebody answers at address 5" in str(taken.exception)
        text = here.config.read_text(encoding="utf-8")
        pv = '[[bus.meter]]\nname = "pv"\nmodel = "pro380"\naddress = 9\nrole = "pv"\n'
        here.config.write_text(text + pv, encoding="utf-8")
        known = here.set("modbus_id", "9", "--yes")
        assert "belongs to 'pv'" in str(known.exception)
        assert here.writes() == 0


class FollowsTheMeter(Quirk):
    """A gateway that is set anew as the meter is, so that both hear each other again."""

    name = "follows"

    def __init__(self, line: list[VirtualLine]) -> None:
        super().__init__()
        self._line = line

    def spoiled(self, frame: bytes) -> list[tuple[float, bytes]]:
        if frame[1] == 6:
            identity = self._line[0].meters[0].identity
            self._line[0].baudrate, self._line[0].parity = identity.baudrate, identity.parity
        return [(0.0, frame)]


@pytest.mark.parametrize(
    ("name", "value", "line", "edit"),
    [("baud_rate", "1200", 6, "baudrate = 1200"), ("parity", "odd", 7, 'parity = "odd"')],
)
def test_after_a_new_speed_or_parity_the_config_line_to_edit_is_named(
    tmp_path: Path, name: str, value: str, line: int, edit: str
) -> None:
    lines: list[VirtualLine] = []
    with scene(tmp_path, quirks=[FollowsTheMeter(lines)]) as here:
        lines.append(here.line)
        result = here.set(name, value, "--yes")
        assert result.exit_code == 0, result.output
        assert f"{here.config}:{line}: {edit}" in result.output


def test_a_meter_that_cannot_be_read_back_is_said_so(tmp_path: Path) -> None:
    """The line stays at the old speed, as a gateway does that nobody told."""
    with scene(tmp_path) as here:
        result = here.set("baud_rate", "1200", "--yes")
        assert result.exit_code == 1
        assert "could not be read back" in result.output
        assert here.meter.identity.baudrate == 1200


def test_resets_are_reported_with_what_the_counter_was(tmp_path: Path) -> None:
    with scene(tmp_path, power_down_count=42) as here:
        result = here.set("power_down_count", "reset", "--yes")
        assert result.exit_code == 0, result.output
        assert "it was 42, it is 0" in result.output
        assert "stood at 42" in result.output
        day = here.set("day_counter", "reset", "--yes")
        assert day.exit_code == 0, day.output


def test_tariffs_that_are_not_saved_count_as_set(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        result = here.set("tariff", "T2 not saved", "--yes")
        assert result.exit_code == 0, result.output


def test_a_write_whose_answer_is_lost_counts_by_what_is_read_back(tmp_path: Path) -> None:
    class LosesWrites(Quirk):
        name = "loses-writes"

        def spoiled(self, frame: bytes) -> list[tuple[float, bytes]]:
            return [] if frame[1] == 6 else [(0.0, frame)]

    with scene(tmp_path, quirks=[LosesWrites()], lcd_cycle_time=10) as here:
        result = here.set("lcd_cycle_time", "25", "--yes")
        assert result.exit_code == 0, result.output
        assert here.meter.settings["lcd_cycle_time"] == 25


def test_settings_work_through_an_echo_and_noise(tmp_path: Path) -> None:
    quirks = quirks_named(["echo", "flip-bits", "split-frames"])
    with scene(tmp_path, quirks=quirks, lcd_cycle_time=10) as here:
        result = here.set("lcd_cycle_time", "20", "--yes")
        assert here.meter.settings["lcd_cycle_time"] == (20 if here.writes() else 10)
        assert result.exit_code in (0, 1)


def test_a_silent_meter_and_an_unknown_name(tmp_path: Path) -> None:
    with scene(tmp_path, quirks=quirks_named(["dead"])) as here:
        assert isinstance(here.set("lcd_cycle_time", "5", "--yes").exception, SilentError)
        unknown = here.run("show", "gird")
        assert "did you mean 'grid'" in str(unknown.exception)
        assert here.writes() == 0


@pytest.mark.parametrize("name", MODBUS_MODELS)
def test_every_listed_setting_has_a_name_of_its_own(name: str) -> None:
    fields = [register.field for register in listed(models.load(name))]
    assert len(fields) == len(set(fields))


@contextmanager
def a_logger_on(config: Path, *ports: str) -> Iterator[None]:
    """Answer as the logger of `config` does that reads `ports`."""
    buffer = load_config(config).buffer.path
    server = StatusServer(socket_path(buffer), lambda: {"buses": [{"port": p} for p in ports]})
    server.start()
    try:
        yield
    finally:
        server.stop()


def test_a_setting_waits_for_the_logger_on_the_same_gateway(tmp_path: Path) -> None:
    with scene(tmp_path, lcd_cycle_time=10) as here:
        port = load_config(here.config).bus[0].port
        with a_logger_on(here.config, port):
            refused = here.set("lcd_cycle_time", "25", "--yes")
            assert isinstance(refused.exception, BusError)
            assert "a logger is running" in refused.exception.message
            assert "--force" in refused.exception.hint
            assert not here.line.requests
            assert here.set("lcd_cycle_time", "25", "--dry-run").exit_code == 0
            shown = here.run("show", "grid", "--json")
            assert "a logger is running" in shown.stderr
            assert json.loads(shown.stdout)["meter"] == "grid"
            forced = here.set("lcd_cycle_time", "25", "--yes", "--force")
            assert forced.exit_code == 0, forced.output
        with a_logger_on(here.config, "socket://127.0.0.1:1"):
            assert here.set("lcd_cycle_time", "20", "--yes").exit_code == 0
        assert here.meter.settings["lcd_cycle_time"] == 20


def test_a_device_is_locked_and_needs_no_question(tmp_path: Path) -> None:
    with scene(tmp_path) as here, a_logger_on(here.config, "/dev/ttyUSB0"):
        assert shared(load_config(here.config).buffer.path, ["/dev/ttyUSB0"]) == ""


def test_a_logger_that_may_not_be_asked_is_one_all_the_same(tmp_path: Path) -> None:
    buffer = tmp_path / "b.sqlite"
    assert shared(buffer, ["socket://127.0.0.1:1"]) == ""
    with socket.socket(socket.AF_UNIX) as held:  # listens and never answers
        held.bind(str(socket_path(buffer)))
        assert shared(buffer, ["socket://127.0.0.1:1"]) == ""  # nobody listens yet
        held.listen()
        with mute(held):
            assert "a logger is running" in shared(buffer, ["socket://127.0.0.1:1"])


@contextmanager
def mute(listening: socket.socket) -> Iterator[None]:
    """Hang up on the one who connects."""
    thread = threading.Thread(target=lambda: listening.accept()[0].close(), daemon=True)
    thread.start()
    yield
    thread.join()


def test_a_port_that_is_missing_names_the_file_it_is_from(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        text = here.config.read_text(encoding="utf-8")
        port = load_config(here.config).bus[0].port
        here.config.write_text(text.replace(port, "/dev/ttyUSB99"), encoding="utf-8")
        for result in (here.run("show", "grid"), here.set("lcd_cycle_time", "5", "--yes")):
            assert isinstance(result.exception, PortError)
            assert f"(port from {here.config})" in result.exception.hint
