"""The installer's screen: what is wrong is found, and each line says what to do."""

from __future__ import annotations

import json
import os
import pty
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from logger.cli import app
from logger.cli.check import check
from logger.config import Config, load_config
from logger.derive.pipeline import Derive
from logger.domain import times
from logger.domain.quantity import Quantity
from logger.meter.state import MeterState, StateStore
from logger.models import Value
from logger.models import load as load_model
from logger.runtime.configured import state_directory
from logger.runtime.status import StatusServer, socket_path
from logger.simulate import Quirk, VirtualLine, VirtualMeter, quirks_named
from logger.simulate.incidents import Incident, Trouble
from logger.simulate.ledger import Books
from logger.simulate.world import World
from logger.survey import surroundings
from logger.survey.check import load
from logger.survey.condition import health, status_word
from logger.survey.finding import Finding, Severity
from logger.survey.judge import directions, phases
from tests.configs import configuration
from tests.derive_rig import fast, info, slow
from tests.lines import MODBUS_MODELS, meter_config

# A summer's noon: PV produces, and the house draws on every phase.
NOW = 1_750_000_000.0
_BUS = '[[bus]]\nname = "line"\nport = "{port}"\nbaudrate = 9600\nparity = "even"\ntimeout = "2s"\n'


class Scene:
    """A line with meters and a configuration file that reads it."""

    def __init__(
        self, tmp_path: Path, line: VirtualLine, models: Iterable[str], extra: str
    ) -> None:
        self.line = line
        self.file = tmp_path / "logger.toml"
        port = f"socket://127.0.0.1:{line.start_tcp()}"
        roles = [meter.role for meter in line.meters]
        names = [
            role if roles.count(role) == 1 else f"{role}-{number}"
            for number, role in enumerate(roles, start=1)
        ]
        rows = [
            f'[[bus.meter]]\nname = "{name}"\nmodel = "{model}"\n'
            f'address = {meter.address}\nrole = "{meter.role}"\n'
            for meter, model, name in zip(line.meters, models, names, strict=True)
        ]
        self.file.write_text(
            '[site]\nname = "home"\n[buffer]\npath = "b.sqlite"\n'
            + extra
            + _BUS.format(port=port)
            + "".join(rows),
            encoding="utf-8",
        )

    @property
    def config(self) -> Config:
        return load_config(self.file)

    def run(self, *more: str) -> Result:
        app = typer.Typer()
        app.command()(check)
        return CliRunner().invoke(app, ["--config", str(self.file), *more])

    def findings(self, subject: str) -> dict[str, dict[str, str]]:
        result = self.run("--json", "--meters-only")
        assert result.stdout, result.exception
        return {one["about"]: one for one in json.loads(result.stdout) if one["subject"] == subject}


@contextmanager
def scene(
    tmp_path: Path,
    *roles: str,
    model: str = "pro380",
    configured: str = "",
    quirks: Iterable[Quirk] = (),
    incidents: Iterable[Incident] = (),
    extra: str = "",
    **settings: Any,
) -> Iterator[Scene]:
    world = World(1)
    for incident in incidents:
        world.add(incident)
    books = Books(world, NOW)

    def own(number: int) -> dict[str, str]:
        if number == 1 or "serial" not in settings:
            return {}
        return {"serial": str(int(settings["serial"]) + number)}

    there = [
        VirtualMeter(load_model(model), number, role, books, settings=settings | own(number))
        for number, role in enumerate(roles, start=1)
    ]
    with VirtualLine(there, clock=lambda: NOW, paced=False, quirks=quirks) as line:
        yield Scene(tmp_path, line, [configured or model] * len(there), extra)


def test_a_good_installation_has_no_failure(tmp_path: Path) -> None:
    with scene(tmp_path, "grid", "pv", serial="22091039", power_down_count=3) as here:
        result = here.run("--json", "--meters-only")
        table = here.run("--meters-only")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {one["verdict"] for one in found} <= {"ok", "note", "warn"}
    grid = {one["about"]: one["text"] for one in found if one["subject"] == "grid"}
    assert "PRO380-Mod DC" in grid["model"]
    assert grid["serial number"].startswith("22091039")
    assert grid["line settings"] == "9600 baud, parity even"
    assert grid["power-downs"].startswith("3 ")
    assert "L1 2" in grid["phases"]
    line = {one["about"]: one["text"] for one in found if one["subject"] == "line"}
    assert line["local echo"] == "none"
    assert "the fastest for power is" in line["bus load"]
    assert "grid" in table.stdout
    assert "0 fail" in table.stdout


def test_of_many_meters_what_is_not_well_is_told_again_at_the_end(tmp_path: Path) -> None:
    with scene(tmp_path, "grid", *["load"] * 5, quirks=quirks_named(["dead@4"])) as here:
        table = here.run("--meters-only").stdout
        few = here.run("--meters-only", "--json")
    assert few.exit_code == 1
    last = table.partition("Not well")[2]
    assert "load-4: answer" in last, table
    assert "nobody answers at address 4" in last
    assert "load-3" not in last


@pytest.mark.parametrize(
    ("quirk", "about", "verdict", "text", "remedy"),
    [
        ("unset-ct", "CT ratio", "fail", "5/5", "with its buttons"),
        ("echo", "local echo", "note", "echoes", ""),
        ("dead", "answer", "fail", "nobody answers at address 1", "scan"),
        ("legacy-only", "model", "fail", "pro380-legacy", 'model = "pro380-legacy"'),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    tmp_path: Path, quirk: str, about: str, verdict: str, text: str, remedy: str
) -> None:
    with scene(tmp_path, "grid", quirks=quirks_named([quirk])) as here:
        result = here.run("--meters-only")
        found = here.findings("grid") | here.findings("line")
    assert found[about]["verdict"] == verdict
    assert text in found[about]["text"]
    assert remedy in found[about]["remedy"]
    assert result.exit_code == (verdict == "fail")


def test_a_reversed_transformer_of_a_load_is_found(tmp_path: Path) -> None:
    with scene(tmp_path, "load", quirks=quirks_named(["reversed-ct"])) as here:
        found = here.findings("load")
    assert found["current direction"]["verdict"] == "fail"
    assert "L2" in found["current direction"]["text"]
    assert "S1 and S2" in found["current direction"]["remedy"]


def test_a_lost_phase_is_found(tmp_path: Path) -> None:
    lost = Incident(kind=Trouble.PHASE_LOST, start=NOW - 60, phase=3)
    with scene(tmp_path, "grid", incidents=[lost]) as here:
        found = here.findings("grid")
        assert found["phases"]["verdict"] == "fail"
        assert "L3" in found["phases"]["text"]


def test_the_wrong_model_and_the_integer_setting_are_found(tmp_path: Path) -> None:
    with scene(tmp_path, "grid", model="pro380-compact", configured="pro380") as here:
        assert 'model = "pro380-compact"' in here.findings("grid")["model"]["remedy"]
    quirks = quirks_named(["integer-data-type"])
    with scene(tmp_path, "grid", model="ambition-2pu-ct", quirks=quirks) as here:
        found = here.findings("grid")
    assert "data_type" in found["reading"]["text"]
    assert "current direction" not in found or found["current direction"]["verdict"] == "note"


def test_a_serial_number_that_changed_is_told(tmp_path: Path) -> None:
    with scene(tmp_path, "grid", serial="22091039") as here:
        store = StateStore(state_directory(here.config.buffer.path) / "meters")
        store.save(MeterState(meter="grid", model="pro380", serial="22091039"))
        assert "as before" in here.findings("grid")["serial number"]["text"]
        store.save(MeterState(meter="grid", model="pro380", serial="17100649"))
        changed = here.findings("grid")["serial number"]
    assert changed["verdict"] == "warn"
    assert "it was 17100649" in changed["text"]


def _ports(tmp_path: Path, port: str, *more: str) -> list[dict[str, str]]:
    """Return what `check` says about a bus on `port` that it cannot use."""
    file = tmp_path / "logger.toml"
    row = '[[bus.meter]]\nname = "grid"\nmodel = "pro380"\naddress = 1\nrole = "grid"\n'
    text = '[site]\nname = "home"\n[buffer]\npath = "b.sqlite"\n' + _BUS.format(port=port)
    file.write_text(text + row, encoding="utf-8")
    app = typer.Typer()
    app.command()(check)
    result = CliRunner().invoke(app, ["--config", str(file), "--meters-only", "--json", *more])
    assert result.exit_code == 1
    found: list[dict[str, str]] = json.loads(result.stdout)
    return found


def test_a_port_that_is_not_there_is_one_failure(tmp_path: Path) -> None:
    (found,) = _ports(tmp_path, "/dev/ttyUSB99")
    assert (found["about"], found["verdict"]) == ("port", "fail")
    assert found["text"] == "/dev/ttyUSB99: no such device"
    assert "adapters here" in found["remedy"]
    assert found["remedy"].endswith(f"(port from {tmp_path / 'logger.toml'})")


def test_a_gateway_that_refuses_is_one_failure(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        (found,) = _ports(tmp_path, f"socket://127.0.0.1:{taken.getsockname()[1]}")
    assert (found["about"], found["verdict"]) == ("port", "fail")
    assert "no connection" in found["text"]


def test_a_port_that_refuses_its_parity_is_one_failure(tmp_path: Path) -> None:
    controller, device = pty.openpty()
    try:
        found = _ports(tmp_path, os.ttyname(device))
    finally:
        os.close(controller)
        os.close(device)
    about = [(one["about"], one["verdict"]) for one in found]
    if about[0] == ("port", "ok"):  # a C library that takes the parity: nobody answers then
        assert ("answer", "fail") in about
    else:
        assert about == [("port", "fail")]
        assert "does not take 9600 8E1" in found[0]["text"]


def test_a_logger_on_the_same_gateway_is_worth_a_note(tmp_path: Path) -> None:
    with scene(tmp_path, "grid") as here:
        buses = [{"port": here.config.bus[0].port}]
        server = StatusServer(socket_path(here.config.buffer.path), lambda: {"buses": buses})
        assert not here.findings("logger")
        server.start()
        try:
            assert here.findings("logger")["running"]["verdict"] == "note"
        finally:
            server.stop()


def _values(**given: object) -> Mapping[Quantity, Value]:
    return {
        Quantity(*key.split("__")): Decimal(str(value)) if isinstance(value, float) else value  # type: ignore[misc]
        for key, value in given.items()
    }


_POWERS = ("active_power__L1", "active_power__L2", "active_power__L3")


@pytest.mark.parametrize(
    ("role", "invert", "powers", "pv", "verdict", "text"),
    [
        ("load", False, (1.0, 2.0, 3.0), False, "ok", "forward"),
        ("load", False, (1.0, -2.0, 3.0), False, "fail", "L2"),
        ("load", False, (-1.0, -2.0, -3.0), False, "warn", "its role is load"),
        ("load", False, (-1.0, 0.01, 0.02), False, "warn", "its role is load"),
        ("load", True, (-1.0, -2.0, -3.0), False, "ok", "reverse"),
        ("load", True, (-1.0, 2.0, -3.0), False, "fail", "L1, L3"),
        ("load", False, (0.01, 0.02, -0.03), False, "note", "no load"),
        ("pv", False, (-1.0, -2.0, -3.0), False, "ok", "reverse"),
        ("pv", False, (1.0, 2.0, 3.0), False, "warn", "consumption"),
        ("pv", True, (1.0, 2.0, 3.0), False, "ok", "forward"),
        ("pv", False, (-1.0, 2.0, -3.0), False, "fail", "against"),
        ("battery", False, (1.0, 2.0, 3.0), False, "ok", "forward"),
        ("grid", False, (1.0, -2.0, 3.0), True, "ok", "reverse"),
        ("grid", False, (1.0, -2.0, 3.0), False, "warn", "without a PV"),
    ],
)
def test_directions_are_judged_by_role(
    role: str, invert: bool, powers: tuple[float, ...], pv: bool, verdict: str, text: str
) -> None:
    values = dict(_values(**dict(zip(_POWERS, powers, strict=True))))
    for number, power in enumerate(powers, start=1):
        values[Quantity(f"direction_l{number}")] = f"{number}{'F' if power > 0 else 'R'}"
    found = list(directions(meter_config(role=role, invert=invert), values, pv))
    assert [one.verdict for one in found] == [verdict]
    assert text in found[0].text
    assert bool(found[0].remedy) == (verdict != "ok")


def test_a_meter_that_feeds_in_may_have_another_role(tmp_path: Path) -> None:
    """scan writes the role load for every meter: a PV meter wired right is no failure."""
    with scene(tmp_path, "pv") as here:
        text = here.file.read_text(encoding="utf-8")
        here.file.write_text(text.replace('role = "pv"', 'role = "load"'), encoding="utf-8")
        result = here.run("--meters-only")
        found = here.findings("pv")["current direction"]
    assert result.exit_code == 0, result.output
    assert found["verdict"] == "warn"
    assert found["remedy"].startswith('role = "pv" or "grid"')
    assert "S1" not in found["remedy"]


def test_swapped_transformers_show_in_the_power_factor() -> None:
    values = _values(
        active_power__L1=0.5, active_power__L2=0.4, power_factor__L1=0.45, power_factor__L2=-0.38
    )
    found = list(directions(meter_config(role="grid"), values, True))
    assert found[-1].verdict is Severity.WARN
    assert "power factor" in found[-1].about


@pytest.mark.parametrize(
    ("wiring", "voltages", "verdict"),
    [
        ("3P4W", (230.1, 231.2, 229.3), "ok"),
        ("3P4W", (230.1, 0.0, 229.3), "fail"),
        ("3P4W", (230.1, 255.0, 229.3), "warn"),
        ("3P3W", (398.1, 0.0, 399.3), "ok"),
        ("3P3W", (398.1, 0.0, 0.0), "fail"),
        ("1P2W", (230.1, 0.0, 0.0), "ok"),
        ("1P2W", (0.0, 230.0, 0.0), "fail"),
    ],
)
def test_phases_that_read_nothing_by_design_raise_no_alarm(
    wiring: str, voltages: tuple[float, ...], verdict: str
) -> None:
    values = _values(voltage__L1=voltages[0], voltage__L2=voltages[1], voltage__L3=voltages[2])
    found = list(phases(meter_config(wiring=wiring), values))
    assert [one.verdict for one in found] == [verdict]


@pytest.mark.parametrize(
    ("word", "verdict", "text"),
    [
        ("00011111", "ok", "S11111"),
        ("00011101", "warn", "L2"),
        ("00010111", "fail", "EEPROM"),
        ("00001111", "fail", "program"),
        ("0A0F0001", "note", "not in the manual"),
        ("00000000", "note", "not in the manual"),
    ],
)
def test_status_words_are_decoded_as_far_as_the_manual_goes(
    word: str, verdict: str, text: str
) -> None:
    found = status_word(meter_config(), word)
    assert found.verdict == verdict
    assert text in found.text


def test_error_codes_are_decoded_by_the_ambitions_bits() -> None:
    ambition = load_model("ambition-2pu-ct")
    found = list(health(meter_config(), ambition, {Quantity("error_code"): 0x81}))
    assert found[0].verdict is Severity.FAIL
    assert "EEPROM cannot be initialised" in found[0].text
    assert "main and backup" in found[0].text
    other = list(health(meter_config(), load_model("pro380"), {Quantity("error_code"): 2}))
    assert "not in the manual" in other[0].text
    assert (
        next(iter(health(meter_config(), ambition, {Quantity("error_code"): 0}))).verdict
        is Severity.OK
    )


def _config(**more: object) -> Config:
    meter = {"name": "grid", "model": "pro380", "address": 1, "role": "grid"}
    bus = {"name": "line", "port": "/dev/ttyUSB0", "meter": [meter]}
    given: dict[str, Any] = {"site": {"name": "home"}, "bus": [bus]}
    return Config.model_validate(given | more)


def test_a_bus_that_cannot_keep_up_is_a_failure() -> None:
    models = {name: load_model(name) for name in MODBUS_MODELS}
    good = _config()
    assert next(load(good, good.bus[0], models)).verdict is Severity.OK
    busy = _config(intervals={"fast": 0.1})
    found = next(load(busy, busy.bus[0], models))
    assert found.verdict is Severity.FAIL
    assert "300ms" in found.text  # a counter job of 211 ms has to fit between two turns


def _verdicts(found: Iterable[Finding]) -> list[Severity]:
    return [one.verdict for one in found]


def test_each_bucket_is_tried() -> None:
    settings = {"url": "http://influx:8086", "bucket": "energy", "fast_bucket": "live"}
    config = _config(influxdb=settings)
    tried = []

    def try_write(_: object, bucket: str) -> tuple[str, str]:
        tried.append(bucket)
        return (
            ("wrong target: 401 unauthorized", "check the token") if bucket == "live" else ("", "")
        )

    found = list(surroundings.influxdb(config, try_write))
    assert tried == ["energy", "live"]
    assert _verdicts(found) == [Severity.OK, Severity.FAIL]
    assert found[1].remedy == "check the token"
    assert _verdicts(surroundings.influxdb(_config(), try_write)) == [Severity.NOTE]


def test_the_clock_and_the_disk_are_judged(tmp_path: Path) -> None:
    assert _verdicts(surroundings.clock(True, True)) == [Severity.OK]
    assert _verdicts(surroundings.clock(True, False)) == [Severity.WARN]
    assert _verdicts(surroundings.clock(False, True)) == [Severity.FAIL]
    models = {"pro380": load_model("pro380")}
    config = _config()
    # Four points of power each 5 s; six of energy and the tariff each minute; one an hour.
    assert surroundings.points_a_day(config, models) == pytest.approx(4 * 17280 + 7 * 1440 + 24)
    assert surroundings.room(tmp_path, 10**6, config, models).verdict is Severity.WARN
    # As packed: 2.5 MB a day where the buffer is the store.
    assert " at 2.5 MB a day" in surroundings.room(tmp_path, 10**11, config, models).text
    assert surroundings.room(tmp_path, 10**11, config, models).verdict is Severity.OK
    assert _verdicts(surroundings.disk(config, models))


def test_an_influxdb_that_is_away_fails_the_check(tmp_path: Path) -> None:
    influx = '[influxdb]\nurl = "http://127.0.0.1:9"\nbucket = "energy"\ntoken_file = "token"\n'
    (tmp_path / "token").write_text("secret-token\n", encoding="utf-8")
    with scene(tmp_path, "grid", extra=influx) as here:
        result = here.run("--json")
    assert result.exit_code == 1
    assert "secret-token" not in result.output
    found = {one["about"]: one for one in json.loads(result.stdout)}
    assert found["bucket energy"]["verdict"] == "fail"
    assert "unreachable" in found["bucket energy"]["text"]
    assert {"clock", "disk"} <= set(found)


@pytest.mark.parametrize(
    ("every", "seldom"),
    [
        *((every, False) for every in ("10s", "90s", "100s", "2m", "150s", "5m", "450s", "15m")),
        *((every, True) for every in ("179s", "4m", "7m", "10m", "20m", "30m")),
    ],
)
def test_counters_read_too_seldom_for_quarter_hours_are_told_once(
    tmp_path: Path, every: str, seldom: bool
) -> None:
    """What is told is what becomes of the quarter hours."""
    names = [("house", "grid"), *((f"flat-{number}", "load") for number in range(1, 6))]
    file = tmp_path / "logger.toml"
    file.write_text(configuration(*names, intervals={"slow": every}), encoding="utf-8")
    done = CliRunner().invoke(app, ["config", "check", "--config", str(file)])
    assert done.exit_code == 0, done.output
    told = [line for line in done.stdout.splitlines() if "quarter hour" in line]
    assert len(told) == seldom
    if seldom:
        assert "house, flat-1, flat-2 and 3 more every" in told[0]
        assert 'slow = "60s"' in told[0]

    slow_s = round(times.seconds(every))
    derive = Derive([info(fast_ms=60_000, slow_ms=slow_s * 1000)], "home")
    points = []
    for second in range(7200 * 6):
        at_ms = 1_780_272_000_000 + second * 1000
        if second % slow_s == 0:
            points += derive.feed(slow(at_ms + 200, round(100 + second / 3000, 3), 50.0))
        if second % 60 == 0:
            points += derive.feed(fast(at_ms + 300, kilowatts=1.2))
    sure = [point.fields["sure"] for point in points if point.measurement == "energy_15m"]
    assert len(sure) > 40
    assert all(sure[1:-1]) is not seldom


def test_check_tells_counters_read_too_seldom_too(tmp_path: Path) -> None:
    with scene(tmp_path, "grid", extra='[intervals]\nslow = "10m"\n') as here:
        found = {one["about"]: one for one in json.loads(here.run("--json").stdout)}
    assert found["quarter hours"]["verdict"] == "warn"
    assert "grid every 600s" in found["quarter hours"]["text"]
    assert "5m" in found["quarter hours"]["remedy"]
