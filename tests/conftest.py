"""Shared fixtures: real database engines. And what holds for every test: no clock judges one,
none is skipped in CI, and one that needs an engine is skipped where there is none."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from logger.buffer import Buffer
from tests.engines import InfluxServer, Translator, VictoriaServer
from tests.engines.process import program
from tests.house import House, filled_house
from tests.running import STOP_S

# How long an example takes says something of the machine and nothing of the program.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# A shell that runs the tests in the background has them ignore SIGINT, and so would every
# program that they start and stop by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of programs are started: each loads what the first of them has compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A commit waits for the disk, and so for all others that write to it. What a logger may give it
# up after says nothing of the program here.
Buffer.flush.__defaults__ = Buffer.close.__defaults__ = (STOP_S,)

# The fast subset, `pytest -m fast`: files that start no process, no engine and wait for no
# line. A file that is not named here is not part of it.
_FAST = """
alerts busload clock config dashboards dashboards_config decode delivery_outcome delivery_verdicts
derive_counters derive_events derive_flows derive_pipeline derive_quarters derive_rounds
derive_windows models plan_lengths provisioning_keys report_energy_rules report_lines
"""
FAST = frozenset(f"test_{name}.py" for name in _FAST.split())

# The files that take longest, begun first: one begun last would keep one process at work
# while the others have nothing left (with `--no-loadscope-reorder`, as the README has it).
_LENGTHY = """
secrets stack readme sandbox watch run soak service shared_line clock_run mbus_scan wheel
reader_noise delivery_answers derive_year dashboards_engine
"""
LENGTHY = tuple(f"test_{name}.py" for name in _LENGTHY.split())

_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fast subset, before `-m` selects by it; put the lengthy files first."""
    place = {name: number for number, name in enumerate(LENGTHY)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))
    for item in items:
        slow = item.get_closest_marker("engine") or item.get_closest_marker("long")
        if item.path.name in FAST and not slow:
            item.add_marker("fast")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test may start its engine in a process of its own: whether there is one is asked here."""
    if item.get_closest_marker("engine") is not None:
        program("influxd", "influxdb")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that is skipped has failed: nobody would notice that it never runs."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {item.nodeid}: {report.longrepr}"
    return report


@dataclass(frozen=True, slots=True)
class Target:
    """A v2 server with two buckets of its own, and the engine behind it."""

    translator: Translator
    engine: InfluxServer
    bucket: str
    fast_bucket: str

    @property
    def url(self) -> str:
        """The URL that clients write to."""
        return self.translator.url

    def rows(self, text: str, *, fast: bool = False) -> list[dict[str, Any]]:
        """Return the rows of an InfluxQL query on one of the two buckets."""
        return self.engine.rows(text, self.fast_bucket if fast else self.bucket)


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """InfluxDB 1.x of Debian for the whole session. A test that kills it has its own."""
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        yield server


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with its dashboards and reports."""
    with filled_house(tmp_path_factory.mktemp("house")) as found:
        yield found


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaServer]:
    """VictoriaMetrics of Debian for the whole session."""
    with VictoriaServer(tmp_path_factory.mktemp("victoria")) as server:
        yield server


@pytest.fixture
def own_influx(tmp_path: Path) -> Iterator[InfluxServer]:
    """An engine for one test, to be killed and started at will."""
    with InfluxServer(tmp_path / "influx") as server:
        yield server


@pytest.fixture
def target(influx: InfluxServer) -> Iterator[Target]:
    """A v2 front of the session's engine with two fresh buckets."""
    yield from _target(influx)


@pytest.fixture
def own_target(own_influx: InfluxServer) -> Iterator[Target]:
    """A v2 front of the test's own engine with two fresh buckets."""
    yield from _target(own_influx)


def _target(engine: InfluxServer) -> Iterator[Target]:
    number = next(_numbers)
    target = Target(Translator(engine.url), engine, f"energy{number}", f"fast{number}")
    engine.create_bucket(target.bucket)
    engine.create_bucket(target.fast_bucket)
    with target.translator:
        yield target
    if engine.running:
        engine.drop_bucket(target.bucket)
        engine.drop_bucket(target.fast_bucket)
