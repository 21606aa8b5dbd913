"""When a value was read: frames that outlast their deadline, and jobs that take long.

The logger is a process, and is stopped (SIGSTOP) while its meter answers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from logger.meter.reading import TOGETHER_MS
from logger.models import Job
from tests.counting_meter import CONFIG, HELD_UP, MODEL, ROUNDING_MS, Meter, stored, voltages
from tests.lines import scripted
from tests.running import RunningLogger, wait_until


@pytest.mark.parametrize("begun", [60, 3, 0], ids=["halfway", "after the head", "before it"])
def test_a_frame_that_outlasts_its_deadline_gives_no_value(tmp_path: Path, begun: int) -> None:
    meter = Meter()
    meter.begun = begun
    with scripted(meter.script) as line:
        config = tmp_path / "logger.toml"
        config.write_text(CONFIG.format(port=line.port, fast=1), encoding="utf-8")
        with RunningLogger(config) as logger:
            meter.port, meter.process = line.port, logger.process.pid
            logger.wait_for("started")
            wait_until(lambda: max(voltages(tmp_path), default=0.0) >= HELD_UP + 3)
            (bus,) = logger.status()["buses"]
    assert bus["garbled"] == 1
    found = voltages(tmp_path)
    assert HELD_UP not in found
    assert HELD_UP - 1 in found
    for answer in meter.answers:
        if answer.voltage in found:
            at_ms = found[answer.voltage]
            assert answer.sent_ms - ROUNDING_MS <= at_ms <= answer.before_ms + ROUNDING_MS


def test_the_blocks_of_a_job_that_searches_have_their_own_time(tmp_path: Path) -> None:
    """No block is answered with 0x502A in it, so that the parts are found one by one."""
    meter = Meter(lacks=lambda block: block.address <= 0x502A < block.end and block.count > 2)
    with scripted(meter.script) as line:
        config = tmp_path / "logger.toml"
        text = CONFIG.format(port=line.port, fast=2)
        config.write_text(text.replace('timeout = "5s"', 'timeout = "1s"'), encoding="utf-8")
        with RunningLogger(config) as logger:
            logger.wait_for("in one request; asked as")
            wait_until(lambda: len({point.time_ms for point in stored(tmp_path)}) >= 3)
    for point in stored(tmp_path):
        for name in point.fields:
            (register,) = [
                one
                for one in MODEL.of_job(Job.FAST)
                if (one.field, one.phase) == (name, point.tags["phase"])
            ]
            assert any(
                answer.sent_ms - ROUNDING_MS
                <= point.time_ms
                <= answer.before_ms + TOGETHER_MS + ROUNDING_MS
                for answer in meter.answers
                if answer.block.holds(register)
            ), (point, register)
