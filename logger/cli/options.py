"""Options that several commands share, and what they turn into."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("config/logger.toml")
CONFIG_VARIABLE = "INEPRO_LOGGER_CONFIG"

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar=CONFIG_VARIABLE, help="The configuration file.", show_default=True
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, None: 1}


def duration(text: str) -> float:
    """Return seconds for "30s", "5m", "2h" or a plain number of seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise typer.BadParameter(f"{text!r} is not a duration: write 30s, 5m or 2h")
    return float(match[1]) * _SECONDS[match[2]]
