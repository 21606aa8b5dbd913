"""Section of the configuration file about the endpoint for Prometheus."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from logger.config.ports import is_host, to_listen_on
from logger.config.section import Section


def _host(value: str) -> str:
    return to_listen_on(value, is_host)


class Metrics(Section):
    """`[metrics]`: without this section nothing listens.

    The figures tell nobody's secrets, but who may read them is not asked: an address
    other than the loopback one is for a network that is trusted.
    """

    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 9469
