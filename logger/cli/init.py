"""`init`: `.env` and a configuration for the compose file, by a few questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from logger.config.answers import Answers, Meter

_ROLES = ("grid", "pv", "battery", "load")


def init(
    directory: Annotated[
        Path, typer.Argument(help="The directory of docker-compose.yml.")
    ] = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    site: Annotated[str, typer.Option(help="The name of the installation.")] = "home",
    zone: Annotated[str, typer.Option(help="Its time zone; else this machine's.")] = "",
    port: Annotated[
        str,
        typer.Option(
            help="/dev/serial/by-id/..., or a gateway: tcp://host:502, socket://host:port."
        ),
    ] = "",
    meter: Annotated[
        list[str] | None,
        typer.Option(help="A meter as ADDRESS:ROLE or ADDRESS:ROLE:NAME; repeat it."),
    ] = None,
    email: Annotated[str, typer.Option(help="Who gets the alerts.")] = "",
    url: Annotated[
        str, typer.Option(help="Grafana in the links of messages; else by this machine's name.")
    ] = "",
    docker: Annotated[
        bool, typer.Option("--docker/--no-docker", help="For the compose file, or without it.")
    ] = True,
) -> None:
    """Write .env (random secrets, mode 600) and config/local.toml. Overwrites nothing."""
    import os
    import secrets
    from dataclasses import replace

    from logger.config import load_config
    from logger.config.answers import Answers, configuration, environment, variables
    from logger.domain.errors import ConfigError
    from logger.grafana import demands

    given = Answers(
        site=site,
        zone=zone or _zone(),
        port=port or _adapter() or Answers().port,
        meters=[_meter(text) for text in meter] if meter else Answers().meters,
        email=_taken("ALERT_EMAIL", email),
        url=_taken("GRAFANA_URL", url) or f"http://{_machine()}:3000/",
        docker=docker,
    )
    config = directory / "config" / "local.toml"
    env = directory / ".env"
    if not yes and not config.exists():
        given = _ask(given, ask_meters=not meter)
    if not yes and docker and not env.exists():
        if not email:
            email = typer.prompt("Mail address for alerts (or nothing)", "", value_proc=_mail)
        if not url:
            url = typer.prompt("Address of Grafana, for links", given.url, value_proc=_url)
        given = replace(given, email=email, url=url)
    config.parent.mkdir(parents=True, exist_ok=True)
    _write(config, configuration(given), 0o644)
    load_config(config)
    if docker:
        name = os.path.relpath(config, directory)
        text = environment(given, f"./{name}", _serial_group(), secrets.token_urlsafe)
        _write(env, text, 0o600)
        found = variables(env.read_text(encoding="utf-8"))
        if wrong := demands.problems(found):
            raise ConfigError(f"{env}: {'; '.join(wrong)}", "correct it: Grafana would not start")
        for remark in demands.remarks(found):
            typer.echo(f"note: {remark}")
        typer.echo(f"Next: docker compose up -d, then {found.get('GRAFANA_URL') or given.url}")
        typer.echo(f"as admin with the GRAFANA_ADMIN_PASSWORD of {env}.")
    if "CHANGE-ME" in config.read_text(encoding="utf-8"):
        typer.echo("No serial adapter was found. Plug it in and write its name under")
        place = "/host/dev/serial/by-id" if docker else "/dev/serial/by-id"
        typer.echo(f"{place} into `port` of {os.path.relpath(config, directory)} (in the")
        typer.echo(
            "directory of docker-compose.yml), or the gateway's tcp://HOST:502 or socket://HOST:PORT."
        )


def _write(path: Path, text: str, mode: int) -> None:
    """Create `path` with `mode`; an existing file stays as it is."""
    import os

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        typer.echo(f"{path} exists and stays as it is")
        return
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, mode)  # whatever the umask
        file.write(text)
    typer.echo(f"{path} written")


def _ask(given: Answers, *, ask_meters: bool) -> Answers:
    from dataclasses import replace

    site = typer.prompt("Name of the installation", given.site)
    zone = typer.prompt("Time zone", given.zone)
    port = typer.prompt("Serial adapter, or tcp://host:502, socket://host:port", given.port)
    meters = list(given.meters)
    if ask_meters:
        meters = []
        for number in range(1, int(typer.prompt("How many meters", 1, type=int)) + 1):
            address = typer.prompt(f"Meter {number}: Modbus address", number, type=int)
            role = typer.prompt(
                f"Meter {number}: role ({', '.join(_ROLES)})", "grid" if number == 1 else "pv"
            )
            name = typer.prompt(f"Meter {number}: name of its place", role)
            meters.append(_meter(f"{address}:{role}:{name}"))
    return replace(given, site=site, zone=zone, port=port, meters=meters)


def _meter(text: str) -> Meter:
    from logger.config.answers import Meter

    address, _, rest = text.partition(":")
    role, _, name = rest.partition(":")
    if not address.isdecimal() or role not in _ROLES:
        raise typer.BadParameter(
            f"{text!r}: write ADDRESS:ROLE, such as 1:grid; roles are {', '.join(_ROLES)}"
        )
    return Meter(name=name or role, address=int(address), role=role)


def _taken(variable: str, value: str) -> str:
    """Return `value` if Grafana takes it for `variable`."""
    from logger.grafana import demands

    if wrong := demands.problems({variable: value}):
        raise typer.BadParameter(wrong[0])
    return value


def _mail(text: str) -> str:
    return _taken("ALERT_EMAIL", text.strip())


def _url(text: str) -> str:
    return _taken("GRAFANA_URL", text.strip())


def _machine() -> str:
    """Return the name of this machine; that of a container means nothing to anybody else."""
    import re
    import socket

    name = socket.gethostname()
    return "localhost" if re.fullmatch(r"[0-9a-f]{12}", name) or not name else name


def _zone() -> str:
    """Return the time zone of this machine, UTC if it does not tell."""
    import os
    from zoneinfo import available_timezones

    named = os.environ.get("TZ", "").lstrip(":")
    link = Path("/etc/localtime")
    linked = str(link.resolve()).partition("zoneinfo/")[2] if link.is_symlink() else ""
    for name in (named, linked):
        if name in available_timezones():
            return name
    return "UTC"


def _adapter() -> str:
    """Return the permanent name of the first serial adapter, empty when there is none.

    In a container the machine's /dev may be at /host/dev.
    """
    places = (Path("/dev/serial/by-id"), Path("/host/dev/serial/by-id"))
    found = [adapter for place in places for adapter in sorted(place.glob("*"))]
    return str(found[0]) if found else ""


def _serial_group() -> int:
    """Return the number of the group that owns serial ports; 20 is Debian's dialout."""
    import grp

    for name in ("dialout", "uucp"):
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            continue
    return 20
