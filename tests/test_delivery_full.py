"""The disk of InfluxDB is full, and then it is not: an engine that fails for real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import own_target
from tests.engines import InfluxServer
from tests.running import RunningLogger, command, wait_until
from tests.test_buffer_disk import small
from tests.test_run import CONFIG, Line

__all__ = ["own_target", "small"]

pytestmark = pytest.mark.engine


@pytest.fixture
def own_influx(small: Path) -> Iterator[InfluxServer]:
    """An engine on a file system of 12 MiB."""
    with InfluxServer(small / "db") as server:
        yield server


def fill(directory: Path) -> Path:
    """Take what room there is below `directory`."""
    name = directory / "taken"
    with name.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return name


def test_a_server_whose_disk_was_full_has_to_be_restarted(
    request: pytest.FixtureRequest, small: Path, own_influx: InfluxServer, tmp_path: Path
) -> None:
    """InfluxDB stays with the error of its log, however much room there is: who is told only
    that the disk is full makes room, and waits for ever."""
    target = request.getfixturevalue("own_target")
    line = Line(paced=False)
    config = tmp_path / "logger.toml"
    (tmp_path / "token").write_text(target.translator.token, encoding="utf-8")
    config.write_text(
        CONFIG.format(
            port=line.port, url=target.url, bucket=target.bucket, fast_bucket=target.fast_bucket
        ),
        encoding="utf-8",
    )

    def count() -> int:
        return own_influx.count("power", "voltage", target.fast_bucket)

    with RunningLogger(config) as logger:
        wait_until(count)
        taken = fill(small)
        logger.wait_for("no space left on device (make room there, then restart InfluxDB")
        state = logger.status()
        assert state["exit"] == 1
        assert any("restart InfluxDB" in problem for problem in state["problems"]), state
        taken.unlink()
        own_influx.stop()
        own_influx.start()
        before = count()
        wait_until(lambda: count() > before)
        logger.wait_for("delivering again")
        line.wait_for_rounds(len(line.answers(1, 0x5002)) + 2)
    # What the short end of the logger left over goes out now.
    rest = command("buffer", "backfill", "--config", str(config))
    assert rest.returncode == 0, rest.stderr
    # Each answer of the fast job is there once, those of the full disk too.
    rows = own_influx.rows(
        "SELECT voltage FROM power WHERE meter = 'grid' AND phase = 'L1'", target.fast_bucket
    )
    stamps = [row["time"] for row in rows]
    assert len(stamps) == len(set(stamps)) >= len(line.answers(1, 0x5002)) - 1
    line.line.stop()
