"""The time by the clock of the database server, as its answers give it.

Every answer of an HTTP server with a clock carries a `Date` (RFC 9110, 6.6.1). It is
asked for without a token, from a path that needs none.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

_ASK_EVERY_S = 10.0
_PATIENCE_S = 5.0  # for one answer, whatever the server does


class ServerTime:
    """Asks `url` for the time again and again, in a thread, until `stop`.

    `hear` gets the server's time in seconds since 1970 and the moment of `mono` it belongs
    to. `elsewhere` tells of an address and the own one whether it is another machine's:
    only that has another clock.
    """

    def __init__(
        self,
        url: str,
        hear: Callable[[float, float], None],
        mono: Callable[[], float],
        elsewhere: Callable[[str, str], bool],
    ) -> None:
        self._url = urlsplit(url)
        self._hear, self._mono, self._elsewhere = hear, mono, elsewhere
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._run, name="server time", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; an answer that is still awaited is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        import http.client  # when it is needed: most clocks are right

        while not self._stop.is_set():
            try:
                self._ask()
            except (OSError, ValueError, http.client.HTTPException) as err:
                log.debug("the time of the server: %s", err)
            self._stop.wait(_ASK_EVERY_S)

    def _ask(self) -> None:
        import http.client
        from email.utils import parsedate_to_datetime

        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=_PATIENCE_S)
        connection.connect()
        line = connection.sock
        limit = threading.Timer(_PATIENCE_S, line.shutdown, (socket.SHUT_RDWR,))
        limit.daemon = True
        limit.start()
        try:
            if not self._elsewhere(line.getpeername()[0], line.getsockname()[0]):
                self.stop()
                return
            asked = self._mono()
            connection.request("GET", self._url.path.rstrip("/") + "/ping")
            stamp = connection.getresponse().getheader("Date")
            answered = self._mono()
            if stamp is not None:  # whole seconds, cut off
                self._hear(parsedate_to_datetime(stamp).timestamp() + 0.5, (asked + answered) / 2)
        finally:
            limit.cancel()
            connection.close()
