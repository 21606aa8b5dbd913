"""`grafana`: data sources, dashboards and alert rules from the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.options import DEFAULT_CONFIG, ConfigOption

if TYPE_CHECKING:
    from logger.config import Config
    from logger.grafana import Source


def grafana(
    out: Annotated[
        Path, typer.Argument(help="The directory to write to: Grafana's provisioning.")
    ] = Path("grafana"),
    config: ConfigOption = DEFAULT_CONFIG,
    place: Annotated[
        str, typer.Option(help="Where Grafana sees that directory.")
    ] = "/etc/grafana/provisioning",
    tokens: Annotated[
        str, typer.Option("--token-file", help="Where Grafana finds a token to read with.")
    ] = "/etc/grafana/influxdb-token",
    url: Annotated[
        str, typer.Option(help="InfluxDB as Grafana reaches it; else as the logger does.")
    ] = "",
) -> None:
    """Write Grafana's data sources, dashboards, alert rules and contact points.

    Time zone, prices and limits come from the configuration. Contact points follow the
    variables ALERT_EMAIL, ALERT_WEBHOOK_URL, ALERT_NTFY_URL, ALERT_TELEGRAM_TOKEN and
    ALERT_TELEGRAM_CHAT; Grafana needs the same variables. Those, GRAFANA_URL, SMTP_ENABLED,
    SMTP_FROM, SMTP_HOST, or GF_SMTP_ENABLED, GF_SMTP_FROM_ADDRESS, GF_SMTP_HOST without the
    compose file, are checked: with a value that it does not take Grafana would not start.
    Restart Grafana afterwards.
    """
    import os
    from pathlib import PurePosixPath

    from logger.config import load_config
    from logger.domain.errors import ConfigError
    from logger.grafana import dashboard_options, demands, files, write
    from logger.texts import keep_login

    if "@" in url:
        keep_login(url)
        raise typer.BadParameter("an address with a user or a password in it is not used")
    if wrong := demands.problems(os.environ):
        raise ConfigError("; ".join(wrong), "correct it in .env or the environment of Grafana")
    loaded = load_config(config)
    figures = dashboard_options(loaded)
    made = files(figures, _source(loaded, tokens, url), PurePosixPath(place), os.environ)
    changed = write(made, out)
    for path in changed:
        typer.echo(f"{out / path}")
    typer.echo(f"{len(changed)} of {len(made)} files changed")
    for remark in demands.remarks(os.environ):
        typer.echo(f"note: {remark}")


def _source(config: Config, tokens: str, url: str) -> Source:
    from dataclasses import replace

    from logger.grafana import Source

    made = replace(Source(), token_file=tokens)
    if config.influxdb is not None:
        made = replace(
            made,
            url=config.influxdb.url,
            bucket=config.influxdb.bucket,
            fast_bucket=config.influxdb.fast_bucket or config.influxdb.bucket,
        )
    return replace(made, url=url) if url else made
