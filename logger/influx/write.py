"""The only module that knows influxdb_client: one write, one outcome."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from logger import __version__
from logger.domain.errors import ConfigError, HttpError, HttpTimeoutError
from logger.influx.outcome import DELIVERED, Outcome, OutcomeKind, classify
from logger.texts import clean, mask

if TYPE_CHECKING:
    from influxdb_client.service.write_service import WriteService

    from logger.influx.http import Answer, Http

_PATIENCE = 8  # a slow server gets up to so many times the configured timeout
_FIND_S = 60.0
# What is read of an answer: the words of a refusal, which may quote the refused line, and
# not the whole of a page. Much more than that is not read at all.
_ANSWER_BYTES, _WIRE_BYTES = 64 * 1024, 1024**2
_GZIP_LEVEL = 1  # 3 takes 40 % longer and saves 8 %


class WriteTarget(Protocol):
    """What this module needs of the section [influxdb]."""

    @property
    def url(self) -> str: ...
    @property
    def org(self) -> str: ...
    @property
    def timeout(self) -> float: ...
    @property
    def gzip(self) -> bool: ...
    def token(self) -> str:
        """Return the token, read afresh. Raises ConfigError."""
        ...


class Client:
    """Writes line protocol to one bucket. For one thread."""

    def __init__(self, settings: WriteTarget, bucket: str) -> None:
        self._settings = settings
        self.bucket = bucket
        self._sender: _Sender | None = None
        self._service: Any = None  # its module is imported late
        self._patience = 1

    def write(self, lines: Sequence[str]) -> Outcome:
        """Write lines with times in milliseconds; never raises for what a server does."""
        try:
            self._connect()
        except ConfigError as err:
            return Outcome(OutcomeKind.WRONG_TARGET, err.message, err.hint)
        outcome = self._post("\n".join(lines).encode())
        if outcome.kind is OutcomeKind.WRONG_TARGET:
            self.close()  # the token may be mended by now: it is read again
        elif outcome.kind is OutcomeKind.TIMEOUT:
            self._patience = min(2 * self._patience, _PATIENCE)
        # not cut: which lines are at fault is found by their quotation in the text
        return replace(outcome, text=clean(mask(outcome.text)), hint=clean(mask(outcome.hint)))

    @property
    def longest_s(self) -> float:
        """The longest time that one write may take, in seconds, with a minute for finding
        the server's address and connecting to it."""
        return _PATIENCE * self._settings.timeout + _FIND_S

    def close(self) -> None:
        """Close connections. The next write opens new ones."""
        if self._sender is not None:
            self._sender.close()
        self._sender = self._service = None

    def _connect(self) -> None:
        if self._service is None:
            self._sender = _Sender(self._settings.url, self._settings.token())
            service: Any = _write_service()
            self._service = service(self._sender)

    def _post(self, body: bytes) -> Outcome:
        assert self._sender is not None
        settings = self._settings
        self._sender.wait_s = settings.timeout * self._patience
        extra: dict[str, Any] = {"content_encoding": "gzip"} if settings.gzip else {}
        try:
            answer: Answer = self._service.post_write_with_http_info(
                org=settings.org,
                bucket=self.bucket,
                body=gzip.compress(body, _GZIP_LEVEL, mtime=0) if settings.gzip else body,
                precision="ms",
                **extra,
            )
        except HttpTimeoutError as err:
            hint = "if the server is only slow, raise influxdb.timeout"
            return Outcome(OutcomeKind.TIMEOUT, err.message, hint)
        except HttpError as err:
            return Outcome(OutcomeKind.UNREACHABLE, err.message, err.hint)
        except ValueError as err:
            return Outcome(
                OutcomeKind.WRONG_TARGET, f"not a usable URL: {err}", "correct influxdb.url"
            )
        if answer.status == 204:
            return DELIVERED
        # masked before a word of it is cut or taken out: half a secret is not found again
        headers = {name: mask(value) for name, value in answer.headers.items()}
        text = mask(answer.data.decode(errors="replace"))
        return classify(answer.status, headers, text, time.time())


class _Sender:
    """What influxdb_client's service of writes sends through, instead of a client of its
    own, whose requests may last, and whose answers may be read, without end."""

    def __init__(self, url: str, token: str) -> None:
        self.wait_s = 0.0
        self._url, self._token = url.rstrip("/"), token
        self._http: Http | None = None  # its module is imported late, too

    def select_header_accept(self, kinds: Sequence[str]) -> str:
        return kinds[0]

    def select_header_content_type(self, kinds: Sequence[str]) -> str:
        return kinds[0]

    def call_api(
        self,
        path: str,
        method: str,
        _path_params: Mapping[str, str],
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        *,
        body: bytes,
        **_: object,
    ) -> Answer:
        """Return the answer. Raises as `Http.request` does."""
        from logger.influx.bounded import Patience
        from logger.influx.http import Http, authorization

        if self._http is None:
            self._http = Http()
        return self._http.request(
            method,
            f"{self._url}{path}?{urlencode(query)}",
            Patience(self.wait_s, _WIRE_BYTES),
            body=body,
            headers={
                **headers,
                **authorization(self._token),
                "User-Agent": f"inepro-logger/{__version__}",
            },
            limit=_ANSWER_BYTES,
        )

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()


_LOADING = threading.Lock()  # workers begin at the same time


@cache
def _write_service() -> type[WriteService]:
    """Return influxdb_client's service of writes, without the rest of its package.

    The package loads nearly 400 modules of its own as it starts, and numpy where that is
    installed: 14 to 25 MiB and a third of a second, of which a write needs two modules.
    """
    package = "influxdb_client"
    with _LOADING:
        if package not in sys.modules:
            return _lean(package)
    return _service_of(package)


def _lean(package: str) -> type[WriteService]:
    try:
        for name in (package, f"{package}.service"):
            spec = importlib.util.find_spec(name)
            assert spec is not None, f"{name} is not installed"
            sys.modules[name] = importlib.util.module_from_spec(spec)  # not run: empty
        return _service_of(package)
    finally:  # who wants the whole package gets it
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]


def _service_of(package: str) -> type[WriteService]:
    found: type[WriteService] = importlib.import_module(
        f"{package}.service.write_service"
    ).WriteService
    return found
