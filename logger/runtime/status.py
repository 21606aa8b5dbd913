"""What a running logger tells another process: one JSON object over a local socket.

A socket instead of a file: it costs no writes to an SD card, and a logger that is gone
cannot leave an old state behind that looks alive.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import socket
import socketserver
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from logger.domain.errors import StatusError
from logger.store.lock import OwnerLock
from logger.texts import shown

log = logging.getLogger(__name__)

# The longest name a Unix socket may have is 107 bytes (unix(7)).
_LONGEST = 100


def socket_path(buffer: Path) -> Path:
    """Return where the logger that owns `buffer` can be asked."""
    beside = buffer.with_name(buffer.name + ".sock")
    if len(os.fsencode(beside)) <= _LONGEST:
        return beside
    digest = hashlib.sha256(os.fsencode(buffer.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"inepro-logger-{os.getuid()}-{digest}.sock"


class StatusServer:
    """Answers every connection with the state that `snapshot` returns, then hangs up."""

    def __init__(self, path: Path, snapshot: Callable[[], Mapping[str, Any]]) -> None:
        self._path = path
        self._snapshot = snapshot
        self._server: socketserver.ThreadingUnixStreamServer | None = None
        self._thread: threading.Thread | None = None
        self._place: tuple[int, int] | None = None  # device and inode of the socket
        self._failed = ""

    def start(self) -> None:
        """Listen. A place that cannot be used is logged: reading goes on without it."""
        self._listen()

    def refresh(self) -> None:
        """Listen again if the socket is not there any more, because its directory was
        moved or deleted. Called about once a second."""
        if self._place is None or _place(self._path) != self._place:
            self._close()
            self._listen()

    def _listen(self) -> None:
        snapshot = self._snapshot

        class Handler(socketserver.StreamRequestHandler):
            timeout = 5

            def handle(self) -> None:
                try:
                    self.wfile.write(json.dumps(shown(snapshot())).encode() + b"\n")
                except OSError:  # the one who asked hung up
                    return

        try:
            self._path.unlink(missing_ok=True)
            self._server = _Server(str(self._path), Handler)
        except OSError as err:
            if self._failed != str(err):
                log.warning("status: cannot listen on %s: %s", self._path, err.strerror or err)
            self._failed = str(err)
            return
        self._failed = ""
        self._place = _place(self._path)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, name="status", daemon=True)
        self._thread.start()

    def late_s(self) -> float:
        """Return infinity when the thread that listens has ended, else 0."""
        thread = self._thread
        return 0.0 if self._server is None or thread is None or thread.is_alive() else math.inf

    def restart(self) -> None:
        """Listen again, after the thread that did has ended."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None and _place(self._path) == self._place:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._close()

    def _close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = self._place = None


def _place(path: Path) -> tuple[int, int] | None:
    """Return device and inode of what lies at `path`, None if that is nothing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def ask(buffer: Path, timeout_s: float = 5.0) -> dict[str, Any]:
    """Return the state of the running logger that owns `buffer`.

    Raises StatusError when none runs or it does not answer.
    """
    path = socket_path(buffer)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(timeout_s)
            channel.connect(str(path))
            with channel.makefile("rb") as stream:
                answer = stream.read()
    except PermissionError as err:
        raise StatusError(
            f"not allowed to ask the logger at {path}", "ask as the user the logger runs as"
        ) from err
    except (FileNotFoundError, ConnectionRefusedError) as err:
        if holder := OwnerLock(buffer).holder():
            raise StatusError(
                f"a logger runs with the buffer {buffer} ({holder}) but cannot be asked at {path}",
                "its log says why; it tries again every second",
            ) from err
        raise StatusError(
            f"no logger is running with the buffer {buffer}",
            "start it with `inepro-logger run`; is this the configuration file it uses?",
        ) from err
    except OSError as err:
        raise StatusError(f"the logger at {path} does not answer: {err}") from err
    try:
        state = json.loads(answer)
    except ValueError as err:
        raise StatusError(f"the logger at {path} hung up while answering") from err
    return dict(state)
