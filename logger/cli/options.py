"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("config/logger.toml")
CONFIG_VARIABLE = "INEPRO_LOGGER_CONFIG"

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar=CONFIG_VARIABLE,
        help="The configuration file.",
        show_default=True,
        readable=False,  # a file that is not says so itself, and what to do
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace the file if it is there already.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


def not_there_yet(path: Path, force: bool) -> None:
    """Raise ExportError if a command would replace a file without being told to, or if the
    file cannot be made: before the work is done, not after it."""
    from logger.domain.errors import ExportError

    if not force and path.is_file():
        raise ExportError(f"{path} exists already", "choose another name, or add --force")
    if path.is_dir():
        raise ExportError(f"{path}: Is a directory", "give another file")
    if not path.parent.is_dir():
        raise ExportError(f"{path}: No such file or directory", "give another file")
