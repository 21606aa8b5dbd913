"""The command line: `inepro-logger`. Commands import what they need when they run."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated

import typer

from logger import __version__
from logger.cli import console
from logger.cli.ondemand import OnDemand
from logger.domain.errors import ConfigError, LoggerError, ModelError, SimulationError
from logger.runtime import logs
from logger.texts import guard, keep_environment, printable

# What the exit code says: 0 done and well, 1 something out there is not well, 2 a mistake
# in the command or the configuration that only its author can mend.
FAILED, MISTAKE = 1, 2
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
_MISTAKES = (ConfigError, ModelError, SimulationError)

app = typer.Typer(
    name="inepro-logger",
    help="Log Inepro energy meters to InfluxDB, through a buffer that loses nothing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: the one with frames takes as long again as all the rest
    cls=OnDemand,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Log Inepro energy meters to InfluxDB, through a buffer that loses nothing."""


def main() -> None:
    """Run the command; a known error ends with one line and its exit code, no traceback."""
    console.any_terminal()
    guard()
    keep_environment(os.environ)
    logs.before_set_up()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # what cannot be written has to be said, not lost at the end
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as err:
        _end_without_output(err)
    except LoggerError as err:
        typer.secho(f"error: {err.message}", fg="red", err=True)
        if err.hint:
            typer.echo(f"  try: {err.hint}", err=True)
        sys.exit(MISTAKE if isinstance(err, _MISTAKES) else FAILED)


def _end_without_output(err: OSError) -> None:
    """End with what the system said about a file; what is about none is a fault in here."""
    if err.errno in {errno.ENOSPC, errno.EPIPE}:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if err.errno == errno.ENOSPC:
            typer.secho(f"error: the output cannot be written: {err.strerror}", fg="red", err=True)
        sys.exit(FAILED)
    if err.filename is None:
        raise err
    typer.secho(f"error: {printable(str(err.filename))}: {err.strerror}", fg="red", err=True)
    if isinstance(err, PermissionError):
        typer.echo("  try: ls -l shows who may read and write it; sudo -u USER", err=True)
    sys.exit(FAILED)
