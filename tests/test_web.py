"""The HTTP interface of a running logger: what it answers, to whom, and what strangers cost."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from logger.config import Config, load_config
from logger.config.http import TOKEN_VARIABLE
from logger.domain.errors import ConfigError
from logger.runtime.app import App
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from logger.store.query import StoredLines
from logger.survey import surroundings
from logger.web.description import description
from tests.configs import configuration
from tests.engines.process import free_port
from tests.running import wait_until
from tests.sockets import most_kept_for

NOON = 1_795_000_000.0
EVER = (0, 2**60)
TOKEN = "a-token-of-readers-0123456789"
ODD = 'ro<b>of [x]/"1"'


@contextlib.contextmanager
def running(place: Path, **http: object) -> Iterator[tuple[App, str]]:
    """A logger with two meters, and where it is asked."""
    port = free_port()
    site = virtual_site(7, start=NOON)
    line = VirtualLine(site.meters, clock=VirtualClock(NOON), paced=False)
    with line:
        config = Config.model_validate(
            {
                "site": {"name": "home", "timezone": "Europe/Amsterdam"},
                "intervals": {"fast": 0.5, "slow": 1.0, "identity": 60},
                "prices": {"valid": [{"since": "2026-01-01", "buy": 0.3}]},
                "bus": [
                    {
                        "name": "cabinet",
                        "port": f"socket://127.0.0.1:{line.start_tcp()}",
                        "baudrate": 38400,
                        "meter": [
                            {"name": "grid", "model": "pro380", "address": 1, "role": "grid"},
                            {"name": ODD, "model": "pro380", "address": 2, "role": "pv"},
                        ],
                    }
                ],
                "buffer": {"path": place / "buffer.sqlite", "commit_interval": 0.1},
                "metrics": {"port": free_port()},
                "http": {"port": port, **http},
            },
            strict=False,
        )
        app = App(config)
        app.start()
        try:
            yield app, f"http://127.0.0.1:{port}"
        finally:
            app.stop()


@pytest.fixture(scope="module")
def logger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, str]]:
    with running(tmp_path_factory.mktemp("web")) as (app, url):
        wait_until(lambda: all(app.latest.available(name) for name in ("grid", ODD, "")))
        # A report is kept for a while: it is asked for when there is something to report.
        lines = StoredLines(app.config.buffer.path)
        wait_until(lambda: len({one.split()[-1] for one in lines("energy", [EVER])}) > 4)
        wait_until(lambda: ask(url, "/api/energy")["rows"])
        yield app, url


def get(
    url: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: str | None = None
) -> urllib3.BaseHTTPResponse:
    return urllib3.request(method, url, headers=headers, body=body, retries=False, timeout=60)


def ask(url: str, path: str) -> Any:
    answer = get(url + path)
    return json.loads(answer.data)


def conforms(value: Any, schema: Mapping[str, Any], where: str = "") -> None:
    """Assert that `value` is what the part of JSON Schema that the description uses allows."""
    if "$ref" in schema:
        schemas = description(token=False, metrics=True)["components"]["schemas"]
        conforms(value, schemas[schema["$ref"].rpartition("/")[2]], where)
    elif "anyOf" in schema:
        choice = [one for one in schema["anyOf"] if (one.get("type") == "null") == (value is None)]
        conforms(value, choice[0], where)
    elif "enum" in schema:
        assert value in schema["enum"], where
    else:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        known: dict[str, Any] = {
            "string": str, "number": (int, float), "integer": int, "boolean": bool,
            "object": dict, "array": list, "null": type(None),
        }  # fmt: skip
        assert any(isinstance(value, known[kind]) for kind in kinds), f"{where}: {value!r}"
        if schema.get("format") == "date-time":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value)
        if isinstance(value, dict):
            own, more = schema.get("properties", {}), schema.get("additionalProperties", {})
            assert set(schema.get("required", ())) <= set(value), where
            for name, one in value.items():
                assert name in own or more is not False, f"{where}: {name}"
                conforms(one, own[name], f"{where}/{name}") if name in own else None
        if isinstance(value, list):
            for place, one in enumerate(value):
                conforms(one, schema["items"], f"{where}/{place}")


def test_every_address_answers_as_described(logger: tuple[App, str]) -> None:
    _, url = logger
    described = ask(url, "/api/openapi.json")
    assert described == json.loads(json.dumps(description(token=False, metrics=True)))
    for path, about in described["paths"].items():
        if path == "/api/stream":
            continue
        answer = get(url + path.replace("{name}", quote(ODD, safe="")))
        told = about["get"]["responses"][str(answer.status)]["content"]
        ((kind, content),) = told.items()
        assert answer.status == 200, (path, answer.data)
        assert answer.headers["content-type"].startswith(kind)
        if kind == "application/json":
            conforms(json.loads(answer.data), content["schema"], path)
        assert get(url + path.replace("{name}", "grid"), method="POST").status == 405
        if kind == "application/json":
            refused = get(f"{url}{path.replace('{name}', 'grid')}?nonsense=1")
            assert refused.status == 400
            conforms(json.loads(refused.data), described["components"]["schemas"]["Error"])


def test_it_says_what_the_meters_said(logger: tuple[App, str]) -> None:
    app, url = logger
    whole = ask(url, f"/api/meters/{quote(ODD, safe='')}")
    values = {(one["field"], one["phase"], one["tariff"]): one for one in whole["values"]}
    counter = values["active_export", "total", "total"]
    assert counter["unit"] == "kWh"
    assert counter["fresh"]
    assert {one["unit"] for one in whole["values"]} >= {"V", "A", "W", "Hz", "kWh"}
    (short,) = [one for one in ask(url, "/api/meters")["meters"] if one["name"] == ODD]
    assert short["role"] == "pv"
    assert short["values"]["active_export/total/total"] >= counter["value"]
    site = ask(url, "/api/site")
    assert {"grid_power", "pv_power", "load_power"} <= set(site["values"])
    assert ask(url, "/api/status")["latest"]["site"].keys() == {
        "available",
        "time",
        "age_s",
        "values",
    }
    assert "inepro_logger_meter_reads_total" in get(f"{url}/metrics").data.decode()
    nobody = get(f"{url}/api/meters/{'nobody' * 1000}")
    assert nobody.status == 404
    assert len(nobody.data) < 200
    assert app.state()["http"]["listening"]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("by=fortnight", 400, "none of quarter, hour"),
        ("from=tomorrowish", 400, "not a time"),
        ("source=memory", 400, "none of buffer"),
        # Each parameter is right, as the description says, but not together.
        ("from=today&to=yesterday", 409, "not before"),
        ("from=1971", 409, "longer than"),
        ("from=2020&by=hour", 409, "more than"),
        ("from=2026-01&to=2026-06&by=quarter", 409, "more than"),
    ],
)
def test_a_wrong_question_is_named(
    logger: tuple[App, str], query: str, status: int, said: str
) -> None:
    answer = get(f"{logger[1]}/api/energy?{query}")
    assert answer.status == status
    assert said in json.loads(answer.data)["error"]
    responses = description(token=False, metrics=True)["paths"]["/api/energy"]["get"]["responses"]
    assert str(status) in responses


def test_energy_is_the_report_of_the_command(logger: tuple[App, str]) -> None:

    def told() -> bool:
        rows = ask(logger[1], "/api/energy?from=today&by=hour&source=buffer")["rows"]
        return bool(rows) and all(rows[-1][name] is not None for name in ("import_kwh", "cost"))

    wait_until(told)  # at the turn of an hour the new one has nothing yet
    events = ask(logger[1], "/api/events?from=7d&kind=meter_silent")
    assert events == {"events": [], "left_out": 0}


def test_the_stream_gives_all_then_what_changes(logger: tuple[App, str]) -> None:
    app, url = logger
    answer = urllib3.request("GET", f"{url}/api/stream", preload_content=False, timeout=60)
    text, parts = "", answer.stream(65536, decode_content=True)
    while text.count("event: state") < 3:
        text += next(parts).decode()
    assert app.state()["http"]["pages"] == 1  # `parts` lives: without it the connection ends
    answer.close()
    first, second, *_ = re.findall(r"^data: (.*)$", text, re.MULTILINE)
    assert [one["name"] for one in json.loads(first)["meters"]] == ["grid", ODD]
    assert json.loads(first)["site"]["values"]
    assert {one["name"] for one in json.loads(second)["meters"]} <= {"grid", ODD}
    wait_until(lambda: app.state()["http"]["pages"] == 0)


def test_another_name_is_refused_and_the_page_runs_nothing_foreign(logger: tuple[App, str]) -> None:
    _, url = logger
    strangers = "evil.example", "127.0.0.1.nip.io", "evil@127.0.0.1", "localhost#evil", "[::1", ""
    for host in strangers:
        assert get(f"{url}/api/site", {"host": host}).status == 421, host
    assert get(f"{url}/api/site", {"host": "localhost:1"}).status == 200
    answer = get(f"{url}/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    text = answer.data.decode()
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|https?://", text)
    for name in re.findall(r'(?:src|href)="([\w.]+)"', text):
        assert get(f"{url}/{name}").status == 200, name
    assert "access-control-allow-origin" not in answer.headers


def test_a_token_opens_and_its_cookie_too(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", encoding="utf-8")
    origin = "https://panel.example.org"
    with running(tmp_path, host="127.0.0.1", token_file=file, origins=[origin]) as (app, url):
        for path in ("/api/site", "/api/status", "/api/stream", "/metrics", "/api/meters/grid"):
            assert get(url + path).status == 401
        assert get(f"{url}/").status == 200
        assert get(f"{url}/api/site", {"authorization": "Bearer wrong"}).status == 401
        good = {"authorization": f"Bearer {TOKEN}", "origin": origin}
        answer = get(f"{url}/api/site", good)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == origin
        other = get(f"{url}/api/site", {**good, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        assert get(f"{url}/login", method="POST", body='{"token": "wrong"}').status == 403
        assert get(f"{url}/login", method="POST", body="x" * 5000).status == 413
        for body in ("{", '{"token": "\\ud800"}', '{"token": 1}', "[]"):
            assert get(f"{url}/login", method="POST", body=body).status == 400
        done = get(f"{url}/login", method="POST", body=json.dumps({"token": TOKEN}))
        cookie = done.headers["set-cookie"]
        assert done.status == 204
        assert "HttpOnly" in cookie
        assert TOKEN not in cookie
        assert get(f"{url}/api/site", {"cookie": cookie.partition(";")[0]}).status == 200
        assert get(f"{url}/api/site", {"cookie": "inepro_logger=1"}).status == 401
        assert TOKEN not in json.dumps(app.state())


def test_strangers_cost_the_log_nothing(tmp_path: Path) -> None:
    """200 connections that ask nothing, ask half, never read or send a body for ever: others
    are answered, and the meters are read."""
    with running(tmp_path) as (app, url):
        port = int(url.rpartition(":")[2])
        wait_until(lambda: all(app.latest.available(one) for one in ("grid", ODD)))
        half = (
            b"", b"GET /api/si", b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n{",
            b"GET /api/site HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n",
            b"\x00\xff garbage\r\n\r\n",
        )  # fmt: skip
        with contextlib.ExitStack() as stack:
            for place in range(200):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                with contextlib.suppress(OSError):  # cut off already, as one of too many
                    one.sendall(half[place % len(half)])
            before = app.overview.readings
            assert get(f"{url}/api/meters", {"connection": "close"}).status == 200
            wait_until(lambda: app.overview.readings > before + 4)
            assert get(f"{url}/api/site", {"connection": "close"}).status == 200
            wait_until(lambda: not app.state()["problems"])


def test_who_never_reads_is_kept_little_for(logger: tuple[App, str]) -> None:
    """Many questions, whose answers are not taken: the system is not filled with them."""
    _, url = logger
    question = b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        client.sendall(question * 1000)
        assert most_kept_for(client) < 400_000
    assert get(f"{url}/api/site").status == 200


def test_a_port_in_use_is_said_and_costs_no_reading(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)) as taken,
        running(tmp_path, port=port) as (app, _),
    ):
        wait_until(lambda: all(app.latest.available(one) for one in ("grid", ODD)))
        said = f"http: cannot listen on 127.0.0.1:{port}: Address already in use"
        assert said in caplog.text
        assert [one for one in app.state()["problems"] if one.startswith("http")] == [said]
        taken.close()
        wait_until(lambda: app.state()["http"]["listening"])
        assert get(f"http://127.0.0.1:{port}/api/meters").status == 200


def test_beyond_loopback_a_token_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "logger.toml"
    file.write_text(configuration(("grid", "grid"), http={"host": "0.0.0.0"}), encoding="utf-8")
    config = load_config(file)
    assert config.http is not None
    with pytest.raises(ConfigError, match="beyond this machine"):
        config.http.token()
    assert [one.verdict for one in surroundings.http(config)] == ["fail"]
    monkeypatch.setenv(TOKEN_VARIABLE, "short")
    with pytest.raises(ConfigError, match="it needs 16") as caught:
        config.http.token()
    assert "short" not in str(caught.value).replace("shorter", "")
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    (found,) = surroundings.http(config)
    assert found.verdict == "warn"
    assert "every network of this machine" in found.text
    file.write_text(configuration(("grid", "grid"), http={"port": 9470}), encoding="utf-8")
    (found,) = surroundings.http(load_config(file))
    assert "this machine alone" in found.text


@pytest.mark.parametrize("host", ["", "no address", "panel.example.org", "127.0.0.1:80", "[::1]"])
def test_what_is_no_address_to_listen_on_is_named(tmp_path: Path, host: str) -> None:
    file = tmp_path / "logger.toml"
    file.write_text(configuration(("grid", "grid"), http={"host": host}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"logger\.toml:\d+: http\.host.*no address to listen on"):
        load_config(file)
