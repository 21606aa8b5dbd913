"""The engines and the v2 front behave as what they stand for."""

from __future__ import annotations

import gzip
import json
import threading

import pytest
import urllib3

from tests.conftest import Target
from tests.engines import Answer, InfluxServer, VictoriaServer

pytestmark = pytest.mark.engine


def post(target: Target, lines: str, **changes: str) -> tuple[int, str]:
    token = changes.pop("token", target.translator.token)
    query = {"org": "home", "bucket": target.bucket, "precision": "ms"} | changes
    path = "&".join(f"{name}={value}" for name, value in query.items())
    with urllib3.PoolManager(retries=False, timeout=5.0) as http:
        answer = http.request(
            "POST",
            f"{target.url}/api/v2/write?{path}",
            body=gzip.compress(lines.encode()),
            headers={"Authorization": f"Token {token}", "Content-Encoding": "gzip"},
        )
    return answer.status, answer.data.decode()


def test_a_write_reaches_the_engine(target: Target) -> None:
    assert post(target, "power,meter=a active_power=1.5 1700000000123") == (204, "")
    assert target.rows("SELECT * FROM power") == [
        {"time": 1700000000123, "meter": "a", "active_power": 1.5}
    ]
    assert target.translator.writes[0].gzipped


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"token": "wrong"}, 401, "unauthorized"),
        ({"bucket": "nowhere"}, 404, "not found"),
        ({"org": "else"}, 404, "not found"),
    ],
)
def test_a_wrong_target_is_refused(
    target: Target, changes: dict[str, str], status: int, code: str
) -> None:
    got, body = post(target, "m v=1 1700000000000", **changes)
    assert (got, json.loads(body)["code"]) == (status, code)
    if "bucket" in changes:
        assert "nowhere" in body


def test_bad_lines_get_the_errors_of_2x(target: Target) -> None:
    post(target, "m v=1 1700000000000")
    status, body = post(target, 'm v="text" 1700000001000\nm v=3 1700000002000')
    assert (status, json.loads(body)["code"]) == (422, "unprocessable entity")
    assert "dropped=1" in body
    status, body = post(target, "m v= 1700000003000")
    assert (status, json.loads(body)["code"]) == (400, "invalid")
    assert [row["v"] for row in target.rows("SELECT v FROM m")] == [1, 3]


def test_it_fails_on_demand(target: Target) -> None:
    translator = target.translator
    translator.next.append(Answer(503, {"Retry-After": "7"}))
    status, body = post(target, "m v=1 1700000000000")
    assert status == 503
    assert body.startswith("<html>")
    for answer in (Answer(cut=True), Answer(engine=True, cut=True), Answer(reset=True)):
        translator.next.append(answer)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            post(target, "m v=2 1700000001000")
    assert [row["v"] for row in target.rows("SELECT v FROM m")] == [2]  # the lost acknowledgement
    translator.max_body = 10
    assert post(target, "m v=1 1700000000000")[0] == 413
    translator.down()
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        post(target, "m v=1 1700000000000")
    translator.up()
    translator.max_body = None
    assert post(target, "m v=1 1700000000000")[0] == 204


def test_it_hangs_until_told(target: Target) -> None:
    release = threading.Event()
    target.translator.next.append(Answer(engine=True, delay=release))
    got: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: got.append(post(target, "m v=1 1700000000000")))
    thread.start()
    while not target.translator.writes:
        thread.join(0.01)
    assert not got
    release.set()
    thread.join()
    assert got == [(204, "")]


def test_a_killed_engine_comes_back_with_its_data(own_influx: InfluxServer) -> None:
    own_influx.create_bucket("kept")
    own_influx.http.request(
        "POST", f"{own_influx.url}/write?db=kept&precision=ms", body="m v=1 1700000000000"
    )
    own_influx.kill()
    assert not own_influx.running
    own_influx.start()
    assert own_influx.count("m", "v", "kept") == 1


def test_victoria_takes_the_same_writes(victoria: VictoriaServer) -> None:
    answer = victoria.http.request(
        "POST",
        f"{victoria.url}/api/v2/write?org=o&bucket=b&precision=ms",
        body="power,meter=v active_power=2.5 1700000000456",
    )
    assert answer.status == 204
    [(labels, stamp, value)] = victoria.samples('power_active_power{meter="v"}')
    assert (labels["meter"], stamp, value) == ("v", 1700000000456, 2.5)
