"""The only module that knows influxdb_client: one write, one outcome."""

from __future__ import annotations

import gzip
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from logger.domain.errors import ConfigError, HttpError, HttpTimeoutError
from logger.influx.outcome import DELIVERED, Outcome, OutcomeKind, classify
from logger.texts import clean, mask

if TYPE_CHECKING:
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
        self._client: Any = None  # its module is imported late: that takes 0.2 s
        self._service: Any = None
        self._transport = _Transport()
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
        if self._client is not None:
            self._client.close()
        self._transport.clear()
        self._client = self._service = None

    def _connect(self) -> None:
        if self._service is not None:
            return
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.service import write_service

        token = self._settings.token()
        self._client = InfluxDBClient(url=self._settings.url, token=token, org=self._settings.org)
        self._client.api_client.rest_client.pool_manager = self._transport
        service: Any = write_service.WriteService
        self._service = service(self._client.api_client)

    def _post(self, body: bytes) -> Outcome:
        from influxdb_client.rest import ApiException

        settings = self._settings
        self._transport.wait_s = settings.timeout * self._patience
        extra: dict[str, Any] = {"content_encoding": "gzip"} if settings.gzip else {}
        try:
            _, status, headers = self._service.post_write_with_http_info(
                org=settings.org,
                bucket=self.bucket,
                body=gzip.compress(body, _GZIP_LEVEL, mtime=0) if settings.gzip else body,
                precision="ms",
                _return_http_data_only=False,
                **extra,
            )
        except ApiException as err:
            # masked before a word of it is cut or taken out: half a secret is not found again
            answer = mask(err.body) if isinstance(err.body, str) else ""
            headers = {name: mask(value) for name, value in dict(err.headers or {}).items()}
            return classify(int(err.status), headers, answer, time.time())
        except HttpTimeoutError as err:
            hint = "if the server is only slow, raise influxdb.timeout"
            return Outcome(OutcomeKind.TIMEOUT, err.message, hint)
        except HttpError as err:
            return Outcome(OutcomeKind.UNREACHABLE, err.message, err.hint)
        except ValueError as err:
            return Outcome(
                OutcomeKind.WRONG_TARGET, f"not a usable URL: {err}", "correct influxdb.url"
            )
        if status == 204:
            return DELIVERED
        return classify(int(status), dict(headers), "", time.time())


class _Transport:
    """What influxdb_client sends through instead of a pool of its own, whose requests
    may last, and whose answers may be read, without end."""

    def __init__(self) -> None:
        self.wait_s = 0.0
        self._http: Http | None = None  # its module is imported late, too

    def request(
        self, method: str, url: str, *, body: bytes, headers: dict[str, str], **_: object
    ) -> Answer:
        """Return the answer with text as its data, as influxdb_client takes no other."""
        from logger.influx.bounded import Patience
        from logger.influx.http import Http

        if self._http is None:
            self._http = Http()
        answer = self._http.request(
            method,
            url,
            Patience(self.wait_s, _WIRE_BYTES),
            body=body,
            headers=headers,
            limit=_ANSWER_BYTES,
        )
        return replace(answer, data=answer.data.decode(errors="replace").encode())

    def clear(self) -> None:
        """Close the connections; called by influxdb_client."""
        if self._http is not None:
            self._http.close()
