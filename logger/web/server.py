"""The thread that listens. The only importer of uvicorn.

Strangers are bounded: so many connections, so long for a request to come, so long for an
answer to be taken. What they do is said in the log once a day and kind, not each time.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from logger.config.extras import require
from logger.config.http import Http
from logger.web.crowd import Crowd
from logger.web.desk import Desk
from logger.web.parts import Parts
from logger.web.stream import Stream

if TYPE_CHECKING:
    import asyncio

    import uvicorn

log = logging.getLogger(__name__)

_IDLE_S = 5  # a connection that is kept for the next request
_AGAIN_S = 10.0  # a place in use is tried again so often
_LATE_S = 10.0
_STOP_S = 1.0
_BACKLOG = 64
# The system keeps so much for a client that does not take it, bytes (Linux: twice that): left to
# itself it keeps megabytes, and who never reads is noticed hours later.
_SEND_BUFFER = 64 * 1024


class WebServer:
    """Serves the page and the interface; see `runtime.service` for what the methods are for."""

    def __init__(self, config: Http, parts: Parts) -> None:
        """Raises ConfigError when the packages are missing, or there is no token where one
        is needed."""
        require("http")
        self._config, self._parts = config, parts
        self._token = config.token()
        self._stream = Stream(parts.latest)
        self._problem = ""
        self._server: uvicorn.Server | None = None
        self._desks: tuple[Desk, ...] = ()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._beat = 0.0

    def start(self) -> None:
        """Listen. An address in use is logged and tried again: reading goes on."""
        self._stopping = threading.Event()
        self._stream.open()
        self._desks = (Desk("http reports"), Desk("http state"))
        for desk in self._desks:
            desk.start()
        self._beat = time.monotonic()
        place = self._bind()
        self._thread = threading.Thread(target=self._run, args=(place,), name="http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and hang up on everybody."""
        self._stopping.set()
        for desk in self._desks:
            desk.stop()
        if self._server is not None:
            self._server.should_exit = self._server.force_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_S)
            self._thread = None

    def late_s(self) -> float:
        """Return infinity when the thread has ended, else by how much its beat is late."""
        if self._thread is None:
            return 0.0
        if not self._thread.is_alive():
            return math.inf
        return time.monotonic() - self._beat - _LATE_S

    def restart(self) -> None:
        """Listen again, after the thread that did has ended."""
        self.stop()
        self.start()

    def problems(self) -> list[str]:
        """Return why nobody can connect, as a sentence."""
        return [self._problem] if self._problem else []

    def state(self) -> Mapping[str, Any]:
        """Return what `status` shows."""
        return {
            "url": self._config.url,
            "listening": not self._problem,
            "token": bool(self._token),
            "pages": self._stream.listeners,
        }

    def _bind(self) -> socket.socket | None:
        host, port = self._config.host, self._config.port
        try:
            kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            place = socket.socket(kind, socket.SOCK_STREAM)
            try:
                place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # Every connection has it from the place where it was taken.
                place.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
                place.bind(address)
                place.listen(_BACKLOG)
            except BaseException:
                place.close()
                raise
        except OSError as err:
            if not self._problem:
                log.warning("http: cannot listen on %s:%d: %s", host, port, err.strerror or err)
            self._problem = f"http: cannot listen on {host}:{port}: {err.strerror or err}"
            return None
        self._problem = ""
        log.info("http: %s", self._config.url)
        return place

    def _run(self, place: socket.socket | None) -> None:
        while place is None:
            for _ in range(round(_AGAIN_S)):
                self._beat = time.monotonic()
                if self._stopping.wait(1.0):
                    return
            place = self._bind()
        with place:
            self._serve(place)

    def _serve(self, place: socket.socket) -> None:
        import uvicorn
        from uvicorn.protocols.http.h11_impl import H11Protocol

        from logger.web.application import application

        crowd = Crowd()
        reports, states = self._desks

        class Connection(H11Protocol):
            """A connection that belongs to the crowd."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                crowd.came(self)

            def connection_lost(self, exc: Exception | None) -> None:
                crowd.went(self)
                super().connection_lost(exc)

            @property
            def idle(self) -> bool:
                """Whether no answer is being made."""
                return self.cycle is None or bool(self.cycle.response_complete)

            @property
            def stuck(self) -> bool:
                """Whether the other side does not take what is sent."""
                return self.flow.write_paused or self.transport.is_closing()

            def abort(self) -> None:
                """Hang up at once."""
                self.transport.abort()

        async def tick() -> None:
            self._beat = time.monotonic()
            self._stream.tick()
            crowd.look()

        # Garbage from strangers is answered by the library, and no news.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            application(self._parts, self._token, self._stream, reports, states),
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=1,
            callback_notify=tick,
            timeout_notify=1,
        )
        server = uvicorn.Server(config)
        self._server = server
        if self._stopping.is_set():
            return
        try:
            server.run(sockets=[place])
        finally:
            self._stream.close()
