"""Finding meters: who is there, whatever the line and the meters are like."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import typer
from serial import Serial
from typer.testing import CliRunner, Result

from logger import models
from logger.bus import Bus
from logger.bus.port import Port
from logger.cli.options import CONFIG_VARIABLE
from logger.cli.scan import scan
from logger.config import load_config
from logger.domain.errors import ConfigError, ExportError, PortError, SilentError
from logger.meter.identify import Found, identify
from logger.meter.session import MeterReader
from logger.models import Job
from logger.models.plan import Block
from logger.runtime.configured import check_config
from logger.runtime.status import StatusServer, socket_path
from logger.simulate import VirtualLine, VirtualMeter, quirks_named
from logger.simulate.ledger import Books
from logger.simulate.world import World
from logger.simulate.writing import Refusal
from logger.survey import ports
from logger.survey.scan import Stopped, all_settings, line_config, sweep
from tests.gateways import asked, refused
from tests.lines import answer_to, scripted
from tests.readers import complete
from tests.running import wait_until
from tests.second_master import SecondMaster

NOW = 1_750_000_000.0
MODELS = [one for one in map(models.load, models.available()) if one.protocol == "modbus"]


def meter(model: str, address: int, **settings: Any) -> VirtualMeter:
    books = Books(World(1), NOW)
    return VirtualMeter(models.load(model), address, "load", books, settings=settings)


@contextmanager
def a_line(*there: VirtualMeter, quirks: tuple[str, ...] = (), **more: Any) -> Iterator[str]:
    options: dict[str, Any] = {"clock": lambda: NOW, "paced": False} | more
    with VirtualLine(there, quirks=quirks_named(quirks), **options) as line:
        yield f"socket://127.0.0.1:{line.start_tcp()}"


def _briefly(found: list[Found]) -> list[tuple[int, str, str]]:
    return [(one.address, one.model, one.serial) for one in found]


def test_a_full_sweep_finds_three_meters_through_an_echo_on_a_paced_line() -> None:
    """The time it takes is in the report of the benchmark; here it has to find them."""
    there = (
        meter("pro380", 1, serial="22091039"),
        meter("pro380-legacy", 113, serial="15030201", software_version=1.14),
        meter("ambition-2pu-ct", 247, serial="23050017", ct_ratio="02500005"),
    )
    steps = []
    with a_line(*there, quirks=("echo",), paced=True) as port:
        found = sweep(line_config(port), MODELS, progress=lambda *step: steps.append(step))
    assert _briefly(found) == [
        (1, "pro380", "22091039"),
        (113, "pro380-legacy", "15030201"),
        (247, "ambition-2pu-ct", "23050017"),
    ]
    assert found[1].software_version == "1.14"
    assert found[2].ct_ratio == "250/5"
    assert {one.tariff for one in found} <= {"T1", "T2"}
    assert steps[-1] == (494, 494, 3)
    assert [step[0] for step in steps] == list(range(1, 495))


def test_a_slow_meter_is_heard_while_others_are_asked() -> None:
    with a_line(meter("pro380", 5, serial="22091039"), quirks=("slow",)) as port:
        found = sweep(line_config(port), [models.load("pro380")], range(1, 13))
    assert _briefly(found) == [(5, "pro380", "22091039")]


@pytest.mark.parametrize(
    ("model", "settings", "sold_as", "note"),
    [
        ("pro380", {"meter_code": "0102"}, "PRO380-Mod DC", ""),
        ("pro380", {"meter_code": "2008", "ct_ratio": "0200"}, "Solar-Log PRO380-Mod CT", ""),
        (
            "pro380",
            {"meter_code": "0103", "ct_ratio": "0005", "ct_mode": 5},
            "PRO380-Mod CT",
            "CT ratio is 5/5",
        ),
        ("pro380-compact", {"meter_code": 1234}, "PRO380-Compact/V/DIN", ""),
        ("ambition-2pu-ct", {"ct_ratio": "99950005"}, "Ambition 2PU CT", ""),
        (
            "ambition-2pu-ct",
            {"data_type": 2, "ct_ratio": "01000005"},
            "Ambition 2PU CT",
            "integers",
        ),
    ],
)
def test_models_are_told_apart(
    model: str, settings: dict[str, Any], sold_as: str, note: str
) -> None:
    with a_line(meter(model, 9, **settings)) as port:
        bus = Bus(line_config(port))
        found = identify(bus, 9, MODELS)
        bus.close()
    assert found is not None
    assert (found.model, found.sold_as) == (model, sold_as)
    assert note in found.note
    assert bool(note) == bool(found.note)


@pytest.mark.parametrize("name", ["pro380", "pro1"])
def test_a_meter_with_an_unknown_code_is_told_by_what_it_looks_like(name: str) -> None:
    there = meter(name, 9, meter_code="0777", serial="22091039", software_version=2.18)
    with a_line(there) as port:
        bus = Bus(line_config(port))
        found = identify(bus, 9, MODELS)
        bus.close()
    assert found is not None
    assert not found.model
    assert (found.looks_like, found.serial, found.software_version) == (name, "22091039", "2.18")
    assert f'0x0777: there is no table for it; it looks like a {name}: write model = "{name}"' in (
        found.note
    )


def test_a_grow_with_a_product_code_of_no_table_looks_like_nothing() -> None:
    with a_line(meter("grow-701", 9, product_code="0990")) as port:
        bus = Bus(line_config(port))
        found = identify(bus, 9, MODELS)
        bus.close()
    assert found is not None
    assert (found.model, found.looks_like) == ("", "")
    assert found.note == "product code 0990, meter code 0x0000: there is no table for it"


@pytest.mark.parametrize("code", ["0000", "0102", "0101", "1113", "0777"])
@pytest.mark.parametrize("name", ["grow-701", "grow-750", "grow-800", "grow-850"])
def test_a_grow_is_told_by_its_product_code_whatever_its_meter_code(name: str, code: str) -> None:
    there = meter(name, 9, serial="24010007", meter_code=code, product_code=f"0{name[-3:]}")
    with a_line(there) as port:
        bus = Bus(line_config(port))
        found = identify(bus, 9, MODELS)
        bus.close()
    assert found is not None
    assert (found.model, found.serial, found.note) == (name, "24010007", "")


@pytest.mark.parametrize(
    ("code", "sold_as"),
    [
        ("0101", "PRO1-Mod"),
        ("2009", "Solar-Log PRO1-Mod"),
        ("2010", "Solar-Log PRO2-Mod"),
        ("3201", "N1"),
    ],
)
def test_one_phase_meters_are_known_by_their_codes(code: str, sold_as: str) -> None:
    with a_line(meter("pro1", 9, meter_code=code)) as port:
        bus = Bus(line_config(port))
        found = identify(bus, 9, MODELS)
        bus.close()
    assert found is not None
    assert (found.model, found.sold_as, found.note) == ("pro1", sold_as, "")


def test_a_gateway_that_waits_for_silent_addresses_is_waited_for() -> None:
    """It takes one question after the other, and each that nobody answers takes its time."""
    there = meter("pro380", 1, serial="22091039")

    def script(requests: bytes) -> Iterator[bytes | float]:
        for at in range(0, len(requests), 8):
            request = requests[at : at + 8]
            place = asked(request)
            if request[0] != 1:
                yield 0.6
                continue
            try:
                yield answer_to(request, there.read_words(place.address, place.count, NOW))
            except Refusal as refusal:
                yield refused(request, refusal.code)

    with scripted(script) as line:
        port = f"socket://127.0.0.1:{line.port}"
        found = sweep(line_config(port), MODELS, range(1, 5), patience_s=0.25)
    assert _briefly(found) == [(1, "pro380", "22091039")]


def test_heartbeats_and_frames_of_others_make_no_meters_up() -> None:
    """A modem's 0xFF, and a second master at full speed whose meter is not asked for."""
    here = meter("pro380", 60, serial="22091039")
    with a_line(here, quirks=("one-wire",)) as port:
        number = int(port.rpartition(":")[2])
        with SecondMaster(number, [Block(0x500C, 6)], address=60):
            found = sweep(line_config(port), MODELS, range(1, 13), patience_s=0.02)
    assert found == []
    with scripted(lambda _request: [b"\xff" * 3, 0.01, b"\xff"]) as line:
        config = line_config(f"socket://127.0.0.1:{line.port}")
        assert sweep(config, MODELS, range(1, 13), patience_s=0.05) == []
        bus = Bus(config)
        with pytest.raises(SilentError):
            bus.read(5, Block(0x4000, 2), 0.05)
        bus.close()


def test_a_frame_of_another_master_over_two_questions_makes_no_meter_up() -> None:
    """The wait for one address ends within it, and its rest comes upon the next question."""
    frame = answer_to(bytes((200, 3)), range(300, 340))
    pieces = cycle([frame[:8], frame[8:]])
    with scripted(lambda _request: [next(pieces)]) as line:
        port = f"socket://127.0.0.1:{line.port}"
        assert sweep(line_config(port, timeout=3.0), MODELS, range(1, 7), patience_s=0.05) == []
        wait_until(lambda: len(line.requests) >= 12)
    assert len(line.requests) == 12  # nobody was asked who he is


@pytest.mark.long
@pytest.mark.parametrize("pause_s", [0.0, 1.0])
@pytest.mark.parametrize("wires", [False, True])
def test_all_addresses_beside_a_busy_client_take_less_than_three_minutes(
    pause_s: float, wires: bool
) -> None:
    """Of the line's time, by what went over it and the pauses of the client."""
    there = (meter("pro380", 1, serial="22091039"), meter("pro380-legacy", 113, serial="15030201"))
    quirks = quirks_named(["one-wire" if wires else "copies-answers"])
    with VirtualLine(there, clock=lambda: NOW, quirks=quirks) as line:
        place: int | str
        if wires:
            port, place, parity = line.start_pty(), line.start_pty(), "none"
            for one in there:
                one.identity.parity = "N"
            line.parity = "N"
        else:
            place, parity = line.start_tcp(), "even"
            port = f"socket://127.0.0.1:{place}"
        with SecondMaster(place, [Block(0x500C, 6)], pause_s=pause_s) as other:
            found = sweep(line_config(port, 9600, parity), MODELS)
            took_s = other.asked * (pause_s + 25 * 11 / 9600 + 0.02)
    assert _briefly(found) == [(1, "pro380", "22091039"), (113, "pro380-legacy", "15030201")]
    assert took_s < 180


def test_a_noisy_line_makes_no_meters_up() -> None:
    with a_line(meter("pro380", 3), quirks=("flip-bits", "zero-bytes")) as port:
        found = sweep(line_config(port), MODELS, range(1, 7))
    assert [one.address for one in found] == [3]
    assert found[0].model == "pro380"


def test_nobody_is_nobody() -> None:
    with a_line() as port:
        assert sweep(line_config(port), MODELS, range(1, 4)) == []
    with pytest.raises(PortError):
        sweep(line_config(port), MODELS, range(1, 4))


def test_every_setting_is_tried_the_likely_one_first() -> None:
    found = list(all_settings())
    assert found[:2] == [(9600, "even"), (9600, "none")]
    assert len(set(found)) == 30


def test_ports_get_the_name_that_lasts(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB3"
    device.touch()
    names = tmp_path / "by-id"
    names.mkdir()
    (names / "usb-FTDI_FT232R_A9-if00-port0").symlink_to(device)
    lasting = str(names / "usb-FTDI_FT232R_A9-if00-port0")
    assert ports.lasting_name(str(device), names) == lasting
    assert ports.lasting_name(lasting, names) == lasting
    assert ports.lasting_name(str(tmp_path / "other"), names) == str(tmp_path / "other")
    assert ports.lasting_name("socket://a:1", names) == "socket://a:1"
    assert ports.lasting_name(str(device), tmp_path / "none") == str(device)
    assert ports.present(names) == [lasting]


def _cli(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(scan)
    return CliRunner().invoke(app, arguments)


def test_the_written_configuration_loads_and_reads(tmp_path: Path) -> None:
    there = (
        meter("pro380", 1, serial="22091039", ct_ratio="0005", meter_code="0103"),
        meter("pro380-legacy", 2, serial="15030201"),
        meter("pro380", 4, meter_code="0777"),
    )
    file = tmp_path / "config" / "logger.toml"
    with a_line(*there) as port:
        result = _cli("--port", port, "--range", "1-2,4-5", "--json", "--write", str(file))
        assert result.exit_code == 0, result.output
        assert "look at each meter's name and role in it first" in result.stderr
        found = json.loads(result.stdout)
        assert [one["model"] for one in found] == ["pro380", "pro380-legacy", ""]
        config = load_config(file)
        check_config(config)
        assert "# Address 4: meter code 0x0777" in file.read_text(encoding="utf-8")
        assert "CT ratio is 5/5" in file.read_text(encoding="utf-8")
        bus = Bus(config.bus[0])
        for one in config.bus[0].meter:
            reader = MeterReader(bus, one, models.load(one.model), lambda: 1)
            assert complete(reader.read(Job.FAST, 1))
        bus.close()
        again = _cli("--port", port, "--range", "1", "--write", str(file))
    assert isinstance(again.exception, ExportError)
    assert "exists already" in str(again.exception)


def test_a_port_that_cannot_be_opened_says_what_to_type() -> None:
    there = (meter("pro380", 1),)
    with VirtualLine(there, clock=lambda: NOW, paced=False, parity="N") as line:
        path = line.start_pty()
        unset = _cli("--port", path, "--range", "1").exception
        assert isinstance(unset, PortError)
        assert "does not take 9600 8E1: Invalid argument" in unset.message
        assert "--parity none" in unset.hint
        assert _cli("--port", path, "--range", "1", "--parity", "none").exit_code == 0
        with Serial(path, exclusive=True):
            taken = _cli("--port", path, "--range", "1", "--parity", "none").exception
        assert isinstance(taken, PortError)
        assert "in use by another program" in taken.message
        assert "Ctrl-C in its terminal" in taken.hint


def test_every_setting_that_the_port_takes_is_tried() -> None:
    """A pseudo-terminal has no parity: those settings are passed over, all others are tried."""
    with VirtualLine((meter("pro380", 1, serial="22091039"),), clock=lambda: NOW, paced=False,
                     parity="N") as line:  # fmt: skip
        found = _cli("--port", line.start_pty(), "--range", "1", "--all", "--json")
    assert [one["serial"] for one in json.loads(found.stdout)] == ["22091039"]


def test_the_table_is_for_people_and_nobody_is_an_exit_code() -> None:
    with a_line(meter("pro380", 7, serial="22091039")) as port:
        result = _cli("--port", port, "--range", "7")
        assert "22091039" in result.stdout
        assert "9600 8E1" in result.stdout
        nobody = _cli("--port", port, "--range", "8")
        assert nobody.exit_code == 1
        assert "No meter answers" in nobody.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--range", "0-9"),
        ("--range", "5-x"),
        ("--range", "9-5"),
        ("--range", "1-248"),
        ("--patience", "soon"),
        ("--baudrate", "1234"),
        ("--parity", "mark"),
        ("--all",),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...]) -> None:
    result = _cli("--port", "socket://127.0.0.1:1", *arguments)
    assert result.exit_code == 2 or isinstance(result.exception, ConfigError)


def test_an_interrupted_scan_shows_what_it_found(tmp_path: Path) -> None:
    file = tmp_path / "logger.toml"
    there = [meter("pro380", 2, serial="22091039")]
    with VirtualLine(there, clock=lambda: NOW, paced=False) as line:
        port = f"socket://127.0.0.1:{line.start_tcp()}"
        command = [sys.executable, "-m", "logger", "scan", "--port", port, "--patience", "3s"]
        process = subprocess.Popen(
            [*command, "--write", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As from a terminal: a shell starts what it puts into the background deaf to it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            wait_until(lambda: any(request[0] == 4 for request in list(line.requests)))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "22091039" in out
    assert "stopped at address" in err
    assert "was not written" in err
    assert "Traceback" not in err
    assert not file.exists()


def test_an_interrupted_question_may_be_answered_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was heard before is identified after the late answer has been sorted out."""
    there = [meter("pro380", 2, serial="22091039"), meter("pro380", 3, serial="17100649")]
    read, asked = Port.read, []

    def interrupted(port: Port, size: int) -> bytes:
        asked.append(port)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return read(port, size)

    with a_line(*there) as port:
        monkeypatch.setattr(Port, "read", interrupted)
        with pytest.raises(Stopped) as caught:
            sweep(line_config(port), MODELS, range(1, 9))
    assert caught.value.address == 3
    assert _briefly(caught.value.found) == [(2, "pro380", "22091039")]


def test_mistakes_are_answered_with_what_was_meant() -> None:
    gateway = _cli("--port", "127.0.0.1:5020", "--range", "1")
    assert isinstance(gateway.exception, ConfigError)
    assert "tcp://127.0.0.1:5020" in gateway.exception.message
    assert "socket://127.0.0.1:5020" in gateway.exception.message
    device = _cli("--port", "/dev/ttyUSB99", "--range", "1")
    assert isinstance(device.exception, PortError)
    assert "socket://" not in device.exception.hint
    order = _cli("--port", "socket://127.0.0.1:1", "--range", "3,5-1")
    assert order.exit_code == 2
    assert "the lower address comes first: 1-5" in " ".join(order.output.split())


def test_a_logger_on_the_same_gateway_is_worth_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "logger.toml"
    with a_line(meter("pro380", 1)) as port:
        written = _cli("--port", port, "--range", "1", "--write", str(file))
        assert "a logger is running" not in written.stderr
        monkeypatch.setenv(CONFIG_VARIABLE, str(file))
        load_config(file).buffer.path.parent.mkdir()
        buffer = load_config(file).buffer.path
        server = StatusServer(socket_path(buffer), lambda: {"buses": [{"port": port}]})
        server.start()
        try:
            noted = _cli("--port", port, "--range", "1")
        finally:
            server.stop()
    assert "a logger is running" in noted.stderr
    assert noted.exit_code == 0
