"""A server that answers with bytes made of the token it was shown."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Answer = Callable[[bytes], bytes]


class Talker:
    """Reads whole requests and answers each with `answer(token)`, then hangs up; with
    204 while `answer` is None. `tokens` are the tokens of those requests."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer
        self.tokens: set[bytes] = set()
        talker = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    talker._talk(self)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _talk(self, request: Any) -> None:
        headers = dict[bytes, bytes]()
        request.rfile.readline()
        while (line := request.rfile.readline().strip()) and b":" in line:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        request.rfile.read(int(headers.get(b"content-length", b"0")))
        token = headers.get(b"authorization", b"").removeprefix(b"Token ")
        if self.answer is None:
            request.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            self.tokens.add(token)
            request.wfile.write(self.answer(token))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
