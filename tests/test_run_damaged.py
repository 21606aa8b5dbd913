"""`run` on a buffer that was damaged while it did not run: nothing is lost unsaid."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests import journal_reader
from tests.configs import configuration
from tests.running import RunningLogger, command, wait_until

NOON = 1_782_037_800.0  # 2026-06-21 10:30 UTC
READINGS = 60
CONFIG = configuration(
    ("grid", "grid"),
    port="socket://127.0.0.1:{port}",
    intervals={"fast": "500ms", "slow": "5s"},
    buffer={"path": "state/buffer.sqlite", "commit_interval": "20ms"},
)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    site = virtual_site(7, start=NOON)
    with VirtualLine(site.meters, clock=VirtualClock(NOON), paced=False) as line:
        path = tmp_path / "logger.toml"
        path.write_text(CONFIG.format(port=line.start_tcp()), encoding="utf-8")
        yield path


def lines(buffer: Path, place: Path) -> set[str]:
    """Return every line of a copy of the buffer, read by none of the logger's code."""
    place.mkdir()
    for tail in ("", "-wal", ".journal"):
        file = buffer.with_name(buffer.name + tail)
        if file.exists():
            shutil.copy(file, place / file.name)
    return set(journal_reader.lines(place / buffer.name))


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def books(config: Path) -> dict[str, Any]:
    done = command("buffer", "status", "--json", "--config", str(config))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_one_flipped_bit_in_the_journal_after_a_kill(config: Path, tmp_path: Path) -> None:
    buffer = tmp_path / "state" / "buffer.sqlite"
    journal = buffer.with_name(buffer.name + ".journal")
    first = RunningLogger(config).start()
    wait_until(lambda: first.status().get("readings", 0) >= READINGS)
    first.kill()
    before = lines(buffer, tmp_path / "before")
    assert len(before) >= 4 * READINGS
    flip(journal, READINGS // 4 * 4096 + 200)
    verified = command("buffer", "verify", "--config", str(config))
    assert verified.returncode == 1
    assert "of the journal is damaged" in verified.stdout
    more = tmp_path / "more.lp"
    more.write_text("other value=1 1782037800000\n", encoding="utf-8")
    refused = command("buffer", "import", "--config", str(config), str(more))
    assert "start the logger" in refused.stderr  # it would write over what can be saved
    with RunningLogger(config, {"PYTHONWARNINGS": "always::ResourceWarning"}) as second:
        second.wait_for("buffer: set aside as")
        wait_until(lambda: second.status().get("readings", 0) > 0)
        state = second.status()
        assert state["exit"] == 1
        assert any("journal is damaged" in problem for problem in state["problems"])
        (damage,) = state["buffer"]["damages"]
        second.wait_for("buffer: ", 3)  # the event goes to the log as well
    # what was taken apart stays open to the end, and the interpreter does not complain of it
    assert "ResourceWarning" not in second.output()
    after = lines(buffer, tmp_path / "after")
    missing = {line for line in before - after if not line.startswith("logger,")}
    assert len(missing) <= damage["lost"]
    assert any("kind=buffer_damaged" in line for line in after)
    found = books(config)
    assert found["balanced"]
    assert found["books"]["total"]["drops"].get("damaged", 0) == damage["lost"]
    verified = command("buffer", "verify", "--config", str(config))
    assert verified.returncode == 0, verified.stdout


def test_a_changed_state_after_a_clean_stop(config: Path, tmp_path: Path) -> None:
    """A row that says it was delivered, in table and index alike, would wait for ever."""
    buffer = tmp_path / "state" / "buffer.sqlite"
    with RunningLogger(config) as first:
        wait_until(lambda: first.status().get("readings", 0) >= 5)
    before = lines(buffer, tmp_path / "before")
    with closing(sqlite3.connect(buffer)) as connection:
        connection.execute("UPDATE rows SET state=1 WHERE id=2")
        connection.commit()
    with RunningLogger(config) as second:
        second.wait_for("the seal of its state is broken")
        wait_until(lambda: second.status().get("readings", 0) > 0)
        state = second.status()
        assert state["exit"] == 1
        assert [damage["lost"] for damage in state["buffer"]["damages"]] == [0]
        # the first step of the scrub comes after 10 s, and is the last one of a small file
        wait_until(lambda: second.status()["buffer"]["scrub"]["done_ms"] > 0)
        shown = command("status", "--config", str(config)).stdout
        assert "wholly checked at" in shown
        assert "none damaged" in shown
    with closing(sqlite3.connect(buffer)) as connection:
        assert connection.execute("SELECT count(*) FROM rows WHERE state<>0").fetchone() == (0,)
    assert before <= lines(buffer, tmp_path / "after")
    assert books(config)["scrub"]["done_rows"] > 0
    assert command("buffer", "verify", "--config", str(config)).returncode == 0
