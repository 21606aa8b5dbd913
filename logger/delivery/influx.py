"""The only module that knows influxdb_client and urllib3: one write, one outcome."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from logger.delivery.outcome import DELIVERED, Kind, Outcome, classify
from logger.errors import ConfigError
from logger.texts import clean, mask

_CONNECT_S = 5.0  # the longest wait for a connection
_PATIENCE = 8  # a slow server gets up to so many times the configured timeout
_GZIP_LEVEL = 1  # 3 takes 40 % longer and saves 8 %


class Settings(Protocol):
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

    def __init__(self, settings: Settings, bucket: str) -> None:
        self._settings = settings
        self.bucket = bucket
        self._client: Any = None  # its module is imported late: that takes 0.2 s
        self._service: Any = None
        self._patience = 1

    def write(self, lines: Sequence[str]) -> Outcome:
        """Write lines with times in milliseconds; never raises for what a server does."""
        try:
            self._connect()
        except ConfigError as err:
            return Outcome(Kind.WRONG_TARGET, err.message, err.hint)
        outcome = self._post("\n".join(lines).encode())
        if outcome.kind is Kind.WRONG_TARGET:
            self.close()  # the token may be mended by now: it is read again
        elif outcome.kind is Kind.TIMEOUT:
            self._patience = min(2 * self._patience, _PATIENCE)
        # not cut: which lines are at fault is found by their quotation in the text
        return replace(outcome, text=clean(mask(outcome.text)), hint=clean(mask(outcome.hint)))

    def close(self) -> None:
        """Close connections. The next write opens new ones."""
        if self._client is not None:
            self._client.close()
        self._client = self._service = None

    def _connect(self) -> None:
        if self._service is not None:
            return
        from influxdb_client.client.influxdb_client import InfluxDBClient
        from influxdb_client.service import write_service

        token = self._settings.token()
        self._client = InfluxDBClient(
            url=self._settings.url, token=token, org=self._settings.org, retries=False
        )
        service: Any = write_service.WriteService
        self._service = service(self._client.api_client)

    def _post(self, body: bytes) -> Outcome:
        from influxdb_client.rest import ApiException
        from urllib3 import exceptions as http

        settings = self._settings
        timeout_ms = settings.timeout * 1000 * self._patience
        extra: dict[str, Any] = {"content_encoding": "gzip"} if settings.gzip else {}
        try:
            _, status, headers = self._service.post_write_with_http_info(
                org=settings.org,
                bucket=self.bucket,
                body=gzip.compress(body, _GZIP_LEVEL, mtime=0) if settings.gzip else body,
                precision="ms",
                _request_timeout=(min(timeout_ms, _CONNECT_S * 1000), timeout_ms),
                _return_http_data_only=False,
                **extra,
            )
        except ApiException as err:
            if not err.status:
                return Outcome(
                    Kind.UNREACHABLE,
                    f"TLS: {reason_of(err.reason)}",
                    "check certificate, clock and whether the server speaks TLS at all",
                )
            # masked before a word of it is cut or taken out: half a secret is not found again
            answer = mask(err.body) if isinstance(err.body, str) else ""
            headers = {name: mask(value) for name, value in dict(err.headers or {}).items()}
            return classify(int(err.status), headers, answer, time.time())
        except UnicodeDecodeError:
            return Outcome(Kind.BUSY, "the answer is not text")
        except http.ReadTimeoutError:
            return Outcome(
                Kind.TIMEOUT,
                f"no answer within {timeout_ms / 1000:g} s",
                "if the server is only slow, raise influxdb.timeout",
            )
        except (http.HTTPError, OSError) as err:
            return Outcome(Kind.UNREACHABLE, reason_of(err), _unreachable_hint(err))
        except ValueError as err:
            return Outcome(Kind.WRONG_TARGET, f"not a usable URL: {err}", "correct influxdb.url")
        if status == 204:
            return DELIVERED
        return classify(int(status), dict(headers), "", time.time())


def reason_of(err: object) -> str:
    """Return the cause without object addresses and class names."""
    from urllib3 import exceptions as http

    cause = getattr(err, "reason", None) or err
    match cause:
        case http.NameResolutionError():
            return "the name of the server cannot be resolved"
        case http.ConnectTimeoutError() if not isinstance(cause, http.NewConnectionError):
            return "no connection within the timeout"
        case http.SSLError():
            return f"TLS: {cause}"
        case http.LocationParseError():
            return "redirected to what is no address"  # which may be a part of a secret
    text = " ".join(str(cause).split())
    text = re.sub(r"^.*\[Errno -?\d+\] ", "", text.rsplit(">: ", 1)[-1])
    return text or type(err).__name__


def _unreachable_hint(err: object) -> str:
    from urllib3 import exceptions as http

    if isinstance(err, http.NameResolutionError):
        return "check the host in influxdb.url and this machine's DNS"
    return "check that the server runs and that influxdb.url is right"
