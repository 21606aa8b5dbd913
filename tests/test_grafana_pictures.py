"""The script that takes pictures of dashboards, against a page that answers as Grafana does."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests import grafana_pictures

pytestmark = pytest.mark.long  # Chromium is 113 MB to fetch: not a part of the normal run
# A box that scrolls, whose panel is still loading until its data is there, and reaches beyond the
# grid around it, as on a phone.
PAGE = """<!doctype html><meta name="viewport" content="width=device-width">
<body style="margin: 0"><div class="scrollbar-view" style="height: 100vh;
overflow: auto"><div class="react-grid-layout" style="height: 2329px">
<div class="react-grid-item" style="height: 2400px"><i class="panel-loading"></i></div></div></div>
<script>fetch("/data").then(async (one) => {
document.querySelector("i").className = (await one.json()).corner})</script>"""
LOGIN = {"user": "admin", "password": "a b#c"}


class _Grafana(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []
    failing: ClassVar[int] = 0  # so many answers to come are failures

    def _answer(self, text: str, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.path == "/login" and given == LOGIN
        self._answer('{"message": "Logged in"}' if right else "{}", status=200 if right else 401)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/api/search"):
            self._answer('[{"uid": "inepro-home", "title": "Home"}]')
        elif self.path.startswith("/data"):
            failed = type(self).failing > 0
            type(self).failing -= failed
            self._answer(json.dumps({"corner": "panel-info-corner--error" if failed else ""}))
        else:
            self._answer(PAGE, "text/html")

    def log_message(self, *_: object) -> None:
        """Nothing to print."""


@pytest.fixture
def grafana() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Grafana)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_picture_is_of_the_whole_page(
    grafana: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_PASSWORD", LOGIN["password"])
    grafana_pictures.main([grafana, "--out", str(tmp_path), "--theme", "dark", "--width", "400"])
    (path,) = tmp_path.iterdir()
    assert path.name == "home-400-dark.png"
    assert struct.unpack(">II", path.read_bytes()[16:24]) == (400, 2416)
    assert "/d/inepro-home?theme=dark&kiosk" in _Grafana.asked


def test_a_page_whose_panels_fail_is_opened_again(
    grafana: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Grafana, "failing", 2)
    monkeypatch.setattr(_Grafana, "asked", [])
    grafana_pictures.main([grafana, "--out", str(tmp_path), "--theme", "dark", "--width", "400"])
    assert [path.name for path in tmp_path.iterdir()] == ["home-400-dark.png"]
    assert _Grafana.asked.count("/data") == 3


def test_no_picture_is_taken_of_panels_that_keep_failing(
    grafana: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Grafana, "failing", 1000)
    with pytest.raises(SystemExit, match="1 panels say that their query failed"):
        grafana_pictures.main([grafana, "--out", str(tmp_path), "--theme", "dark"])
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_password_is_said(
    grafana: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFANA_PASSWORD", "another")
    with pytest.raises(SystemExit, match="login: Grafana says 401"):
        grafana_pictures.main([grafana, "--out", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
