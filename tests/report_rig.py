"""Sources that hold the same points: lines in memory, a buffer file, a real InfluxDB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import urllib3

from logger.buffer import Buffer
from logger.points.line import Point
from logger.report.source import BufferSource, Source
from logger.store.query import StoredLines
from tests.running import PATIENCE_S


def in_memory(points: Sequence[Point]) -> Source:
    lines = [point.line() for point in points]
    return BufferSource(lambda _name, _spans: lines)


def write_buffer(path: Path, points: Sequence[Point]) -> None:
    buffer = Buffer(path, commit_interval_s=0.05, now_ms=lambda: points[0].time_ms)
    buffer.open()
    for start in range(0, len(points), 500):
        buffer.append(points[start : start + 500])
        # Of what waits in memory the buffer drops some beyond a bound: a busy disk is slow.
        if buffer.state().in_memory > 20_000:
            assert buffer.flush(PATIENCE_S)
    assert buffer.flush(PATIENCE_S)
    assert not buffer.books().total.dropped
    buffer.close()


def in_buffer(path: Path, points: Sequence[Point]) -> Source:
    write_buffer(path, points)
    return BufferSource(StoredLines(path))


def write_influx(url: str, database: str, points: Sequence[Point]) -> None:
    http = urllib3.PoolManager()
    for start in range(0, len(points), 5000):
        body = "\n".join(point.line() for point in points[start : start + 5000])
        answer = http.request("POST", f"{url}/write?db={database}&precision=ms", body=body.encode())
        assert answer.status == 204, answer.data
