"""Section `[influxdb]`: where points are delivered, and with which token."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from logger.config import token
from logger.config.section import MisplacedError, Section
from logger.config.types import FilePath, Seconds
from logger.domain.errors import ConfigError
from logger.texts import keep, keep_login


def without_login(url: str) -> None:
    """Raise MisplacedError if an address holds more than where the server is."""
    if "@" in url:
        keep_login(url if "//" in url else f"//{url}")
        raise MisplacedError(
            ("influxdb", "url"),
            "an address with a user and a password in it is not used",
            "leave them out; InfluxDB 1.8 takes user:password in the file of influxdb.token_file",
        )
    if "?" in url or "#" in url:
        keep(*re.split(r"[?#&=]", url)[1:])
        raise MisplacedError(
            ("influxdb", "url"),
            "an address with ? or # in it is not used",
            "give the base address alone, such as http://localhost:8086",
        )


class Influx(Section):
    """Where points are delivered. The token is never kept here."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
    org: str = ""
    bucket: Annotated[str, Field(min_length=1)]
    fast_bucket: str = ""
    token_file: FilePath | None = None
    timeout: Seconds = 10.0
    gzip: bool = True

    @field_validator("url", mode="before")
    @classmethod
    def _base_address(cls, value: object) -> object:
        if isinstance(value, str):
            without_login(value)
        return value

    def token(self) -> str:
        """Return the token, from `token_file` or the environment, read afresh.

        Raises ConfigError when there is none, or none that can be one.
        """
        if self.token_file is not None:
            return token.from_file(self.token_file)
        found = token.from_environment()
        if not found:
            raise ConfigError(
                "no InfluxDB token",
                f"set influxdb.token_file, or the environment variable {token.TOKEN_VARIABLE}",
            )
        return found
