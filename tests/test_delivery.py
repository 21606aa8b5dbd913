"""From append to database: what every kind of answer does to the points."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from logger.domain.datamodel import Lane
from logger.points.line import encode
from logger.store.verify import verify
from tests.conftest import Target
from tests.engines import Answer, VictoriaServer
from tests.engines.rig import T0, Rig, energy, expected_fast, power, until
from tests.running import PATIENCE_S

pytestmark = pytest.mark.engine


@pytest.fixture
def rig(tmp_path: Path, target: Target) -> Iterator[Rig]:
    """A logger's buffer with a delivery that runs."""
    yield from _rig(Rig(tmp_path / "state" / "buffer.sqlite", target))


@pytest.fixture
def still(tmp_path: Path, target: Target) -> Iterator[Rig]:
    """A logger's buffer with a delivery that only takes the steps a test takes."""
    yield from _rig(Rig(tmp_path / "state" / "buffer.sqlite", target, deliver=False))


def _rig(rig: Rig) -> Iterator[Rig]:
    yield rig
    rig.close()
    report = verify(rig.path)
    assert report.problems == ()
    assert report.books is not None
    assert report.books.balanced


def test_every_point_arrives_in_its_bucket(rig: Rig) -> None:
    for number in range(50):
        rig.buffer.append(power(number) + (energy(number) if number % 10 == 0 else []))
    rig.settled()
    assert rig.fast() == expected_fast(range(50))
    assert rig.main() == {T0 + n * 1000: 1000 + n / 100 for n in range(0, 50, 10)}
    books = rig.buffer.books()
    assert (books.lanes[Lane.FAST].delivered, books.lanes[Lane.MAIN].delivered) == (100, 5)
    assert books.balanced
    states = rig.delivery.state()
    assert [states[lane].status for lane in Lane] == ["ok", "ok"]
    assert states[Lane.FAST].delivered == 100


def test_a_request_that_hangs_does_not_hold_the_stop(rig: Rig) -> None:
    rig.close()
    rig.config = rig.config.model_copy(update={"timeout": 86_400.0})
    rig.open()
    release = threading.Event()
    rig.target.translator.always = Answer(delay=release)
    rig.buffer.append(power(1))
    until(lambda: bool(rig.target.translator.writes))
    closing = threading.Thread(target=rig.close, daemon=True)
    closing.start()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()  # who waits for the answer waits for a day
    release.set()
    rig.target.translator.always = None
    rig.open()
    rig.settled()
    assert rig.fast() == expected_fast(range(1, 2))


def test_retry_after_is_honoured(rig: Rig) -> None:
    rig.target.translator.next.append(Answer(429, {"Retry-After": "1"}))
    began = time.monotonic()
    rig.buffer.append(power(1))
    rig.settled()
    assert time.monotonic() - began >= 1
    assert rig.fast() == expected_fast([1])


def test_each_status_of_a_server_or_proxy_keeps_every_point(still: Rig) -> None:
    worker = still.worker(Lane.FAST)
    numbers = []
    for status in range(200, 600):
        if status == 204:
            continue  # the acknowledgement
        numbers.append(status)
        still.buffer.append(power(status))
        assert still.buffer.flush()
        still.target.translator.next.append(Answer(status))
        worker.step()
        while worker.step() is not None:
            pass
    still.settled()
    assert still.fast() == expected_fast(numbers)
    assert still.buffer.books().total.set_aside == 0


def test_ways_to_lose_a_connection(still: Rig) -> None:
    still.config = still.config.model_copy(update={"timeout": 2.0})
    worker = still.worker(Lane.FAST)
    ways = [
        Answer(cut=True),
        Answer(reset=True),
        Answer(engine=True, cut=True),  # taken, and the acknowledgement lost
        Answer(engine=True, reset=True),
        Answer(engine=True, delay_s=30.0),  # no answer within the timeout
        Answer(status=502, body="\ufffd" * 2000),
    ]
    for number, way in enumerate(ways):
        still.buffer.append(power(number))
        assert still.buffer.flush()
        still.target.translator.next.append(way)
        pause = worker.step()
        assert pause is not None
        assert pause > 0
        assert still.buffer.books().total.waiting == 2
        while worker.step() is not None:
            pass
        still.settled()
    assert still.fast() == expected_fast(range(len(ways)))
    count = still.target.rows("SELECT count(active_power) AS n FROM power", fast=True)
    assert count[0]["n"] == 2 * len(ways)  # sent twice, there once


def test_redirects_are_not_followed(still: Rig) -> None:
    other = still.target.translator.engine_url
    still.buffer.append(power(1))
    still.buffer.flush()
    worker = still.worker(Lane.FAST)
    for status in (301, 302, 303, 307, 308):
        still.target.translator.next.append(Answer(status, {"Location": f"{other}/elsewhere"}))
        worker.step()
        state = still.delivery.state()[Lane.FAST]
        assert state.status == "wrong target"
        assert "/elsewhere" in state.error
    assert len(still.target.translator.writes) == 5
    worker.step()
    still.settled()


def test_a_server_that_is_not_there_or_not_tls_or_has_no_name(still: Rig) -> None:
    still.buffer.append(power(1))
    still.buffer.flush()
    url = still.config.url
    for wrong, status, words in (
        ("http://127.0.0.1:1", "unreachable", "refused"),
        (url.replace("http:", "https:"), "unreachable", "TLS"),
        ("http://no-such-host.invalid:8086", "unreachable", "resolved"),
    ):
        still.config = still.config.model_copy(update={"url": wrong})
        worker = still.worker(Lane.FAST)
        pause = worker.step()
        assert pause
        state = still.delivery.state()[Lane.FAST]
        assert (state.status, words in state.error) == (status, True), state
    still.config = still.config.model_copy(update={"url": url})
    still.worker(Lane.FAST).step()
    still.settled()
    assert still.fast() == expected_fast([1])


def test_an_over_large_request_is_halved(still: Rig) -> None:
    still.target.translator.max_body = 700
    numbers = range(300)
    for number in numbers:
        still.buffer.append(power(number))
    still.buffer.flush()
    worker = still.worker(Lane.FAST)
    while worker.step() is not None:
        pass
    still.settled()
    assert still.fast() == expected_fast(numbers)
    before = len(still.target.translator.writes)
    assert still.target.translator.writes[0].size > 700
    for number in range(300, 500):
        still.buffer.append(power(number))
    still.buffer.flush()
    while worker.step() is not None:
        pass
    still.settled()
    later = still.target.translator.writes[before:]
    assert sum(write.size > 700 for write in later) <= 2  # it remembers what fits
    assert still.fast() == expected_fast(range(500))


def test_one_missing_bucket_does_not_stop_the_other(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.target.engine.drop_bucket(rig.target.fast_bucket)
    for number in range(20):
        rig.buffer.append(power(number) + energy(number))
    until(lambda: rig.delivery.state()[Lane.FAST].status == "wrong target")
    until(lambda: rig.buffer.flush() and rig.buffer.books().lanes[Lane.MAIN].waiting == 0)
    assert len(rig.main()) == 20
    assert rig.buffer.books().lanes[Lane.FAST].waiting == 40
    error = rig.delivery.state()[Lane.FAST].error
    assert rig.target.fast_bucket in error
    assert "create the bucket" in error
    rig.target.engine.create_bucket(rig.target.fast_bucket)
    rig.settled()
    assert rig.fast() == expected_fast(range(20))
    lines = [record.getMessage() for record in caplog.records if "influxdb:" in record.getMessage()]
    assert len(lines) == 2, lines
    assert all(word in lines[0] for word in (rig.target.url, "'home'", rig.target.fast_bucket))
    assert "delivering again" in lines[1]


def test_a_mended_token_works_without_a_restart(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.buffer.append(power(1))
    rig.settled()
    rig.target.translator.token = "another-one"
    rig.buffer.append(power(2))
    until(lambda: rig.delivery.state()[Lane.FAST].status == "wrong target")
    assert rig.buffer.books().lanes[Lane.FAST].waiting == 2
    rig.token_file.unlink()
    until(lambda: "no such file" in rig.delivery.state()[Lane.FAST].error.lower())
    rig.token_file.write_text("another-one")
    rig.settled()
    assert rig.fast() == expected_fast([1, 2])
    assert "the-token" not in caplog.text
    assert "another-one" not in caplog.text


def test_a_token_that_the_server_repeats_is_hidden(still: Rig) -> None:
    still.target.translator.next.append(
        Answer(400, body='{"code":"invalid","message":"bad header Token the-token"}')
    )
    still.target.translator.always = Answer(401, body='{"message":"the-token is no good"}')
    still.buffer.append(power(1))
    still.buffer.flush()
    still.worker(Lane.FAST).step()
    error = still.delivery.state()[Lane.FAST].error
    assert "the-token" not in error
    assert "***" in error
    still.target.translator.always = None


def test_url_bucket_and_token_may_change_while_a_backlog_waits(
    rig: Rig, own_target: Target
) -> None:
    rig.target.translator.down()
    for number in range(30):
        rig.buffer.append(power(number) + energy(number))
    rig.buffer.flush()
    rig.close()
    own_target.translator.token = "new-token"
    rig.token_file.write_text("new-token")
    rig.config = rig.config.model_copy(
        update={
            "url": own_target.url,
            "bucket": own_target.bucket,
            "fast_bucket": "",
        }
    )
    rig.open()
    rig.settled()
    assert len(own_target.rows("SELECT * FROM power")) == 60  # one bucket for both
    assert len(own_target.rows("SELECT * FROM energy")) == 30


def test_the_newest_points_go_first_then_the_oldest(still: Rig) -> None:
    for number in range(3000):
        still.buffer.append(power(number))
    still.buffer.flush()
    worker = still.worker(Lane.FAST)
    worker.step()
    first = still.target.translator.writes[0].lines
    newest = [encode(point) for number in range(3000) for point in power(number)]
    assert list(first) == newest[-len(first) :]  # how many depends on which rows were packed
    assert len(first) < len(newest)
    worker.step()
    assert still.target.translator.writes[1].lines[0].endswith(str(T0))
    still.buffer.append(power(3000))  # news overtake the backlog
    still.buffer.flush()
    worker.step()
    assert still.target.translator.writes[2].lines[-1].endswith(str(T0 + 3000 * 1000))
    while worker.step() is not None:
        pass
    still.settled()
    assert still.fast() == expected_fast(range(3001))
    lines = [line for write in still.target.translator.writes for line in write.lines]
    assert len(lines) == len(set(lines))  # nothing was sent twice


def test_going_and_coming_back_are_one_log_line_each(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.buffer.append(power(1) + energy(1))
    rig.settled()
    rig.target.translator.down()
    rig.buffer.append(power(2) + energy(2))
    until(lambda: all(not state.ok for state in rig.delivery.state().values()))
    rig.target.translator.up()
    rig.settled()
    until(lambda: all(state.ok for state in rig.delivery.state().values()))
    lines = [record.getMessage() for record in caplog.records if "influxdb:" in record.getMessage()]
    assert [line.split(":")[1].strip() for line in lines] == ["unreachable", "delivering again"]
    assert "points wait" in lines[1]


def test_a_slow_server_gets_more_time_and_smaller_batches(still: Rig) -> None:
    """Each request takes longer than the timeout allows at first."""
    still.config = still.config.model_copy(update={"timeout": 0.3})
    still.target.translator.always = Answer(engine=True, delay_s=1.0)
    for number in range(3):
        still.buffer.append(power(number))
    still.buffer.flush()
    worker = still.worker(Lane.FAST)
    while worker.step() is not None:
        pass
    still.settled()
    assert still.fast() == expected_fast(range(3))


def test_victoria_metrics_takes_the_points_too(still: Rig, victoria: VictoriaServer) -> None:
    still.config = still.config.model_copy(update={"url": victoria.url})
    still.buffer.append(power(7, meter="victoria"))
    still.buffer.flush()
    worker = still.worker(Lane.FAST)
    while worker.step() is not None:
        pass
    still.settled()
    found = {
        (stamp, labels["phase"]): value
        for labels, stamp, value in victoria.samples('power_active_power{meter="victoria"}')
    }
    assert found == expected_fast([7])
