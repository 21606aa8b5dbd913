"""Section of the configuration file about HTTP: where it listens, and who may ask."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from logger.config import token
from logger.config.ports import is_address, to_listen_on
from logger.config.section import Section
from logger.config.types import FilePath
from logger.domain.errors import ConfigError

TOKEN_VARIABLE = "INEPRO_LOGGER_HTTP_TOKEN"  # noqa: S105 - the name of a variable
_KEY = "http.token_file"
_SHORTEST = 16  # characters: a shorter one can be guessed
_MAKE = "openssl rand -hex 24 > FILE makes one"


def _origin(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@*]+", value):
        raise ValueError(
            f"{value!r} is no origin: write scheme and host, such as https://panel.example.org"
        )
    return value.lower()


def _address(value: str) -> str:
    return to_listen_on(value, is_address)


def _host_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", value):
        raise ValueError(f"{value!r} is no name of a host: write it alone, without a port")
    return value.lower()


class Http(Section):
    """`[http]`: without this section nothing listens. The token is never kept here."""

    # An address, not a name: what a name means here may change.
    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 9470
    token_file: FilePath | None = None
    # Names under which a browser may ask without a token, besides localhost.
    names: list[Annotated[str, AfterValidator(_host_name)]] = Field(default_factory=list)
    # Pages of other servers that may read: CORS.
    origins: list[Annotated[str, AfterValidator(_origin)]] = Field(default_factory=list)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """The address of the page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def token(self) -> str:
        """Return the token, from `token_file` or the environment, "" if there is none.

        Raises ConfigError for one that cannot be one, and for none beyond loopback.
        """
        if self.token_file is not None:
            found = token.from_file(self.token_file, _KEY)
        else:
            found = token.from_environment(TOKEN_VARIABLE)
        if found and len(found) < _SHORTEST:
            raise ConfigError(
                f"the token of [http] has {len(found)} characters: it needs {_SHORTEST}", _MAKE
            )
        if not found and not self.loopback:
            raise ConfigError(
                f"[http] listens on {self.host}, beyond this machine, and has no token",
                f"set http.token_file ({_MAKE}) or the variable {TOKEN_VARIABLE}, "
                'or host = "127.0.0.1"',
            )
        return found
