"""Named worlds: a house with a battery and circuits, a flat, a building of 60 meters."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from logger.cli.past import simulate_past
from logger.cli.simulate import WORLD_NAMES, simulate
from logger.config import load_config
from logger.domain.errors import ConfigError, SimulationError
from logger.simulate import WORLDS, Incident, Trouble, VirtualSite, places, virtual_site
from logger.simulate.past import Past, PastSpan

NOON = 1_782_043_200.0  # 2026-06-21 12:00 UTC
DAY = 86400


def site_of(world: str, *incidents: Incident) -> VirtualSite:
    meters = {address: place.role for address, place in places(world).items()}
    names = {address: place.name for address, place in places(world).items()}
    return virtual_site(
        3, start=NOON - DAY / 2, meters=meters, names=names, world=world, step_s=60,
        incidents=incidents,
    )  # fmt: skip


def energies(site: VirtualSite, hours: int) -> dict[str, tuple[float, float]]:
    """Return what each meter drew and fed back, kWh, by its name's part."""
    ledgers = [meter.ledger for meter in site.meters]
    both = "active_import", "active_export"
    before = [[ledger.energy(name) for name in both] for ledger in ledgers]
    site.books.advance(site.books.start + 3600 * hours)
    return {
        ledger.part: (ledger.energy(both[0]) - drawn, ledger.energy(both[1]) - fed)
        for ledger, (drawn, fed) in zip(ledgers, before, strict=True)
    }


def test_the_circuits_of_a_house_add_up_to_it_and_are_different() -> None:
    found = energies(site_of("battery"), 72)
    circuits = [drawn for part, (drawn, _) in found.items() if part not in _SOURCES]
    (drawn, fed), (stored, given) = found["grid"], found["battery"]
    produced = found["pv"][1] - found["pv"][0]
    assert len(circuits) == 5
    assert min(circuits) > 0.5
    assert len({round(each, 1) for each in circuits}) == 5
    load = drawn - fed + produced + given - stored
    assert sum(circuits) == pytest.approx(load, abs=1e-6)


_SOURCES = {"grid", "pv", "battery"}


def test_a_battery_charges_from_the_sun_and_gives_less_back() -> None:
    site = site_of("battery")
    world = site.world
    stored, given = energies(site, 96)["battery"]
    assert 10 < 0.8 * stored < given < 0.95 * stored
    noon = [world.parts(NOON + 600 * step, ("grid", "battery")) for step in range(-12, 13)]
    assert all(sum(now["battery"][:3]) >= 0 for now in noon)
    assert any(sum(now["battery"][:3]) > 1000 for now in noon)
    # The same at any time, in whatever order it is asked.
    other = site_of("battery").world
    other.parts(NOON + 9 * DAY, ("battery",))
    assert other.parts(NOON, ("grid",))["grid"] == world.parts(NOON, ("grid",))["grid"]


def test_a_flat_has_one_phase_and_feeds_nothing_back() -> None:
    site = site_of("flat")
    found = energies(site, 48)
    assert 3 < found["grid"][0] < 40
    assert found["grid"][1] == 0
    now = site.world.parts(NOON, ("grid",))["grid"]
    assert now[0] > 0
    assert now[1:3] == (0, 0)


def test_sixty_meters_of_a_building_leave_a_rest_that_has_no_meter() -> None:
    found = energies(site_of("building"), 6)
    assert len(found) == 60
    units = [drawn for part, (drawn, _) in found.items() if part not in _SOURCES]
    produced = found["pv"][1] - found["pv"][0]
    load = found["grid"][0] - found["grid"][1] + produced
    assert 0.2 < load - sum(units) < 0.2 * load
    assert len(units) == 58
    assert len({round(each, 2) for each in units}) > 30


@pytest.mark.parametrize("world", WORLDS)
def test_nothing_flows_while_the_mains_are_off(world: str) -> None:
    off = Incident(kind=Trouble.MAINS_OFF, start=NOON, end=NOON + 60)
    dark = site_of(world, off).world
    assert set(dark.parts(NOON + 5, dark.known()).values()) == {(0.0,) * 6}
    lost = Incident(kind=Trouble.PHASE_LOST, start=NOON, end=NOON + 60, phase=1)
    grid = site_of(world, lost).world.parts(NOON + 5, ("grid",))["grid"]
    if world == "flat":  # what is on the other phases stands on L1 there
        assert 0 < grid[0] < site_of(world).world.parts(NOON + 5, ("grid",))["grid"][0]
    else:
        assert grid[0] == pytest.approx(0, abs=1e-9)
        assert grid[1] != 0


def run(command: object, *words: str) -> str:
    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


@pytest.mark.parametrize(("world", "count"), [("battery", 8), ("flat", 1), ("building", 60)])
def test_simulate_offers_a_configuration_of_the_world(
    tmp_path: Path, world: str, count: int
) -> None:
    text = run(simulate, "--world", world, "--listen", "tcp://127.0.0.1:0", "--for", "10ms")
    shown = text[text.index("[[bus]]") : text.index("requests,")].rsplit("\n", 1)[0]
    path = tmp_path / "logger.toml"
    path.write_text(f'{shown}\n[site]\nname = "s"\n[buffer]\npath = "b.sqlite"\n', encoding="utf-8")
    meters = [meter for bus in load_config(path).bus for meter in bus.meter]
    assert [meter.name for meter in meters] == [place.name for place in places(world).values()]
    assert len(meters) == count
    assert {meter.model for meter in meters} == {"pro1" if world == "flat" else "pro380"}
    assert WORLD_NAMES == WORLDS


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(SimulationError, match=r"castle.*house, battery"):
        places("castle")
    loads = dict.fromkeys(range(1, 8), "load")
    with pytest.raises(SimulationError, match=r"7 load meters.*5 parts"):
        virtual_site(1, start=NOON, meters=loads)
    with pytest.raises(SimulationError, match=r"no 'pv' in this world"):
        virtual_site(1, start=NOON, meters={1: "pv"}, world="flat")


METER = '[[bus.meter]]\nname = "{}"\nmodel = "pro380"\naddress = {}\nrole = "{}"\n'
CONFIG = (
    '[site]\nname = "s"\n[buffer]\npath = "b.sqlite"\n'
    '[[bus]]\nname = "cellar"\nport = "socket://127.0.0.1:1"\n'
    + METER.format("main", 1, "grid")
    + METER.format("kitchen", 2, "load")
    + '[[bus]]\nname = "attic"\nport = "socket://127.0.0.1:2"\n'
    + METER.format("store", 3, "battery")
    + METER.format("upstairs", {}, "load")
)


def test_the_past_has_the_buses_and_the_parts_of_the_configuration(tmp_path: Path) -> None:
    names = {1: "main", 2: "kitchen", 3: "store", 4: "upstairs"}
    buses = {1: ("cellar", "a"), 2: ("cellar", "a"), 3: ("attic", "b"), 4: ("attic", "b")}
    roles = {1: "grid", 2: "load", 3: "battery", 4: "load"}
    site = virtual_site(3, start=NOON, meters=roles, names=names, step_s=60)
    assert [meter.ledger.part for meter in site.meters] == ["grid", "kitchen", "battery", "cooling"]
    start = int(NOON) * 1000
    span = PastSpan(start_ms=start, end_ms=start + 600_000, fast_ms=60_000, slow_ms=300_000)
    found = itertools.chain.from_iterable(Past(site, names, "s", buses=buses).points(span))
    tags = {
        (point.tags.get("bus"), point.tags.get("meter"))
        for point in found
        if point.measurement == "logger" and "bus" in point.tags
    }
    assert tags == {(bus, names[address]) for address, (bus, _) in buses.items()} | {
        ("cellar", None), ("attic", None),
    }  # fmt: skip


def test_simulate_past_takes_no_two_meters_at_one_address(tmp_path: Path) -> None:
    path = tmp_path / "logger.toml"
    path.write_text(CONFIG.replace("{}", "1"), encoding="utf-8")
    app = typer.Typer()
    app.command()(simulate_past)
    result = CliRunner().invoke(app, ["--config", str(path), "--from", "1h"])
    assert isinstance(result.exception, ConfigError)
    assert re.search(r"main on bus cellar and upstairs on bus attic", str(result.exception))
    path.write_text(CONFIG.replace("{}", "4"), encoding="utf-8")
    assert "points of 1 hour are in" in run(simulate_past, "--config", str(path), "--from", "1h")
