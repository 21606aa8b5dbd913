"""The benchmark's short form runs, and its figures make sense; how fast it is, is not judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.benchmark import peers
from tests.benchmark.contender import Telegraf
from tests.benchmark.figure import Figure, percentile, put_between, shown, table
from tests.benchmark.peers import judged
from tests.benchmark.rig import Sample
from tests.running import ROOT


def run(place: Path, *parts: str) -> dict[str, dict[str, float]]:
    """Run parts of the short form; return their figures by name."""
    chosen = [text for part in parts for text in ("--only", part)]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.benchmark", "--short", "--no-plots"),
            *("--out", str(place), *chosen),
        ],
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((place / "benchmark.json").read_text(encoding="utf-8"))
    assert report["broken"] == {}
    assert report["machine"]["cores"] >= 1
    assert (place / "benchmark.md").read_text(encoding="utf-8").strip() == done.stdout.strip()
    found: dict[str, dict[str, float]] = {one["name"]: one for one in report["figures"]}
    return found


def test_line_and_starts(tmp_path: Path) -> None:
    found = run(tmp_path, "line", "starts")
    for name in ("line_fast", "line_slow", "line_fast_dense", "line_slow_dense"):
        assert 1.0 <= found[name]["value"] < 3
    assert 0 < found["start_help"]["value"] < found["start_run"]["value"] + 30


@pytest.mark.engine
def test_backlog(tmp_path: Path) -> None:
    found = run(tmp_path, "backlog")
    assert found["backlog_rate"]["value"] > 100
    assert found["backlog_newest"]["value"] > 0


@pytest.mark.engine
def test_drain(tmp_path: Path) -> None:
    found = run(tmp_path, "drain")
    assert found["drain_ratio"]["value"] > 0
    assert found["drain_cpu"]["value"] > 0
    assert 0 < found["drain_memory_slow"]["value"] < 30


def test_a_figure_is_the_median_and_knows_its_promise() -> None:
    fast = Figure(name="a", text="a thing", unit="s", runs=[3.0, 1.0, 2.0], at_most=2.0)
    slow = Figure(name="b", text="another", unit="1/s", runs=[10.0], at_least=11.0)
    bare = Figure(name="c", text="a fact", unit="", runs=[12_345.6])
    zero = Figure(name="d", text="nothing", unit="", runs=[1], at_most=0)
    assert (fast.value, fast.met, slow.met, bare.met, zero.met) == (2.0, True, False, None, False)
    rows = table([fast, slow, bare, zero]).splitlines()
    assert [cell.strip() for cell in rows[2].split("|")[1:-1]] == [
        *("a thing", "2 s", "<= 2 s", "yes", "3 1 2")
    ]
    assert "| >= 11 1/s | NO " in rows[3]
    assert "| 12,346 " in rows[4]
    assert "| 0 " in rows[5]
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize(
    ("number", "text"), [(0.012345, "0.01235"), (60.0, "60"), (1234.5, "1,234"), (0, "0")]
)
def test_numbers_are_shown_with_four_digits(number: float, text: str) -> None:
    assert shown(number) == text


def test_percentiles_by_nearest_rank() -> None:
    values = [float(one) for one in range(1, 101)]
    assert percentile(values, 0.99) == 99
    assert percentile(values, 0.5) == 50
    assert percentile([7.0], 0.99) == 7


def test_a_document_takes_a_table_between_its_marks(tmp_path: Path) -> None:
    path = tmp_path / "doc.md"
    path.write_text("head\n<!-- x -->\nold\n<!-- end of x -->\ntail\n", encoding="utf-8")
    for text in ("one", "two"):
        put_between(path, "x", text)
        assert path.read_text(encoding="utf-8") == (
            f"head\n<!-- x -->\n\n{text}\n\n<!-- end of x -->\ntail\n"
        )
    with pytest.raises(ValueError, match="no marks"):
        put_between(path, "y", "text")


def test_the_performance_page_has_its_marks() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for name in ("benchmark", "peers", "soak"):
        assert f"<!-- {name} -->" in text
        assert f"<!-- end of {name} -->" in text


def test_peers_are_judged_by_the_requests_on_their_lines() -> None:
    times = [100.25, 101.25, 103.5, 104.25, 109.0, 110.0]
    samples = [Sample(at, 30.0 + at, at / 10, 3, 9) for at in (0.0, 10.0)]
    row = judged("a", times, (100.0, 105.0), 105.0, samples)
    assert (row.seconds, row.missed, row.late_ms, row.latest_ms) == (5, 1, 250.0, 500.0)
    assert round(row.cpu, 6) == 10
    assert (row.memory_mib, row.gap_s) == (40.0, 4.75)
    row = judged("a", [99.0], (100.0, 105.0), 105.0, samples)
    assert (row.missed, row.late_ms, row.gap_s) == (5, None, 0.0)
    assert "| 5 of 5 | – | – |" in peers.table([row], [])


def test_peers_reads_with_what_is_installed_and_names_the_rest(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmark.peers", "--seconds", "3"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    names = [cells[0].removeprefix("| ") for cells in rows]
    assert names == ["program", "---", "inepro-logger", "a loop around minimalmodbus"]
    assert all(cells[1].endswith((" of 3", " of 4")) for cells in rows[2:])
    assert "Not installed, so not run: telegraf, mbmd." in done.stdout


def test_what_telegraf_is_told_is_one_request_for_all_values(tmp_path: Path) -> None:
    told = tomllib.loads(Telegraf(tmp_path / "it", 5020).configuration())
    (request,) = told["inputs"]["modbus"][0]["request"]
    assert request["slave_id"] == 1
    assert [one["address"] for one in request["fields"]] == list(range(0x5002, 0x5032, 2))
