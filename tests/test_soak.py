"""The soak in short, and what its long form found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from logger.delivery.bisect import send
from logger.influx.outcome import DELIVERED, Outcome, OutcomeKind
from tests.benchmark.faults import CLOCK, DISK, INCIDENTS, NOISE, PROCESS, SERVER, draw
from tests.running import ROOT

_PROXY = Outcome(OutcomeKind.REJECTED, "answered 400: bad request")  # no word of InfluxDB in it


def test_a_proxy_that_refused_for_a_while_costs_no_line() -> None:
    lines = [f"m f={number} 1" for number in range(8)]
    asked: list[int] = []

    def write(part: Sequence[str]) -> Outcome:
        asked.append(len(part))
        return _PROXY if len(asked) <= 4 else DELIVERED

    verdict = send(lines, write, lambda: False)
    assert asked[:4] == [8, 4, 2, 1]
    assert verdict.accepted == set(range(8))
    assert verdict.refused == {}


def test_a_line_that_is_refused_again_is_set_aside() -> None:
    lines = [f"m f={number} 1" for number in range(8)]

    def write(part: Sequence[str]) -> Outcome:
        return _PROXY if lines[3] in part else DELIVERED

    verdict = send(lines, write, lambda: False)
    assert verdict.refused == {3: _PROXY.text}
    assert verdict.accepted == set(range(8)) - {3}


def test_a_server_that_goes_before_the_second_question_keeps_the_line_waiting() -> None:
    lines = [f"m f={number} 1" for number in range(4)]
    gone = Outcome(OutcomeKind.UNREACHABLE, "refused")
    seen = 0

    def write(part: Sequence[str]) -> Outcome:
        nonlocal seen
        if lines[0] not in part:
            return DELIVERED
        seen += len(part) == 1
        return gone if seen == 2 else _PROXY

    verdict = send(lines, write, lambda: False)
    assert verdict.stopped == gone
    assert 0 not in verdict.accepted | set(verdict.refused)


def test_the_same_seed_draws_the_same_faults() -> None:
    week = 7 * 86_400.0
    first, again, other = draw(5, week, 2), draw(5, week, 2), draw(6, week, 2)
    assert first == again != other
    kinds = {(fault.group, fault.kind) for fault in first}
    assert len(kinds) == len([*NOISE, *INCIDENTS, *SERVER, *PROCESS, *CLOCK, *DISK])
    assert all(0 <= fault.start < fault.end < week - 7000 for fault in first)
    lines = {fault.line for fault in first}
    assert lines == {0, 1}


@pytest.mark.engine
def test_an_hour_with_every_fault_balances(tmp_path: Path) -> None:
    result = tmp_path / "soak.json"
    arguments = ["--seed", "3", "--days", "0.02", "--fast", "10", "--out", str(result)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmark.soak", *arguments],
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(result.read_text(encoding="utf-8"))
    assert found["failures"] == []
    assert found["powers"] > 100
    assert found["lives"] >= 2
