"""Section of the configuration file about MQTT: where the broker is, and how it is spoken to."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from logger.config.ports import is_host
from logger.config.section import MisplacedError, Section
from logger.config.types import FilePath
from logger.domain.errors import ConfigError
from logger.texts import keep, keep_login

PLAIN, SECURE = "mqtt", "mqtts"
_PORTS = {PLAIN: 1883, SECURE: 8883}  # as registered with IANA
_LONGEST = 4096  # bytes of a password
_WHERE = ("mqtt", "url")


def _text(value: str) -> str:
    # MQTT 3.1.1, 1.5.3: a broker ends the connection for what is not a text of this kind.
    if any(_is_no_text(one) for one in value):
        raise ValueError(f"{value!r} holds a control character: leave it out")
    return value


def _is_no_text(one: str) -> bool:
    return unicodedata.category(one) in ("Cc", "Cs") or ord(one) & 0xFFFE == 0xFFFE


def _topic(value: str) -> str:
    if value.startswith("$"):
        raise ValueError(
            f"{value!r} cannot begin a topic: what begins with $ belongs to the broker; "
            "write another word in front"
        )
    if re.search(r"[+#]", value) or not all(value.split("/")):
        raise ValueError(
            f"{value!r} cannot begin a topic: no + and #, no control characters, "
            "and something on both sides of every /"
        )
    return _text(value)


# The first levels of a topic.
Prefix = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_topic)]
# What a broker is told of who connects.
Said = Annotated[str, Field(max_length=200), AfterValidator(_text)]


class Mqtt(Section):
    """`[mqtt]`: without this section nothing is sent. The password is never kept here."""

    url: str
    user: Said = ""
    password_file: FilePath | None = None
    # The certificates to trust in place of those of the machine.
    ca_file: FilePath | None = None
    # Whoever answers is believed to be the broker.
    insecure: bool = False
    # Left out, it is made of prefix and site: the same after each start.
    client_id: Said = ""
    prefix: Prefix = "inepro-logger"
    discovery: bool = True
    discovery_prefix: Prefix = "homeassistant"

    @field_validator("url", mode="before")
    @classmethod
    def _broker(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if "@" in value:
            keep_login(value if "//" in value else f"//{value}")
            raise MisplacedError(
                _WHERE,
                "an address with a user and a password in it is not used",
                "leave them out, and set mqtt.user and mqtt.password_file",
            )
        hint = f"{PLAIN}://HOST or {PLAIN}://HOST:1883; with TLS {SECURE}://HOST"
        try:
            parts = urlsplit(value)
            good = parts.scheme in _PORTS and is_host(parts.hostname or "") and parts.port != 0
        except ValueError:  # a port that is no number, or brackets without an end
            good = False
        if not good or value.partition("://")[2] != parts.netloc:
            raise MisplacedError(_WHERE, f"{value!r} is no address of a broker", hint)
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.password_file is not None and not self.user:
            raise MisplacedError(
                ("mqtt", "password_file"), "a password without a user", "set mqtt.user, too"
            )
        if not self.tls and (self.ca_file is not None or self.insecure):
            key = "ca_file" if self.ca_file is not None else "insecure"
            raise MisplacedError(
                ("mqtt", key),
                f"{key} is about TLS, and {self.url} does not use it",
                f'url = "{SECURE}://{self.host}", or leave {key} out',
            )
        if self.ca_file is not None and self.insecure:
            raise MisplacedError(
                ("mqtt", "insecure"), "ca_file says whom to trust, insecure trusts all", "keep one"
            )
        return self

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith(f"{SECURE}://")

    @property
    def host(self) -> str:
        """Name or address of the broker."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port of the broker."""
        return urlsplit(self.url).port or _PORTS[SECURE if self.tls else PLAIN]

    def password(self) -> str:
        """Return the password, read afresh, "" if there is none.

        Raises ConfigError for a file that cannot be read or is no password.
        """
        return "" if self.password_file is None else _password(self.password_file)

    def check_files(self) -> None:
        """Raise ConfigError when a file that is named here is of no use."""
        self.password()
        if self.ca_file is not None:
            text = _read("ca_file", self.ca_file, 1 << 22)
            if b"-----BEGIN CERTIFICATE-----" not in text:
                raise ConfigError(
                    f"mqtt.ca_file: {self.ca_file}: it holds no certificate",
                    "a PEM file: it begins with -----BEGIN CERTIFICATE-----",
                )


def _read(key: str, file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(most)
    except OSError as err:
        raise ConfigError(
            f"mqtt.{key}: {file}: {err.strerror}", "it has to be readable for this user"
        ) from err


def _password(file: Path) -> str:
    """Return the one line of `file` without its end: blanks may belong to a password."""
    where = f"mqtt.password_file: {file}"
    raw = _read("password_file", file, _LONGEST + 1)
    text = raw.decode("utf-8", "replace")
    lines = text.removeprefix("\ufeff").splitlines()
    keep(*(line for line in lines[:20] if line), *(line.strip() for line in lines[:20]))
    alone = "put the password alone on one line"
    if not any(lines):
        raise ConfigError(f"{where} is empty", alone)
    if len(raw) > _LONGEST:
        raise ConfigError(f"{where}: too large to be a password: over {_LONGEST} bytes", alone)
    if len(lines) > 1:
        raise ConfigError(f"{where}: it has {len(lines)} lines, a password is one", alone)
    if "\ufffd" in text or text.startswith("\ufeff"):
        raise ConfigError(f"{where}: not plain UTF-8 text", "save it as UTF-8 without BOM")
    return lines[0]
