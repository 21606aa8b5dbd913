"""`run`: log until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from logger.cli.ondemand import loading
from logger.cli.options import DEFAULT_CONFIG, ConfigOption


def run(
    config: ConfigOption = DEFAULT_CONFIG,
    log_format: Annotated[
        str, typer.Option("--log-format", help="Log lines as text or as json.")
    ] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Read the meters and keep what they say, or deliver it with [influxdb], until SIGTERM, SIGHUP
    or Ctrl-C."""
    import logging

    if log_format not in ("text", "json"):
        raise typer.BadParameter("--log-format is text or json")
    with loading():
        from logger.config import load_config
        from logger.runtime import logs

        loaded = load_config(config)
        logs.set_up(
            "json" if log_format == "json" else "text", logging.DEBUG if verbose else logging.INFO
        )
        logging.getLogger(__name__).info("configuration %s", config)

        from logger.runtime.app import App
        from logger.runtime.daemon import serve

        app = App(loaded)
    serve(app)
