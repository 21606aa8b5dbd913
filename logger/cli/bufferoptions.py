"""Options of the `buffer` commands."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from logger.cli.moments import duration


class Format(StrEnum):
    """What `export` writes."""

    CSV = "csv"
    LP = "lp"
    PARQUET = "parquet"


class Chosen(StrEnum):
    """Which points `export` writes."""

    ALL = "all"
    WAITING = "waiting"
    DELIVERED = "delivered"
    SET_ASIDE = "set-aside"


class Precision(StrEnum):
    """The unit of the timestamps that `import` reads."""

    AUTO = "auto"
    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


FileOption = Annotated[
    Path | None, typer.Option("--file", help="Another buffer file than that of the configuration.")
]
RateOption = Annotated[
    float | None, typer.Option("--rate", min=1.0, help="At most so many points a second.")
]
PatienceOption = Annotated[
    float | None,
    typer.Option(
        "--patience",
        parser=duration,
        metavar="DURATION",
        help="How long to go on while the server fails; else 30s.",
    ),
]
PATIENCE_S = 30.0
