"""Requests to an HTTP server that end, whatever the server does. Sole owner of urllib3.

Every request has a limit for the time spent waiting and one for the bytes read, both
enforced where bytes leave and enter the socket: they hold for headers, interim responses
(RFC 9110, 15.2) and trailers as well. An answer counts only when it is complete.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from urllib.parse import urljoin

import urllib3
from urllib3 import exceptions as fault
from urllib3.connection import HTTPConnection, HTTPSConnection

from logger.domain.errors import HttpError, HttpTimeoutError, HttpTlsError
from logger.influx.bounded import CHUNK, Account, Patience, Socket

_CONNECT_S = 5.0  # the longest wait for a connection, for each address of the server

Understood = Callable[[], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `data` holds its first bytes, decompressed, up to the limit that
    was asked for; `headers` has an absolute address as its Location."""

    status: int
    reason: str
    headers: Mapping[str, str]
    data: bytes


class _Plain(HTTPConnection):
    def __init__(self, *args: Any, account: Account, **options: Any) -> None:
        super().__init__(*args, **options)
        self.account = account

    def connect(self) -> None:
        with self.account.waiting(None):
            super().connect()
        self.sock = cast("socket.socket", Socket(cast("socket.socket", self.sock), self.account))


class _Secure(HTTPSConnection):
    def __init__(self, *args: Any, account: Account, **options: Any) -> None:
        super().__init__(*args, **options)
        self.account = account

    def connect(self) -> None:
        with self.account.waiting(None):
            super().connect()
        self.sock = cast("socket.socket", Socket(cast("socket.socket", self.sock), self.account))


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


def authorization(token: str) -> dict[str, str]:
    """Return the header that tells InfluxDB who asks, none without a token."""
    return {"Authorization": f"Token {token}"} if token else {}


class Http:
    """Requests, one at a time, over connections that are kept. For one thread.

    Redirects are not followed and nothing is repeated. Every request raises
    HttpTimeoutError when patience runs out, HttpTlsError, HttpError for everything else
    that keeps the answer from being a whole one, ValueError for what is no URL or header.
    """

    def __init__(self) -> None:
        self._account = Account()
        self._pools = urllib3.PoolManager(retries=False)
        pools: dict[str, Any] = {
            "http": partial(_PlainPool, account=self._account),
            "https": partial(_SecurePool, account=self._account),
        }
        self._pools.pool_classes_by_scheme = pools

    def request(
        self,
        method: str,
        url: str,
        patience: Patience,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limit: int,
    ) -> Answer:
        """Return the answer with up to `limit` bytes of its data."""
        with self.stream(method, url, patience, body=body, headers=headers) as stream:
            return stream.answer(limit)

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        url: str,
        patience: Patience,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Stream]:
        """Give the answer to read from; the time between two reads costs no patience."""
        self._account.begin(patience.wait_s)
        with self._understood(patience):
            response = self._pools.urlopen(
                method,
                url,
                body=body,
                headers=dict(headers or {}),
                timeout=urllib3.Timeout(
                    connect=min(patience.wait_s, _CONNECT_S), read=patience.wait_s
                ),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        try:
            if self._account.ended:  # before the empty line that ends the headers
                raise HttpError(
                    "the answer was cut off", "check the server, and any proxy before it"
                )
            self._account.data(patience)
            yield Stream(response, url, partial(self._understood, patience))
        finally:
            response.close()  # does nothing to a connection whose answer was read whole

    def close(self) -> None:
        """Close the connections; the next request opens others."""
        self._pools.clear()

    clear = close  # what urllib3's own managers call it

    @contextlib.contextmanager
    def _understood(self, patience: Patience) -> Iterator[None]:
        try:
            yield
        except (fault.HTTPError, OSError) as err:
            account = self._account
            if account.expired or isinstance(err, fault.ReadTimeoutError):
                allowed = f"{patience.wait_s:g} s"
                raise HttpTimeoutError(f"no complete answer within {allowed}") from err
            if account.left < 0:
                raise HttpError("the answer is longer than any from InfluxDB", _OTHER) from err
            if isinstance(err, fault.SSLError):
                raise HttpTlsError(f"TLS: {reason_of(err)}", _TLS) from err
            raise HttpError(reason_of(err), _hint(err)) from err


class Stream:
    """An answer whose headers are here."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, url: str, understood: Understood
    ) -> None:
        self.status = response.status
        self.headers = dict(response.headers)
        for name in self.headers:
            if name.lower() == "location":
                self.headers[name] = urljoin(url, self.headers[name])
        self._response = response
        self._understood = understood

    def answer(self, limit: int) -> Answer:
        """Return the answer with up to `limit` bytes of its data; a longer one is left."""
        data = bytearray()
        for piece in self.pieces():
            data += piece
            if len(data) >= limit:
                break
        reason = self._response.reason or ""
        return Answer(self.status, reason, self.headers, bytes(data[:limit]))

    def lines(self, limit: int) -> Iterator[bytes]:
        """Yield the lines of the answer. Raises HttpError for one of over `limit` bytes."""
        rest = bytearray()
        for piece in self.pieces():
            *done, last = piece.split(b"\n")
            for line in done:
                yield bytes(rest + line)
                rest.clear()
            rest += last
            if len(rest) > limit:
                raise HttpError(f"a line of the answer is longer than {limit / 1e6:.0f} MB", _OTHER)
        if rest:
            yield bytes(rest)

    def pieces(self) -> Iterator[bytes]:
        """Yield the data of the answer as it comes, decompressed."""
        while True:
            with self._understood():
                piece = self._response.read(CHUNK)
            if not piece:
                return
            yield piece


_OTHER = "something else than InfluxDB may answer at influxdb.url"
_TLS = "check certificate, clock and whether the server speaks TLS at all"


def reason_of(err: object) -> str:
    """Return the cause without object addresses and class names."""
    cause = getattr(err, "reason", None) or err
    match cause:
        case fault.NameResolutionError():
            return "the name of the server cannot be resolved"
        case fault.ConnectTimeoutError() if not isinstance(cause, fault.NewConnectionError):
            return "no connection within the timeout"
        case fault.LocationParseError():
            return "redirected to what is no address"  # which may be a part of a secret
    text = " ".join(str(cause).split())
    text = re.sub(r"^.*\[Errno -?\d+\] ", "", text.rsplit(">: ", 1)[-1])
    return text or type(err).__name__


def _hint(err: object) -> str:
    if isinstance(err, fault.NameResolutionError):
        return "check the host in influxdb.url and this machine's DNS"
    return "check that the server runs and that influxdb.url is right"
