"""Whose time a running logger believes: seen from its command line, on odd machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from logger.points.parse import decode
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from logger.store.database import Database
from logger.store.row import RowState
from logger.store.tools import between
from tests.configs import configuration
from tests.conftest import Target
from tests.odd_machine import OddMachine
from tests.old_buffer import make_version_two
from tests.running import RunningLogger, command, wait_until

HOUR_MS = 3_600_000
IN_2020_MS = 1_590_000_000_000
NOT_SET = "the clock of this machine is not set yet"
CONFIG = configuration(
    ("grid", "grid"),
    port="socket://127.0.0.1:{port}",
    intervals={"fast": "1s", "slow": "1s"},
    buffer={"path": "state/buffer.sqlite"},
)
INFLUX = """\
[influxdb]
url = "{target.url}"
org = "home"
bucket = "{target.bucket}"
fast_bucket = "{target.fast_bucket}"
token_file = "token"
"""


class Place:
    """A logger's directory with one meter, and the machine it runs on."""

    def __init__(self, directory: Path) -> None:
        start = 1_782_037_800.0
        site = virtual_site(7, start=start)
        self.line = VirtualLine(site.meters, clock=VirtualClock(start), paced=False)
        self.directory = directory
        self.config = directory / "logger.toml"
        self.config.write_text(CONFIG.format(port=self.line.start_tcp()), encoding="utf-8")
        self.buffer = directory / "state" / "buffer.sqlite"
        self.machine = OddMachine(directory / "machine.json")

    def deliver_to(self, target: Target) -> None:
        text = self.config.read_text(encoding="utf-8") + INFLUX.format(target=target)
        self.config.write_text(text, encoding="utf-8")
        (self.directory / "token").write_text(target.translator.token, encoding="utf-8")

    def logger(self) -> RunningLogger:
        return RunningLogger(self.config, under=self.machine.under)

    def stamps(self) -> list[int]:
        """Return the times of all power in the buffer, oldest first."""
        with closing(Database.open_readonly(self.buffer)) as database:
            rows = list(between(database, list(RowState), None, None))
        points = [decode(line) for row in rows for line in row.lines]
        return sorted(
            {point.time_ms for point in points if point.measurement == "power" and point.tags}
        )

    def run_for(self, readings: int) -> tuple[int, int]:
        """Let a logger store so many more readings; return when by the true clock."""
        before, began = set(self.stamps()) if self.buffer.exists() else set(), now_ms()
        with self.logger() as logger:
            logger.wait_for("started")
            wait_until(lambda: len(set(self.stamps()) - before) >= readings)
        return began, now_ms()

    def read(self, jobs: int) -> None:
        """Wait until the meter has answered so many more jobs."""
        enough = self.line.answered + 3 * jobs  # of three requests at most, as a start
        wait_until(lambda: self.line.answered >= enough)

    def import_point(self, at_ms: int) -> None:
        """Import the point of another meter through the command line."""
        file = self.directory / "old.lp"
        tags = "meter=old,phase=total,role=load,site=home,tariff=total"
        file.write_text(f"energy,{tags} active_import=1.0 {at_ms}\n", encoding="utf-8")
        done = command("buffer", "import", str(file), "--config", str(self.config))
        assert done.returncode == 0, done.stderr


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    with made.line:
        yield made


def make_old(place: Place) -> None:
    """Make the buffer one of a version that did not note its own stamps."""
    with closing(Database.open(place.buffer)) as database, database.transaction():
        make_version_two(database)


def leave(_: Place) -> None:
    """Leave the buffer as it is."""


AHEAD_MS = 2 * HOUR_MS
BEHIND_MS = IN_2020_MS - now_ms()


@pytest.mark.parametrize(
    ("offsets", "version"),
    [([AHEAD_MS], leave), ([BEHIND_MS], leave), ([AHEAD_MS, BEHIND_MS], make_old)],
    ids=["ahead", "behind", "both, in a file of an older version"],
)
def test_imported_points_do_not_move_the_clock(
    place: Place, offsets: list[int], version: Callable[[Place], None]
) -> None:
    place.run_for(2)
    before = place.stamps()
    for offset in offsets:
        place.import_point(now_ms() + offset)
    version(place)
    began, ended = place.run_for(2)
    fresh = [stamp for stamp in place.stamps() if stamp not in before]
    assert all(began <= stamp <= ended for stamp in fresh)
    place.machine.set(behind_s=3600)
    set_ms = now_ms()
    with place.logger() as logger:
        logger.wait_for(NOT_SET)
        place.read(3)
        assert [s for s in place.stamps() if s > ended] == []
        assert [s for s in place.stamps() if s not in before + fresh] == []
        place.machine.set(behind_s=0)
        wait_until(lambda: len([s for s in place.stamps() if s > ended]) >= 3)
    late = [stamp for stamp in place.stamps() if stamp not in before + fresh]
    assert all(set_ms <= stamp <= now_ms() for stamp in late)


def test_a_point_imported_beside_a_running_logger_does_not_move_the_next_start(
    place: Place,
) -> None:
    with place.logger() as logger:
        logger.wait_for("answers")
        place.import_point(now_ms() + 2 * HOUR_MS)
        wait_until(lambda: len(place.stamps()) >= 3)
        logger.kill()
    began, ended = place.run_for(2)
    assert not any(stamp > ended for stamp in place.stamps())
    assert len([stamp for stamp in place.stamps() if stamp >= began]) >= 2


def test_the_shipped_command_stamps_with_the_clock_of_the_machine(place: Place) -> None:
    place.run_for(1)
    place.import_point(now_ms() + 2 * HOUR_MS)
    before, began = place.stamps(), now_ms()
    with RunningLogger(place.config) as logger:
        wait_until(lambda: len(place.stamps()) >= len(before) + 2)
        assert logger.status()["problems"] == []
    assert not any(NOT_SET in message for message in logger.messages())
    assert all(began <= stamp <= now_ms() for stamp in place.stamps() if stamp not in before)


@pytest.mark.parametrize("kept", [True, False])
def test_a_clock_that_the_kernel_keeps_outweighs_the_buffer(place: Place, kept: bool) -> None:
    place.machine.set(behind_s=-2 * 3600)  # hours ahead, when it was not kept
    place.run_for(2)
    place.machine.set(behind_s=0, kept=kept)
    began = now_ms()
    with place.logger() as logger:
        place.read(3)
        if kept:
            wait_until(lambda: [s for s in place.stamps() if began <= s <= now_ms()])
    assert any(NOT_SET in message for message in logger.messages()) is not kept


@pytest.mark.engine
@pytest.mark.parametrize("elsewhere", [True, False], ids=["another machine", "this machine"])
def test_a_clock_that_agrees_with_the_server_outweighs_the_buffer(
    place: Place, target: Target, elsewhere: bool
) -> None:
    place.machine.set(behind_s=-2 * 3600)
    place.run_for(2)
    place.deliver_to(target)
    place.machine.set(behind_s=0, server_elsewhere=elsewhere)
    began = now_ms()
    with place.logger() as logger:
        logger.wait_for(NOT_SET)
        place.read(3)
        if elsewhere:
            wait_until(lambda: len([s for s in place.stamps() if began <= s <= now_ms()]) >= 3)
        else:
            assert [s for s in place.stamps() if began <= s <= now_ms()] == []


@pytest.mark.engine
def test_a_clock_that_differs_from_that_of_the_server_waits(place: Place, target: Target) -> None:
    place.run_for(2)
    before = place.stamps()
    place.deliver_to(target)
    place.machine.set(behind_s=3600, server_elsewhere=True)
    with place.logger() as logger:
        logger.wait_for(NOT_SET)
        place.read(3)
        assert place.stamps() == before
        place.machine.set(behind_s=0)
        wait_until(lambda: len(place.stamps()) > len(before) + 2)
    new = [stamp for stamp in place.stamps() if stamp not in before]
    assert [stamp - before[-1] for stamp in new if not before[-1] < stamp <= now_ms()] == []
