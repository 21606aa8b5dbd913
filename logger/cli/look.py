"""The look of `init` at a line: which meters are there, how they are set, what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from logger.config.answers import Answers
    from logger.meter.identify import Found


def looked(given: Answers, adapters: Sequence[str], *, fixed: bool) -> Answers:
    """Offer to look for meters; return `given` with those found and named and the settings of
    their line, else with meters that somebody knows by heart.

    A port that cannot be opened is asked for again, unless it is `fixed`.
    """
    from logger.cli import ask
    from logger.cli.sweep import addresses_of
    from logger.config.answers import Answers
    from logger.domain.errors import LoggerError, PortError
    from logger.models import available

    while given.port != Answers().port and typer.confirm(
        "Look for meters there now (it only reads)", default=True
    ):
        wanted = ask.ask("Addresses to try", "1-247", lambda text: addresses_of(text, 1, 247))
        try:
            found = _found(given.port, wanted)
        except PortError as err:
            typer.echo(f"{err}", err=True)
            if fixed:
                break
            given = replace(given, port=ask.port(adapters, given.port) or Answers().port)
            continue
        except LoggerError as err:
            typer.echo(f"{err}; the meters can be named by hand", err=True)
            break
        if found:
            return _named(given, found)
        break
    return replace(given, meters=ask.meters(available(None)))


def _found(port: str, wanted: list[int]) -> list[Found]:
    """Return the meters at the addresses `wanted` that have a table, as most of them are set.

    Raises BusError.
    """
    from logger.cli.quiet import quiet
    from logger.cli.sweep import show, sweep
    from logger.domain.errors import SettingsError
    from logger.models import available, load
    from logger.survey import draft, ports, scan

    quiet()
    port = ports.here(port)
    models = [load(name) for name in available(None)]
    patience_s = 0.5 if port.startswith("tcp://") else scan.PATIENCE_S

    def swept(parity: str, everything: bool) -> list[Found]:
        return sweep("modbus", port, wanted, 9600, parity, everything, models, patience_s)[0]

    try:
        found = swept("even", False)
    except SettingsError:  # a pseudo-terminal has no parity bit
        found = swept("none", False)
    if not found and _sets_the_line(port):
        typer.echo(f"No meter answers on {port} at 9600 baud.")
        if typer.confirm("Try every other speed and parity, too", default=False):
            found = swept("even", True)
    show(found, port)
    return draft.most_usual(found) if any(one.model for one in found) else []


def _sets_the_line(port: str) -> bool:
    """Return whether speed and parity are set from here, not in a gateway."""
    from logger.survey import ports

    return ports.is_device(port) or port.lower().startswith("rfc2217://")


def _named(given: Answers, found: list[Found]) -> Answers:
    """Return `given` with the meters of `found`, whose names and roles are asked for."""
    from logger.cli import ask
    from logger.cli.moments import now_ms
    from logger.config.answers import Meter
    from logger.domain.times import hour_of
    from logger.models import load
    from logger.survey import draft, ports, roles, scan

    models = {one.model: load(one.model) for one in found}
    baudrate, parity = found[0].baudrate, found[0].parity
    seen = roles.read_now(scan.line_config(ports.here(given.port), baudrate, parity), found, models)
    hour = hour_of(now_ms(), given.zone)
    guessed = roles.guess([seen.get(one, roles.Now()) for one in found], hour)
    places = ask.places(found, draft.named(found, guessed), seen)
    meters = [
        Meter(name=place.name, address=one.address, role=place.role, model=one.model)
        for one, place in zip(found, places, strict=True)
    ]
    return replace(given, meters=meters, baudrate=baudrate, parity=parity)
