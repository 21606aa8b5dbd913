"""What comes after `init`: the next commands, and what is missing for them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from logger.config.answers import Answers

_UNIT = "config/inepro-logger.service"
_INSTALLED = "/etc/inepro-logger/logger.toml"
_SUDO_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def after_init(given: Answers, directory: Path, config: Path, env: Path) -> None:
    """Say what comes after the files are written."""
    import os

    from logger.config import load_config
    from logger.config.answers import NO_PORT, Answers, variables
    from logger.grafana import demands
    from logger.survey import place

    steps = []
    shown = os.path.relpath(config, directory)
    if NO_PORT in config.read_text(encoding="utf-8"):
        by_id = "/host/dev/serial/by-id" if given.docker else "/dev/serial/by-id"
        file = f"{shown} (in the directory of docker-compose.yml)" if given.docker else config
        steps.append(
            f"Plug the adapter in and write its name under {by_id} into `port` of {file}, or "
            "the gateway's tcp://HOST:502 or socket://HOST:PORT."
        )
    if given.docker:
        if not (directory / "docker-compose.yml").exists():
            typer.echo(
                f"note: {directory} has no docker-compose.yml: init belongs into the checkout"
            )
        found = variables(env.read_text(encoding="utf-8-sig"))
        for remark in demands.remarks(found):
            typer.echo(f"note: {remark}")
        address = found.get("GRAFANA_URL") or given.url
        secrets = os.path.relpath(env, directory)
        steps += [
            "docker compose up -d",
            "docker compose exec logger inepro-logger check",
            f"{address} as admin, with the GRAFANA_ADMIN_PASSWORD of {secrets}",
        ]
    else:
        steps.append(
            f"A token that may write to InfluxDB goes into {given.token_file}; "
            f"without InfluxDB leave [influxdb] out of {config}: the buffer is the store."
        )
        buffer = load_config(config).buffer.path
        if (closed := place.closed_to_me(buffer)) is not None:
            typer.echo(
                f"note: buffer.path is {buffer}, and this user may not write {closed}: run the "
                f"logger as the service's user, or name another buffer.path in {config}"
            )
        steps += _of_service(config) if given.buffer == Answers().buffer else _of_user(config)
    typer.echo("Next:")
    for number, step in enumerate(steps, start=1):
        typer.echo(f"  {number}. {step}")


def _of_user(config: Path) -> list[str]:
    from logger.config.answers import Answers

    return [
        f"inepro-logger check --config {config}",
        (
            f"inepro-logger run --config {config}, or as a service: {_UNIT}, with buffer.path "
            f"{Answers().buffer} and a token_file its user may read"
        ),
    ]


def _of_service(config: Path) -> list[str]:
    """Return the steps of a file for the service, whose token and buffer its user alone reads."""
    command = _as_root()
    return [
        f"If it is not there yet: the user and the unit, as {_UNIT} says.",
        f"sudo install -D -m 640 -g inepro-logger {config} {_INSTALLED}",
        f"sudo {command} check --config {_INSTALLED}",
        "sudo systemctl enable --now inepro-logger",
        f"sudo {command} status --config {_INSTALLED}",
    ]


def _as_root() -> str:
    """Return this command as sudo finds it, which looks into the system's directories only."""
    import shutil

    name = "inepro-logger"
    if shutil.which(name, path=_SUDO_PATH):
        return name
    own = Path(sys.argv[0]).absolute()
    return str(own) if own.name == name else name


def for_grafana(given: Answers, *, email: bool, url: bool) -> None:
    """Say where what was given for Grafana belongs when no .env is written."""
    variables = [f"ALERT_EMAIL={given.email}"] if email else []
    variables += [f"GRAFANA_URL={given.url}"] if url else []
    typer.echo(
        f"note: {' and '.join(variables)}: no file takes it without the compose file; set it in "
        "the environment of Grafana (/etc/default/grafana-server) and of inepro-logger grafana, "
        "which writes the alert rules; the mail server: docs/alerts.md"
    )
