"""The v2 write interface in front of an InfluxDB 1.x engine, with every fault on demand.

It checks token, organisation and bucket as 2.x does, passes the body on unchanged and
turns the engine's answer into 2.x's JSON errors (InfluxDB 2.7, http/api_handler.go's
codes: invalid 400, unauthorized 401, not found 404, request too large 413, unprocessable
entity 422). Whatever a proxy or a failing server may do can be told to it as `Answer`s.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import urllib3

from tests.engines.process import free_port

HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>proxy</body></html>"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the translator does with one write instead of its duty.

    `status` None is the engine's own answer. `engine` says whether the engine gets the
    write first. `delay` is awaited before anything else: an event that a test sets.
    `cut` closes the connection without a word, with `reset` by RST.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    engine: bool = False
    delay: threading.Event | None = None
    delay_s: float = 0.0
    cut: bool = False
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """A write request as it came."""

    bucket: str
    lines: tuple[str, ...]
    size: int  # bytes on the wire
    gzipped: bool


class Translator:
    """An HTTP server that speaks v2 to clients and 1.x to `engine_url`."""

    def __init__(
        self,
        engine_url: str,
        *,
        token: str = "the-token",
        org: str = "home",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.engine_url = engine_url
        self.token = token
        self.org = org
        self.host = host
        self.port = port or free_port()
        self.next: deque[Answer] = deque()  # one for each of the coming writes
        self.always: Answer | None = None  # for every write after those
        self.judge: Callable[[Write], Answer | None] = lambda write: None
        self.max_body: int | None = None  # bytes on the wire; more gets 413
        self.writes: list[Write] = []  # every write that came, oldest first
        self.closing = threading.Event()
        self.http = urllib3.PoolManager(retries=False, timeout=30.0, maxsize=8)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where clients write to; stays the same when it is down and up again."""
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> Self:
        """Listen."""
        bound = type("Bound", (_Handler,), {"owner": self})

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that went away is nothing to print."""

        self.closing.clear()
        self._server = Listener((self.host, self.port), bound)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def down(self) -> None:
        """Refuse connections and break those that are open."""
        if self._server is None:
            return
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._connections.clear()
        if self._thread is not None:
            self._thread.join()

    def opened(self, connection: socket.socket) -> None:
        """Remember a client's connection so that `down` can break it."""
        with self._lock:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._lock:
            self._connections.discard(connection)

    def plan(self, write: Write) -> Answer:
        """Return what to do with a write."""
        with self._lock:
            self.writes.append(write)
            if (judged := self.judge(write)) is not None:
                return judged
            if self.next:
                return self.next.popleft()
        return self.always or Answer(engine=True)

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()
        self.http.clear()


class _Handler(BaseHTTPRequestHandler):
    owner: Translator
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.owner.opened(self.connection)

    def finish(self) -> None:
        self.owner.closed(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        self._route(b"")

    def do_POST(self) -> None:
        self._route(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _route(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        if path == "/ping":
            self._send(204, "")
        elif path in {"/health", "/ready"}:
            self._send(200, json.dumps({"name": "influxdb", "status": "pass"}))
        elif path == "/query":
            self._authorized(lambda: self._query(body))
        elif path == "/api/v2/write" and self.command == "POST":
            self._authorized(lambda: self._write(body))
        else:
            self._error(404, "not found", "path not found")

    def _authorized(self, go: Callable[[], None]) -> None:
        if self.headers.get("Authorization") == f"Token {self.owner.token}":
            go()
        else:
            self._error(401, "unauthorized", "unauthorized access")

    def _query(self, body: bytes) -> None:
        query = urlsplit(self.path).query
        answer = self.owner.http.request(
            self.command,
            f"{self.owner.engine_url}/query?{query}",
            body=body or None,
            headers={"Content-Type": self.headers.get("Content-Type", "")},
        )
        self._send(answer.status, answer.data.decode())

    def _write(self, body: bytes) -> None:
        arguments = {
            name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()
        }
        bucket = arguments.get("bucket", "")
        write = _as_write(bucket, body, self.headers.get("Content-Encoding", ""))
        answer = self.owner.plan(write)
        if answer.delay is not None:
            while not answer.delay.wait(0.02) and not self.owner.closing.is_set():
                pass
        if answer.delay_s:
            self.owner.closing.wait(answer.delay_s)
        status, text = 204, ""
        if answer.engine:
            try:
                status, text = self._pass_on(bucket, arguments, body)
            except urllib3.exceptions.HTTPError:
                answer = Answer(cut=True)  # the server is gone, and so is this end of it
        if answer.reset:
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, 0 s: close sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if answer.cut or answer.reset:
            self.close_connection = True
            with contextlib.suppress(OSError):
                if not answer.reset:
                    self.connection.shutdown(socket.SHUT_RDWR)
                self.connection.close()
            return
        if answer.status is not None:
            status = answer.status
            text = HTML.format(status) if answer.body is None else answer.body
        self._send(status, text, answer.headers)

    def _pass_on(self, bucket: str, arguments: dict[str, str], body: bytes) -> tuple[int, str]:
        """Return 2.x's status and body for what the 1.x engine makes of a write."""
        if self.owner.max_body is not None and len(body) > self.owner.max_body:
            message = "unable to read data: points batch is too large"
            return 413, _json("request too large", message)
        if arguments.get("org") != self.owner.org:
            message = f'organization name "{arguments.get("org", "")}" not found'
            return 404, _json("not found", message)
        if arguments.get("precision") not in {"ms", "s", "us", "ns"}:
            return 400, _json("invalid", "invalid precision; valid precision units are ns, us, ms")
        headers = {}
        if encoding := self.headers.get("Content-Encoding"):
            headers["Content-Encoding"] = encoding
        precision = {"us": "u", "ns": "n"}.get(arguments["precision"], arguments["precision"])
        query = urlencode({"db": bucket, "precision": precision})
        answer = self.owner.http.request(
            "POST", f"{self.owner.engine_url}/write?{query}", body=body, headers=headers
        )
        if answer.status == 204:
            return 204, ""
        message = str(json.loads(answer.data).get("error", ""))
        if answer.status == 404:
            return 404, _json("not found", f'bucket "{bucket}" not found')
        if answer.status == 400 and message.startswith("partial write") and "parse" not in message:
            text = f"failure writing points to database: {message}"
            return 422, _json("unprocessable entity", text)
        if answer.status == 400:
            return 400, _json("invalid", message)
        return answer.status, _json("internal error", message)

    def _error(self, status: int, code: str, message: str) -> None:
        self._send(status, _json(code, message))

    def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        empty = status in {204, 304}
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if not empty:
                kind = "application/json" if text.startswith("{") else "text/html"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not empty:
                self.wfile.write(body)


def _as_write(bucket: str, body: bytes, encoding: str) -> Write:
    gzipped = encoding == "gzip"
    try:
        plain = gzip.decompress(body) if gzipped else body
    except (OSError, EOFError, zlib.error):
        plain = b""
    lines = tuple(line for line in plain.decode(errors="replace").split("\n") if line)
    return Write(bucket, lines, len(body), gzipped)


def _json(code: str, message: str) -> str:
    return json.dumps({"code": code, "message": message})
