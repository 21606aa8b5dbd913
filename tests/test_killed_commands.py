"""Commands that change the buffer, killed at any step of their work and given once more."""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.domain.datamodel import Lane
from logger.store.database import Database
from logger.store.verify import verify
from tests.buffers import lines_of
from tests.engines.rig import now_ms, power
from tests.killed import run
from tests.old_buffer import make_version_one
from tests.report_rig import write_buffer
from tests.test_price_year import CONFIG, market, points, world

TIMES = pytest.mark.parametrize("times", [2, pytest.param(50, marks=pytest.mark.long)])
IMPORTED = 1_700_000_000_000
FIRST, LAST = "2026-03-26", "2026-03-27"


def shares(times: int, seed: int) -> list[float]:
    """Return so many moments of a command, its last step among them."""
    dice = random.Random(seed)
    return [0.999, *(dice.random() for _ in range(times - 1))]


def kill(base: Path, words: list[str], moments: list[float]) -> list[tuple[Path, Path]]:
    """Kill a command at each of these moments; return the directories as they were then, and
    after the command was given once more."""
    places = []
    for number, share in enumerate(moments):
        place = base.with_name(f"{base.name}{number}")
        shutil.copytree(base, place)
        places.append((words, place, share))
    codes = run(places)
    assert codes == [(-signal.SIGKILL, 0)] * len(places)
    return [
        (place.with_name(f"{place.name}-killed"), place.with_name(f"{place.name}-again"))
        for _, place, _ in places
    ]


def sound(path: Path) -> Counter[str]:
    """Let a logger open the file and close it; return the lines that it has."""
    buffer = Buffer(path, now_ms=now_ms)
    buffer.open()
    assert buffer.state().damages == ()
    assert buffer.books().balanced
    assert buffer.books().total.dropped == 0
    buffer.close()
    assert verify(path).problems == ()
    return Counter(line for lane in Lane for line in lines_of(path, lane))


def acknowledged(path: Path, count: int) -> Counter[str]:
    """Make a buffer with points that are on the disk; return their lines."""
    buffer = Buffer(path, commit_interval_s=0.01, now_ms=now_ms)
    buffer.open()
    for number in range(count):
        buffer.append(power(number))
    buffer.close()
    return Counter(lines_of(path, Lane.FAST))


@TIMES
@pytest.mark.parametrize("old", [True, False], ids=["old file", "import"])
def test_a_buffer_import_that_was_killed(tmp_path: Path, times: int, old: bool) -> None:
    """Into a file of the first version, which is carried over before, and a present one."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "logger.toml").write_text(CONFIG.format(path="."), encoding="utf-8")
    there = acknowledged(base / "buffer.sqlite", 20)
    if old:
        database = Database.open(base / "buffer.sqlite")
        with database.transaction():
            make_version_one(database)
        database.close()
    last = IMPORTED + (7 if old else 2100)
    fresh = [
        f"power,meter=m{at % 7},phase=L1,role=load,site=s active_power={at - IMPORTED}.5 {at}"
        for at in range(IMPORTED, last)
    ]
    (base / "lines.lp").write_text("\n".join(fresh), encoding="utf-8")
    words = ["buffer", "import", "lines.lp", "--config", "logger.toml"]
    for killed, again in kill(base, words, shares(times, 3)):
        found = sound(killed / "buffer.sqlite")
        assert found - Counter(fresh) == there
        assert max(found.values()) == 1
        assert set(sound(again / "buffer.sqlite")) == {*there, *fresh}


def latest(lines: Counter[str]) -> dict[str, str]:
    """Return the prices and costs that there are, by series and time; what is there twice has
    to be the same."""
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith(("price,", "cost_15m,")):
            series, fields, stamp = line.rsplit(" ", 2)
            assert found.setdefault(f"{series} {stamp}", fields) == fields
    return found


@TIMES
@pytest.mark.parametrize("command", ["import", "recompute"])
def test_a_command_on_prices_that_was_killed(tmp_path: Path, times: int, command: str) -> None:
    """The prices are there or not, never a part of them. Given again, the command makes all that
    the first one was to make: an import that finds its prices there makes their costs, too."""
    base, whole = tmp_path / "base", tmp_path / "whole-killed"
    base.mkdir()
    quarters = world(FIRST, LAST)
    write_buffer(base / "buffer.sqlite", list(points(quarters)))
    (base / "logger.toml").write_text(CONFIG.format(path="."), encoding="utf-8")
    (base / "market.csv").write_text(market(quarters), encoding="utf-8")
    words = ["prices", "import", "market.csv", "--config", "logger.toml"]
    shutil.copytree(base, tmp_path / "whole")
    assert run([(words, tmp_path / "whole", 2.0)]) == [(0, 0)]  # it comes to its end both times
    kept_there = (whole / "prices.csv").read_bytes()
    made = latest(sound(whole / "buffer.sqlite"))
    assert {key.split(",")[0] for key in made} == {"price", "cost_15m"}
    if command == "recompute":
        (base / "prices.csv").write_bytes(kept_there)
        made = {key: fields for key, fields in made.items() if key.startswith("cost_15m")}
        words = ["prices", "recompute", "--config", "logger.toml"]
    for killed, again in kill(base, words, shares(times, 5)):
        if (killed / "prices.csv").exists():
            assert (killed / "prices.csv").read_bytes() == kept_there
        found = latest(sound(killed / "buffer.sqlite"))
        assert found.items() <= made.items()
        assert latest(sound(again / "buffer.sqlite")) == made
        assert (again / "prices.csv").read_bytes() == kept_there
        assert not (again / "prices.csv.owed").exists()
