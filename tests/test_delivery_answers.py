"""Answers that never end, are far too long, or break off: no point is lost over them."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest

from logger.buffer import Buffer
from logger.config import Influx
from logger.delivery import Delivery
from logger.domain.datamodel import Lane
from tests.engines.rig import now_ms, power, until
from tests.running import COMMAND, ROOT, command
from tests.scripted import DONE, HUGE, Script, ScriptedServer, drips, page

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD = b"HTTP/1.1 503 Service Unavailable\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

# Sent one piece every half second, for ever.
ENDLESS = {
    "body": drips(HEAD + b"Content-Length: 100000\r\n\r\n"),
    "body to the end": drips(HEAD + b"\r\n"),
    "chunks": drips(CHUNKED, repeat(b"1\r\nx\r\n")),
    "size of a chunk": drips(CHUNKED, repeat(b"0")),
    "trailer": drips(CHUNKED + b"0\r\n", repeat(b"a: b\r\n")),
    "headers": drips(HEAD, repeat(b"X: y\r\n")),
    "one header": drips(HEAD + b"X: "),
    "status line": drips(b"HTTP/1.1 "),
    "interim": drips(CONTINUE, repeat(CONTINUE)),
    "silence": drips(HEAD, repeat(b"")),
}
# As fast as they can, for ever or nearly so.
FLOODS = {
    "plain": page(b"500 Internal Server Error", HUGE),
    "packed": page(b"500 Internal Server Error", HUGE, packed=True),
    "interim": drips(CONTINUE, repeat(CONTINUE * 10_000)),
    "headers": drips(HEAD, repeat(b"X: y\r\n" * 10_000)),
    "chunks": drips(CHUNKED, repeat(b"2710\r\n" + b"x" * 10_000 + b"\r\n")),
    "refusal": page(b"400 Bad Request", HUGE),
}
# No whole acknowledgement.
CUT = {
    "status line": b"HTTP/1.1 204",
    "status line with its end": b"HTTP/1.1 204 No Content\r\n",
    "headers": b"HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan",
    "last line": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r",
    "version": b"HTTP/1.1",
    "nothing": b"",
    "interim": CONTINUE,
    "interim and status": CONTINUE + b"HTTP/1.1 204 No Content\r\n",
}


class Rig:
    """A buffer and its delivery to a scripted server."""

    def __init__(self, directory: Path, server: ScriptedServer, timeout_s: float) -> None:
        token = directory / "token"
        token.write_text("the-token\n")
        self.server = server
        self.buffer = Buffer(directory / "buffer.sqlite", commit_interval_s=0.02, now_ms=now_ms)
        self.buffer.open()
        target = Influx(
            url=server.url, org="home", bucket="b", token_file=token, timeout=timeout_s, gzip=True
        )
        self.delivery = Delivery(self.buffer, target, now_ms=now_ms)
        self.delivery.start()

    def fails_then_recovers(self, script: Script, status: str) -> str:
        """Let the server answer by `script` until delivery shows `status`, then mend it:
        the points must arrive. Return the error that was shown."""
        seen = []

        def failed() -> bool:
            seen.append(self.delivery.state()[Lane.FAST])
            return seen[-1].status == status

        self.server.script = script
        self.buffer.append(power(1))
        until(failed)
        assert self.buffer.flush()
        assert self.buffer.books().total.waiting == 2
        assert self.buffer.books().total.delivered == 0
        self.server.script = None
        until(self.settled)
        assert self.buffer.books().total.delivered == 2
        return seen[-1].error

    def settled(self) -> bool:
        return self.buffer.flush() and self.buffer.books().total.waiting == 0

    def close(self) -> None:
        self.delivery.stop()
        self.buffer.close()


@pytest.fixture
def timeout_s() -> float:
    """Time enough for any answer; who sends none parametrizes it."""
    return 60.0


@pytest.fixture
def rig(tmp_path: Path, timeout_s: float) -> Iterator[Rig]:
    with ScriptedServer() as server:
        rig = Rig(tmp_path, server, timeout_s)
        yield rig
        rig.close()


@pytest.mark.parametrize("timeout_s", [1.0])
@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_end_is_over_within_the_timeout(rig: Rig, name: str) -> None:
    rig.server.pause_s = 0.5
    error = rig.fails_then_recovers(ENDLESS[name], "no answer")
    # A second for the first request, and longer for each that follows.
    assert re.search("no complete answer within [1248] s", error)


@pytest.mark.parametrize("name", FLOODS)
def test_only_a_bounded_part_of_an_answer_is_read(rig: Rig, name: str) -> None:
    flood = FLOODS[name]
    wrong = {"interim": "unreachable", "headers": "unreachable", "refusal": "wrong target"}
    rig.fails_then_recovers(flood, wrong.get(name, "server error"))
    # What the sockets of both ends hold is sent as well, but is not read.
    assert rig.server.sent / rig.server.requests < HUGE / 10


@pytest.mark.parametrize("name", CUT)
def test_an_answer_that_was_cut_off_acknowledges_nothing(rig: Rig, name: str) -> None:
    rig.fails_then_recovers(lambda: [CUT[name]], "unreachable")


def test_a_whole_acknowledgement_counts_though_the_connection_is_closed(rig: Rig) -> None:
    rig.server.script = lambda: [DONE]
    rig.buffer.append(power(1))
    until(rig.settled)
    assert rig.server.requests == 1
    assert rig.buffer.books().total.delivered == 2


@pytest.mark.parametrize(
    ("location", "base"),
    [
        ("https://db.example/api/v2/write?org=home&bucket=b", "https://db.example"),
        ("https://db.example:8086/influx/api/v2/write", "https://db.example:8086/influx"),
        ("/behind/api/v2/write?precision=ms", "{url}/behind"),
        ("https://login.example/?next=x", ""),
    ],
)
def test_a_redirect_names_the_base_address(rig: Rig, location: str, base: str) -> None:
    answer = f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    error = rig.fails_then_recovers(lambda: [answer.encode()], "wrong target")
    if base:
        assert f"(set influxdb.url to {base.format(url=rig.server.url)})" in error
    else:
        assert "InfluxDB's own address" in error


def _config(directory: Path, url: str, timeout: str = "60s") -> Path:
    (directory / "token").write_text("the-token\n")
    config = directory / "logger.toml"
    config.write_text(
        '[site]\nname = "home"\ntimezone = "UTC"\n'
        f'[buffer]\npath = "{directory}/buffer.sqlite"\n'
        f'[influxdb]\nurl = "{url}"\norg = "home"\nbucket = "energy"\ntimeout = "{timeout}"\n'
        'token_file = "token"\n'
        '[[bus]]\nname = "line"\nport = "socket://127.0.0.1:9"\n'
        '[[bus.meter]]\nname = "house"\nmodel = "pro380"\naddress = 1\nrole = "grid"\n',
        encoding="utf-8",
    )
    return config


def _peak(directory: Path, script: Script) -> int:
    """Return the most memory that `check` takes with such a server, in bytes."""
    with ScriptedServer(script) as server:
        config = _config(directory, server.url)
        arguments = [*COMMAND, "check", "--config", str(config)]
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        text = process.stdout.read()
        _, _, used = os.wait4(process.pid, 0)
        process.stdout.close()
        process.returncode = 0
        assert b"server error: answered 500" in text
    return used.ru_maxrss * 1024


def test_a_page_of_300_mb_costs_no_memory_compressed_or_not(tmp_path: Path) -> None:
    small = _peak(tmp_path, page(b"500 Internal Server Error", 1_000_000))
    for packed in (False, True):
        large = _peak(tmp_path, page(b"500 Internal Server Error", HUGE, packed=packed))
        assert large - small < HUGE / 10


@pytest.mark.parametrize("name", ["body", "headers", "interim"])
def test_commands_end_when_an_answer_does_not(tmp_path: Path, name: str) -> None:
    with ScriptedServer(ENDLESS[name]) as server:
        server.pause_s = 0.5
        config = str(_config(tmp_path, server.url, "1s"))
        checked = command("check", "--config", config)
        assert checked.returncode == 1
        assert "no complete answer within 1 s" in checked.stdout
        report = command("report", "energy", "--config", config)
        assert report.returncode == 1, report
        assert "no complete answer within 3 s" in report.stderr


@pytest.mark.parametrize("name", ["interim", "headers", "plain", "packed"])
def test_a_report_reads_a_bounded_part_of_a_refusal(tmp_path: Path, name: str) -> None:
    with ScriptedServer(FLOODS[name]) as server:
        report = command("report", "energy", "--config", str(_config(tmp_path, server.url)))
        assert report.returncode == 1, report
        assert "Traceback" not in report.stderr
        assert server.sent < HUGE / 10


def test_a_report_tells_an_answer_that_broke_off(tmp_path: Path) -> None:
    cut = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"results": []}\n'
    with ScriptedServer(lambda: [cut]) as server:
        report = command("report", "energy", "--config", str(_config(tmp_path, server.url)))
        assert report.returncode == 1, report
        assert "cannot be reached" in report.stderr


def test_a_report_says_where_a_query_is_redirected(tmp_path: Path) -> None:
    moved = b"HTTP/1.1 308 Moved\r\nLocation: https://db.example/query\r\n\r\n"
    with ScriptedServer(lambda: [moved]) as server:
        report = command("report", "energy", "--config", str(_config(tmp_path, server.url)))
        assert "set influxdb.url to https://db.example" in report.stderr


def test_the_same_limits_hold_over_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    trusting = {"SSL_CERT_FILE": str(certificate)}
    with ScriptedServer(context=context) as server:
        config = str(_config(tmp_path, server.url))
        assert "the token may write" in command("check", "--config", config, env=trusting).stdout
        assert "TLS: " in command("check", "--config", config).stdout
        server.pause_s = 0.5
        server.script = ENDLESS["interim"]
        hasty = str(_config(tmp_path, server.url, "1s"))
        checked = command("check", "--config", hasty, env=trusting)
        assert "no complete answer within 1 s" in checked.stdout
        config = str(_config(tmp_path, server.url))
        server.pause_s = 0.0
        server.script = lambda: [CUT["status line"]]
        checked = command("check", "--config", config, env=trusting)
        assert "the answer was cut off" in checked.stdout
