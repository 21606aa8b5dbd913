"""`init`: `.env` and a configuration for the compose file, by a few questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from logger.config import Config
    from logger.config.answers import Answers, Meter
    from logger.domain.errors import LoggerError


def init(
    directory: Annotated[
        Path, typer.Argument(help="The directory of docker-compose.yml.")
    ] = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    site: Annotated[str, typer.Option(help="The name of the installation; else home.")] = "",
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
    meters: Annotated[
        Path | None,
        typer.Option(metavar="TABLE.CSV", help="A table of all meters, as of a spreadsheet."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="The model of each --meter, and where a table names none.")
    ] = "pro380",
    email: Annotated[str, typer.Option(help="Who gets the alerts.")] = "",
    url: Annotated[
        str, typer.Option(help="Grafana in the links of messages; else by this machine's name.")
    ] = "",
    docker: Annotated[
        bool, typer.Option("--docker/--no-docker", help="For the compose file, or without it.")
    ] = True,
) -> None:
    """Write .env (random secrets, mode 600) and config/local.toml. Overwrites nothing.

    Every answer is checked when it is given; the files are written last, both or none. The
    columns of a table are named as the keys of a meter: name, address, model, role, cost_centre;
    bus and port tell its line.
    """
    from dataclasses import replace

    from logger.cli import nextsteps
    from logger.cli.ask import checked
    from logger.config import asked
    from logger.config.answers import Answers
    from logger.survey import machine, place, ports

    if meter and meters:
        raise typer.BadParameter("not with --meter: write all into one", param_hint="--meters")
    model = _model(model)
    table = _table(meters, model)
    adapters = ports.on_machine()
    usual = port or next(iter(adapters), "")
    given = Answers(
        site=checked(asked.name, "--site")(site) if site else Answers().site,
        zone=checked(asked.zone, "--zone")(zone) if zone else machine.zone(),
        port=checked(asked.port, "--port")(usual) if usual else Answers().port,
        meters=_meters(meter, model) if meter else Answers().meters,
        table=table,
        email=checked(_mail, "--email")(email),
        url=checked(_url, "--url")(url) if url else f"http://{machine.name()}:3000/",
        docker=docker,
    )
    if not docker and (own := place.of_user()) is not None:
        given = replace(given, buffer=str(own[0]), token_file=str(own[1]))
    config, env = directory / "config" / "local.toml", directory / ".env"
    kept = _kept(config, env if docker else None)
    if kept is not None:
        if meters is not None:
            raise _stays(config, meters)
        given = replace(given, site=kept.site.name, zone=kept.site.timezone)
    elif not yes:
        known = bool(port) or (
            bool(table) and all(line["port"] != Answers().port for line in table)
        )
        given = _ask(given, bool(site), bool(zone), known, bool(meter or table), adapters)
    if kept is None:
        given = replace(given, fast=_fast(given))
    if not yes and docker and not env.exists():
        given = _ask_stack(given, ask_email=not email, ask_url=not url)
    _write(given, config, env if docker else None)
    nextsteps.after_init(given, directory, config, env)
    if not docker and (email or url):
        nextsteps.for_grafana(given, email=bool(email), url=bool(url))


def _kept(config: Path, env: Path | None) -> Config | None:
    """Return the configuration that is there already; what is there must be of use, and
    what is not must be possible to make: before any question."""
    from logger.config import load_config
    from logger.config.answers import variables
    from logger.disk.newfiles import may_be_made, writing
    from logger.domain.errors import ConfigError
    from logger.grafana import demands

    found = None
    with writing(config):
        there = config.exists()
    if there:
        try:
            found = load_config(config)
        except ConfigError as err:
            hint = "mend it, or move it away and run init again"
            raise ConfigError(err.message, f"{err.hint}; {hint}" if err.hint else hint) from None
    else:
        may_be_made(config)
    if env is not None:
        if not env.exists():
            may_be_made(env)
        elif wrong := demands.problems(variables(_text(env))):
            raise ConfigError(f"{env}: {'; '.join(wrong)}", "correct it: Grafana would not start")
    return found


def _text(env: Path) -> str:
    from logger.domain.errors import ConfigError

    try:
        return env.read_text(encoding="utf-8-sig")
    except OSError as err:
        raise ConfigError(f"{env}: cannot be read: {err.strerror}", "chmod or chown it") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{env}: not UTF-8 text: {err}", "save it as UTF-8") from err


def _ask(
    given: Answers, site: bool, zone: bool, port: bool, meters: bool, adapters: list[str]
) -> Answers:
    """Ask for what no option gave."""
    from dataclasses import replace

    from logger.cli import ask
    from logger.cli.look import looked
    from logger.config import asked
    from logger.config.answers import Answers

    if not site:
        given = replace(given, site=ask.ask("Name of the installation", given.site, asked.name))
    if not zone:
        given = replace(given, zone=ask.ask("Time zone", given.zone, asked.zone))
    if not port:
        given = replace(given, port=ask.port(adapters) or Answers().port)
    if not meters:
        given = looked(given, [] if port else adapters, fixed=port)
    return given


def _fast(given: Answers) -> str:
    """Return the fast interval, longer than usual where the line of all meters is too slow."""
    from logger.config.answers import lines
    from logger.config.load import bus_of_options
    from logger.domain import times
    from logger.domain.errors import ConfigError
    from logger.models import load
    from logger.survey import draft

    found = [given.fast]
    for line in lines(given):
        models = {meter["model"]: load(meter["model"]) for meter in line["meter"]}
        try:
            found.append(draft.fast_interval(bus_of_options(line), models) or given.fast)
        except ConfigError:  # what cannot be is said of the whole file
            return given.fast
    return max(found, key=times.seconds)


def _ask_stack(given: Answers, *, ask_email: bool, ask_url: bool) -> Answers:
    from dataclasses import replace

    from logger.cli import ask

    if ask_email:
        given = replace(given, email=ask.ask("Mail address for alerts (or nothing)", "", _mail))
    if ask_url:
        given = replace(given, url=ask.ask("Address of Grafana, for links", given.url, _url))
    return given


def _write(given: Answers, config: Path, env: Path | None) -> None:
    """Write what is not there yet: all of it, or nothing."""
    import os
    import secrets

    from logger.config.answers import configuration, environment
    from logger.config.load import checked
    from logger.disk.newfiles import NewFile, write_new
    from logger.survey import machine

    new = []
    if config.exists():
        typer.echo(f"{config} exists and stays as it is")
    else:
        text = configuration(given)
        checked(config, text)
        new.append(NewFile(config, text))
    if env is not None:
        if env.exists():
            typer.echo(f"{env} exists and stays as it is")
        else:
            name = f"./{os.path.relpath(config, env.parent)}"
            text = environment(given, name, machine.serial_group(), secrets.token_urlsafe)
            new.append(NewFile(env, text, 0o600))
    write_new(new)
    for file in new:
        typer.echo(f"{file.path} written")


def _model(name: str) -> str:
    from logger.cli.ask import checked
    from logger.config import asked
    from logger.models import available

    return checked(lambda text: asked.one_of(text, available(None), "model"), "--model")(name)


def _table(file: Path | None, model: str) -> list[Mapping[str, Any]]:
    """Return the lines of a table of meters."""
    from logger.config.answers import Answers
    from logger.config.fromtable import load_table, new_lines

    return new_lines(load_table(file), model, Answers().port) if file is not None else []


def _stays(config: Path, table: Path) -> LoggerError:
    from logger.domain.errors import ConfigError

    return ConfigError(
        f"{config} exists, and stays as it is",
        f"inepro-logger config import {table} --config {config} --write FILE puts the meters into "
        "another file",
    )


def _meters(texts: list[str], model: str) -> list[Meter]:
    from logger.cli.ask import checked
    from logger.config import asked

    found: list[Meter] = []
    for text in texts:
        one = checked(lambda text: asked.unlike(found, asked.meter(text, model)), "--meter")
        found.append(one(text))
    return found


def _taken(variable: str, value: str) -> str:
    """Return `value` if Grafana takes it for `variable`, and .env can hold it."""
    from logger.config.answers import quoted
    from logger.grafana import demands

    if wrong := demands.problems({variable: value}):
        raise ValueError(wrong[0])
    quoted(value)
    return value


def _mail(text: str) -> str:
    return _taken("ALERT_EMAIL", text.strip())


def _url(text: str) -> str:
    return _taken("GRAFANA_URL", text.strip())
