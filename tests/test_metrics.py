"""The endpoint for Prometheus: what it says is what the logger says of itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from logger.config import Config
from logger.config.metrics import Metrics
from logger.runtime.app import App
from logger.runtime.metrics import PREFIX, MetricsServer
from logger.simulate import VirtualClock, VirtualLine, quirks_named, virtual_site
from tests.engines.process import free_port
from tests.running import wait_until

NOON = 1_795_000_000.0


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A running logger with a meter that answers and one that does not."""
    site = virtual_site(7, start=NOON)
    line = VirtualLine(
        site.meters, clock=VirtualClock(NOON), paced=False, quirks=quirks_named(["dead@2"])
    )
    with line:
        config = Config.model_validate(
            {
                "site": {"name": "home"},
                "intervals": {"fast": 0.6, "slow": 5.0, "identity": 60},
                "bus": [
                    {
                        "name": "cabinet",
                        "port": f"socket://127.0.0.1:{line.start_tcp()}",
                        "timeout": 1.0,
                        "meter": [
                            {"name": "grid", "model": "pro380", "address": 1, "role": "grid"},
                            {"name": "roof", "model": "pro380", "address": 2, "role": "pv"},
                        ],
                    }
                ],
                "influxdb": {
                    "url": f"http://127.0.0.1:{free_port()}",
                    "bucket": "energy",
                    "fast_bucket": "live",
                    "token_file": _token(tmp_path),
                },
                "buffer": {"path": tmp_path / "buffer.sqlite", "commit_interval": 0.1},
            }
        )
        app = App(config)
        app.start()
        try:
            yield app
        finally:
            app.stop()


def _token(place: Path) -> Path:
    path = place / "token"
    path.write_text("secret-token", encoding="utf-8")
    return path


def scrape(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the samples at `port` by name and label values, sorted by label name."""
    answer = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics", retries=False)
    assert answer.status == 200
    text = answer.data.decode()
    assert "secret-token" not in text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            assert labels not in found.get(sample.name, {}), sample
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_it_says_what_the_logger_says(app: App) -> None:
    config = Metrics(port=free_port())
    server = MetricsServer(config, app.state, app.overview.points)
    server.start()
    try:
        wait_until(lambda: app.state()["meters"][0]["reads"] >= 4)
        wait_until(lambda: app.state()["meters"][1]["read_errors"] >= 1)
        wait_until(lambda: app.state()["buffer"]["waiting"] > 0)
        wait_until(lambda: not all(one["status"] == "starting" for one in _lanes(app)))
        before = app.state()
        found = scrape(config.port)
        after = app.state()
    finally:
        server.stop()
    grid, roof = ("cabinet", "grid", "grid", "home"), ("cabinet", "roof", "pv", "home")
    for place, labels in enumerate((grid, roof)):
        for name, key in (("reads", "reads"), ("read_errors", "read_errors")):
            value = found[f"{PREFIX}_meter_{name}_total"][labels]
            assert before["meters"][place][key] <= value <= after["meters"][place][key]
    assert found[f"{PREFIX}_meter_reads_total"][roof] == 0
    assert found[f"{PREFIX}_meter_read_seconds"][grid] > 0
    stamps = found[f"{PREFIX}_meter_last_reading_timestamp_seconds"]
    assert before["meters"][0]["last_reading"] / 1000 <= stamps[grid] <= time.time()
    assert roof not in stamps
    assert 0 < found[f"{PREFIX}_bus_load_ratio"]["cabinet", "home"] <= 1
    assert found[f"{PREFIX}_buffer_waiting_points"]["home",] >= before["buffer"]["waiting"]
    assert found[f"{PREFIX}_delivered_points_total"]["home",] == 0
    assert found[f"{PREFIX}_buffer_ok"]["home",] == 1
    assert set(found[f"{PREFIX}_delivery_ok"]) == {("energy", "home"), ("live", "home")}
    assert 0 in found[f"{PREFIX}_delivery_ok"].values()
    assert found[f"{PREFIX}_info"] == {("home", before["version"]): 1}
    assert found["process_resident_memory_bytes"][()] > 1e6


def _lanes(app: App) -> list[dict[str, str]]:
    return list(app.state()["delivery"].values())


def test_it_stops_and_starts_again(app: App) -> None:
    config = Metrics(port=free_port())
    for _ in range(2):
        server = MetricsServer(config, app.state, app.overview.points)
        server.start()
        assert f"{PREFIX}_healthy" in scrape(config.port)
        server.stop()
        with pytest.raises(urllib3.exceptions.HTTPError):
            scrape(config.port)


def test_an_address_in_use_stops_nothing(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = Metrics(port=other.getsockname()[1])
        server = MetricsServer(config, app.state, app.overview.points)
        server.start()
        server.stop()
    assert f"cannot listen on 127.0.0.1:{config.port}" in caplog.text


def test_only_this_machine_is_listened_to_by_default() -> None:
    assert Metrics().host == "127.0.0.1"
    for port in (0, 65536):
        with pytest.raises(ValidationError):
            Metrics(port=port)
