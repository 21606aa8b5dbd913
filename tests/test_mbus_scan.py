"""`scan --protocol mbus`: by address, and by number where meters spoil each other's answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from logger.config import load_config
from logger.mbus.frames import checksum
from logger.models import available, load
from logger.simulate import MbusLine, VirtualMbusMeter, quirks_named
from logger.simulate.ledger import Books
from logger.simulate.world import World
from logger.survey.mbusscan import line_config, sweep
from tests.running import command

NOW = 1_750_000_000.0
# Longer than a meter takes: the virtual line shares a busy machine with the tests.
PATIENCE_S, SHORT_S = 1.0, 0.5
MODELS = [load(name) for name in available()]


def meter(model: str, address: int, serial: str, **settings: Any) -> VirtualMbusMeter:
    books = Books(World(3), NOW, 1)
    own = {"serial": serial} | settings
    return VirtualMbusMeter(load(model), address, "load", books, settings=own)


@contextlib.contextmanager
def a_line(*meters: VirtualMbusMeter, paced: bool = False, quirk: str = "") -> Iterator[str]:
    quirks = quirks_named([quirk] if quirk else [])
    line = MbusLine(meters, clock=lambda: NOW, baudrate=9600, paced=paced, quirks=quirks)
    with line:
        yield f"socket://127.0.0.1:{line.start_tcp()}"


@pytest.mark.parametrize(
    ("count", "new"), [(6, 2), pytest.param(60, 20, marks=pytest.mark.long)], ids=["six", "sixty"]
)
def test_meters_are_found_on_a_paced_line_whatever_their_addresses(count: int, new: int) -> None:
    """`new` on address 0 as from the factory, two on one address, the others apart."""
    shared_by = new + 13
    there = [
        meter(
            "ambition-2pu-mb" if n % 3 else "pro380-mb",
            0 if n < new else (shared_by if n in (new, new + 1) else n),
            f"{22091000 + 7 * n}" if count > 6 else f"{n}2091039",
        )
        for n in range(count)
    ]
    steps: list[tuple[int, int, int]] = []
    with a_line(*there, paced=True) as port:
        found = sweep(
            line_config(port, 9600),
            MODELS,
            [0, *range(new, count + 1), *([shared_by] if shared_by > count else [])],
            lambda *step: steps.append(step),
            PATIENCE_S,
        )
    assert sorted(one.serial for one in found) == [one.serial for one in there]
    for one, own in zip(sorted(found, key=lambda one: one.serial), there, strict=True):
        assert one.model == own.model.name
        # Who answers later than the patience on a busy machine is found by number all the same.
        assert one.address == 253 or (
            one.address == own.address and own.address not in (0, shared_by)
        )
    assert steps[-1][2] == count


def test_two_answers_that_look_like_one_make_no_meter_up() -> None:
    """Two meters in the same state: 12 and 82 together are 02, and the sum may be right."""
    found_at_all = 0
    for rest in ("2091020", "2091009"):
        there = [meter("pro380-mb", 0, first + rest) for first in "18"]
        one, other = (meter("pro380-mb", 0, first + rest).respond(True, NOW) for first in "18")
        both = bytes(a & b for a, b in zip(one, other, strict=True))
        assert checksum(both[4:-2]) == both[-2]
        with a_line(*there) as port:
            found = sweep(line_config(port, 9600), MODELS, [0], patience_s=SHORT_S)
        numbers = {one.serial for one in found if one.model}
        assert numbers <= {one.serial for one in there} | {""}
        found_at_all += len(numbers)
    assert found_at_all == 4


def test_two_meters_of_one_number_are_said_to_be() -> None:
    there = [meter("pro380-mb", 1, "11111112"), meter("ambition-2pu-mb", 2, "11111112")]
    there += [meter("pro380-mb", 0, "11111111"), meter("ambition-2pu-mb", 0, "11111111")]
    with a_line(*there) as port:
        found = sweep(line_config(port, 9600), MODELS, range(4), patience_s=SHORT_S)
    assert [(one.address, one.serial) for one in found if one.model] == [
        (1, "11111112"),
        (2, "11111112"),
    ]
    noted = {one.serial: one.note for one in found if not one.model}
    assert set(noted) == {"11111111"}
    assert all("one number" in note for note in noted.values())


def test_an_empty_line_has_no_meter_and_an_echo_makes_none() -> None:
    with a_line(quirk="echo") as port:
        assert sweep(line_config(port, 9600), MODELS, range(3), patience_s=SHORT_S) == []


def test_the_command_writes_a_configuration_that_reads_them(tmp_path: Path) -> None:
    there = [
        meter("pro380-mb", 0, "22091039"),
        meter("ambition-2pu-mb", 0, "33050017", ct_ratio="02500005"),
        meter("ambition-2pu-mb", 5, "43050018"),
    ]
    file = tmp_path / "found.toml"
    with a_line(*there) as port:
        line = (
            "--patience",
            "1s",
            "--port",
            port,
            "--baudrate",
            "9600",
            "--protocol",
            "mbus",
            "--range",
            "0,5",
        )
        shown = command("scan", *line, "--write", str(file), env={"COLUMNS": "160"})
        assert shown.returncode == 0, shown.stderr
        as_json = json.loads(command("scan", *line, "--json").stdout)
        config = load_config(file)
        (bus,) = config.bus
        assert (bus.protocol, bus.baudrate) == ("mbus", 9600)
        assert {(one.model, one.address, one.secondary) for one in bus.meter} == {
            ("pro380-mb", 253, "22091039"),
            ("ambition-2pu-mb", 253, "33050017"),
            ("ambition-2pu-mb", 5, None),
        }
        for name, serial in (("meter-5", "43050018"), ("meter-33050017", "33050017")):
            done = command("read", name, "--json", "--config", str(file))
            assert done.returncode == 0, done.stderr
            values = {one["field"]: one["value"] for one in json.loads(done.stdout)["values"]}
            assert values["serial"] == serial
    assert {one["serial"]: one["ct_ratio"] for one in as_json} == {
        "22091039": "",
        "33050017": "250/5",
        "43050018": "5/5",
    }
    assert "by 22091039" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "knx"), "modbus or mbus"),
        (("--protocol", "mbus", "--range", "251"), "0 to 250"),
        (("--range", "0"), "1 to 247"),
    ],
)
def test_what_cannot_be_scanned_is_refused(arguments: tuple[str, ...], message: str) -> None:
    done = command("scan", "--port", "/dev/null", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
