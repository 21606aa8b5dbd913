"""InfluxDB's v2 write interface before a 1.x engine, as thin as it can be, as a process.

It passes bodies on unread and can keep them, so that curl can post the very same bytes.
The tests' translator judges every line; here it would be measured with the rest.
"""

from __future__ import annotations

import http.client
import itertools
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.engines.process import free_port


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    engine_port = 0
    keep: Path | None = None
    numbers = itertools.count()

    def setup(self) -> None:
        super().setup()
        self.engine = http.client.HTTPConnection("127.0.0.1", self.engine_port)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        bucket = parse_qs(urlsplit(self.path).query)["bucket"][0]
        if self.keep is not None:
            name = f"{next(self.numbers):06}-{bucket}.gz"
            (self.keep / name).write_bytes(body)
        headers = {"Content-Encoding": self.headers.get("Content-Encoding", "identity")}
        path = f"/write?db={bucket}&precision=ms"
        self.engine.request("POST", path, body, headers)
        answer = self.engine.getresponse()
        text = answer.read()
        self.send_response(answer.status)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if answer.status != 204:
            self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Front:
    """The front as a process; the port stays the same when it is down and up again."""

    def __init__(self, engine_port: int, keep: Path | None = None) -> None:
        self.port = free_port()
        self._engine_port = engine_port
        self._keep = keep
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients write to."""
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Listen; returns once it does."""
        arguments = [str(self.port), str(self._engine_port), str(self._keep or "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmark.front", *arguments], stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if time.monotonic() > until:
                raise RuntimeError("the front does not listen")
            time.sleep(0.005)

    def down(self) -> None:
        """Be gone at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main() -> None:
    """Serve for ever."""
    port, engine_port, keep = sys.argv[1:]
    _Handler.engine_port = int(engine_port)
    _Handler.keep = Path(keep) if keep else None
    ThreadingHTTPServer(("127.0.0.1", int(port)), _Handler).serve_forever()


if __name__ == "__main__":
    main()
