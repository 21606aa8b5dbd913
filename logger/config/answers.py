"""What `init` writes: `.env` with random secrets, and a configuration. Pure text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from logger.config.write import bus_section, keys

SECRETS = (
    "INFLUXDB_ADMIN_PASSWORD",
    "INFLUXDB_ADMIN_TOKEN",
    "GRAFANA_ADMIN_PASSWORD",
    "GRAFANA_SECRET_KEY",
)
NO_PORT = "CHANGE-ME"  # where no port was known
_BYTES: Mapping[str, int] = {"INFLUXDB_ADMIN_TOKEN": 64, "GRAFANA_SECRET_KEY": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter as `init` asks for it."""

    name: str
    address: int
    role: str
    model: str = "pro380"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the questions gave; the defaults are those of `--yes`."""

    site: str = "home"
    zone: str = "UTC"
    port: str = f"/dev/serial/by-id/{NO_PORT}"
    baudrate: int = 9600
    parity: str = "even"
    fast: str = "5s"
    meters: Sequence[Meter] = (Meter(name="grid", address=1, role="grid"),)
    # Lines with their meters, as the configuration has them; in place of the above. One with the
    # port that is none gets `port`.
    table: Sequence[Mapping[str, Any]] = ()
    email: str = ""
    url: str = "http://localhost:3000/"
    docker: bool = True
    # Without the compose file, where buffer and token are: these are the service's.
    buffer: str = "/var/lib/inepro-logger/buffer.sqlite"
    token_file: str = "/etc/inepro-logger/influxdb-token"  # noqa: S105 - a path


def environment(
    answers: Answers, config: str, serial_group: int, secret: Callable[[int], str]
) -> str:
    """Return the text of `.env`; `secret` makes a random text of so many bytes.

    `config` is the path of the configuration from the directory of the compose file,
    `serial_group` the number of the group that may open serial ports.
    """
    rows = [
        "# Secrets and settings of docker-compose.yml. Keep it: nothing here can be recovered.",
        "# A value with $, # or a space stands in single quotes.",
        "COMPOSE_PROJECT_NAME=inepro-logger",
        "COMPOSE_PROFILES=default",
        f"LOGGER_CONFIG={config}",
        f"TZ={quoted(answers.zone)}",
        f"SERIAL_GID={serial_group}",
        "",
        "# Random. InfluxDB and Grafana take over user names (admin) and passwords on their",
        "# first start only.",
        *(f"{name}={secret(_BYTES.get(name, 18))}" for name in SECRETS),
        "",
        "# How long instantaneous values are kept (bucket `live`; first start only).",
        "LIVE_RETENTION=90d",
        "",
        "# Where Grafana listens, and its address in the links of messages.",
        "GRAFANA_BIND=0.0.0.0",
        "GRAFANA_PORT=3000",
        f"GRAFANA_URL={quoted(answers.url)}",
        "",
        "# Where alerts go: any of these. Without one they are seen in Grafana alone.",
        f"ALERT_EMAIL={quoted(answers.email)}" if answers.email else "# ALERT_EMAIL=me@example.org",
        "# ALERT_WEBHOOK_URL=https://example.org/hook",
        "# ALERT_NTFY_URL=https://ntfy.sh/a-topic-nobody-guesses",
        "# ALERT_TELEGRAM_TOKEN=",
        "# ALERT_TELEGRAM_CHAT=",
        "",
        "# The mail server, for ALERT_EMAIL. Grafana takes only a sender with a dot in its domain.",
        "# SMTP_ENABLED=true",
        "# SMTP_HOST=smtp.example.org:587",
        "# SMTP_USER=",
        "# SMTP_PASSWORD=",
        "# SMTP_FROM=energy@example.org",
    ]
    return "\n".join(rows) + "\n"


def quoted(value: str) -> str:
    """Return a value for `.env` that docker-compose takes as it is.

    Raises ValueError for the one that no quotes can hold.
    """
    if not re.search(r"[\s$#\"\\]|^'", value):
        return value
    if "'" in value or "\n" in value:
        raise ValueError(f"{value!r} cannot stand in .env: leave the ' out")
    return f"'{value}'"


def variables(text: str) -> dict[str, str]:
    """Return what the text of a `.env` sets, as docker-compose reads it."""
    found = {}
    for row in text.splitlines():
        name, sign, value = row.strip().partition("=")
        if not sign or name.startswith("#"):
            continue
        value = value.strip()
        if value[:1] in {"'", '"'} and value.find(value[0], 1) > 0:
            value = value[1 : value.find(value[0], 1)]
        else:
            value = value.partition(" #")[0].strip()
        found[name.removeprefix("export ").strip()] = value
    return found


def lines(answers: Answers) -> Sequence[Mapping[str, Any]]:
    """Return the lines with their meters, as the configuration has them."""
    if answers.table:
        unknown = Answers().port
        return [
            {**line, "port": answers.port} if line["port"] == unknown else line
            for line in answers.table
        ]
    line: dict[str, Any] = {"name": "cabinet", "port": answers.port}
    if (answers.baudrate, answers.parity) != (Answers().baudrate, Answers().parity):
        line |= {"baudrate": answers.baudrate, "parity": answers.parity}
    meters = [
        {"name": one.name, "model": one.model, "address": one.address, "role": one.role}
        for one in answers.meters
    ]
    return [{**line, "meter": meters}]


def configuration(answers: Answers) -> str:
    """Return the text of the logger's configuration."""
    docker = answers.docker
    token = "/run/tokens/influxdb" if docker else answers.token_file
    rows = [
        "# The configuration of inepro-logger. Check it with: inepro-logger config check",
        "# Every key is explained in config/logger.toml.",
        "",
        "[site]",
        *keys(name=answers.site, timezone=answers.zone),
        "",
        "[intervals]",
        *keys(fast=answers.fast, slow="60s", identity="1h"),
    ]
    for line in lines(answers):
        if docker and line["port"].startswith("/dev/"):
            rows += ["", "# The container sees /dev of the host as /host/dev."]
            rows += bus_section({**line, "port": f"/host{line['port']}"})
        else:
            rows += ["", *bus_section(line)]
    rows += [
        "",
        "[influxdb]",
        *keys(
            url="http://influxdb:8086" if docker else "http://localhost:8086",
            org="home",
            bucket="energy",
            fast_bucket="live",
            token_file=token,
        ),
        "",
        "# Prices of a kWh, for reports and dashboards.",
        "# [[prices.valid]]",
        "# since = 2026-01-01",
        "# buy = 0.30",
        "# buy_t2 = 0.25",
        "# sell = 0.08",
    ]
    if not docker:
        rows += ["", "[buffer]", *keys(path=answers.buffer)]
    return "\n".join(rows) + "\n"
