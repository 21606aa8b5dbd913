"""Who may ask: the token or its cookie, the host name asked for, and what a browser is told
about the answer. A wrapper around the application, in terms of ASGI alone.

Without a token only this machine can connect. A page of the internet may still have its name
lead here (DNS rebinding), so the name asked under has to be one of this machine then.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

COOKIE = "inepro_logger"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
# What holds no data: the page itself, its login and the description.
_DATA = ("/api/", "/metrics")
_OPEN = ("/api/openapi.json",)


class Access:
    """Lets through what may ask, and answers all others itself."""

    def __init__(self, app: Asgi, token: str, names: Iterable[str]) -> None:
        self._app = app
        self._token = token
        self._names = frozenset({"localhost", *names})

    @property
    def needed(self) -> bool:
        """Whether a token is needed."""
        return bool(self._token)

    def right(self, token: str) -> bool:
        """Return whether `token` is the right one."""
        return hmac.compare_digest(token.encode(), self._token.encode())

    def cookie(self) -> str:
        """Return what the cookie of a browser that gave the token holds: not the token."""
        return hmac.new(self._token.encode(), b"inepro-logger page", hashlib.sha256).hexdigest()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {bytes(name).decode("latin-1"): value for name, value in scope["headers"]}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message.get("headers", [])}
                more = [one for one in _HEADERS if one[0] not in given]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        if not self._token and not self._named(headers.get("host", b"").decode("latin-1")):
            text = "this name is not one of this machine: see http.names"
            await _refuse(sending, 421, text)
        elif self._token and self._guarded(scope["path"]) and not self._knows(headers):
            await _refuse(sending, 401, "a token is needed: Authorization: Bearer TOKEN")
        else:
            await self._app(scope, receive, sending)

    def _guarded(self, path: str) -> bool:
        return path.startswith(_DATA) and path not in _OPEN

    def _named(self, host: str) -> bool:
        if not host.isprintable() or any(one in host for one in "@/?#\\ "):
            return False
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
            return name in self._names or ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def _knows(self, headers: MutableMapping[str, bytes]) -> bool:
        kind, _, token = headers.get("authorization", b"").decode("latin-1").partition(" ")
        if kind.lower() == "bearer":
            return self.right(token.strip())
        for part in headers.get("cookie", b"").decode("latin-1").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE:
                return hmac.compare_digest(value.encode(), self.cookie().encode())
        return False


async def _refuse(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="inepro-logger"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
