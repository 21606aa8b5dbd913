"""`simulate`: virtual meters for any master, on TCP or on a pseudo-terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.moments import ForOption, duration, moment, now_ms
from logger.cli.serving import listen_address, wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from logger.simulate import VirtualLine

_PARITY_WORDS = {"E": "even", "O": "odd", "N": "none"}
# For the help, which is not to load the simulation; a test compares.
QUIRK_NAMES = (
    "no-long-block-502a",
    "refuse-gaps",
    "refuse-pro1",
    "echo",
    "zero-bytes",
    "drop-bytes",
    "flip-bits",
    "split-frames",
    "late-answer",
    "wrong-address",
    "every-second",
    "copies-answers",
    "one-wire",
    "babble",
    "dead",
    "slow",
    "dies-after",
    "glitch-zero",
    "integer-data-type",
    "unset-ct",
    "legacy-only",
    "reversed-ct",
)
WORLD_NAMES = ("house", "battery", "flat", "building")
# Longer steps keep the counting of energy cheap when time runs very fast.
_FAST, _FAST_STEP_S = 600.0, 30


def _list_quirks(wanted: bool) -> None:
    if wanted:
        from logger.simulate import QUIRKS

        width = max(map(len, QUIRKS))
        for name, quirk in QUIRKS.items():
            typer.echo(f"{name:<{width}}  {quirk.text}")
        raise typer.Exit


def simulate(
    model: Annotated[
        str, typer.Option(help="The register table of the meters; pro380, in a flat pro1.")
    ] = "",
    world: Annotated[
        str,
        typer.Option(
            help="What the meters measure: house (grid and PV); battery (with a battery, and a "
            "meter for each circuit); flat (one phase, no PV); building (60 meters)."
        ),
    ] = "house",
    listen: Annotated[
        str,
        typer.Option(
            help="Serve RTU frames over TCP here, as a gateway does; port 0 chooses one. "
            "Without --pty it is tcp://127.0.0.1:5020."
        ),
    ] = "",
    modbus_tcp: Annotated[
        bool,
        typer.Option(
            "--modbus-tcp", help="Speak Modbus TCP there, as most gateways do, not RTU frames."
        ),
    ] = False,
    pty: Annotated[
        bool, typer.Option("--pty", help="Serve on a pseudo-terminal (no parity there: 8N1).")
    ] = False,
    meter: Annotated[
        list[str] | None,
        typer.Option(
            help="A meter as ADDRESS:ROLE, or ADDRESS:ROLE:inverted when it is wired the "
            "other way round; repeat it. Else all that the world has."
        ),
    ] = None,
    baudrate: Annotated[
        int | None, typer.Option(help="Baud rate of the line; 9600, on M-Bus 2400.")
    ] = None,
    parity: Annotated[str, typer.Option(help="even, odd or none; even unless --pty.")] = "",
    pace: Annotated[
        bool, typer.Option("--pace/--no-pace", help="Take the time a real line would.")
    ] = True,
    delay: Annotated[
        float | None,
        typer.Option(
            parser=duration, metavar="DURATION", help="From request to answer; 20ms, unpaced 0."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another house and sky.")] = 1,
    speed: Annotated[float, typer.Option(help="60 makes an hour pass in a minute.")] = 1.0,
    start: Annotated[
        str,
        typer.Option(metavar="TIME", help="Virtual time to begin at, local time of --zone."),
    ] = "now",
    zone: Annotated[str, typer.Option(help="Time zone of the household.")] = "UTC",
    quirk: Annotated[
        list[str] | None,
        typer.Option(
            help="Something that is wrong, NAME or NAME@ADDRESS; repeat it. "
            f"Names: {', '.join(QUIRK_NAMES)}."
        ),
    ] = None,
    for_: ForOption = None,
    list_quirks: Annotated[
        bool,
        typer.Option(
            "--list-quirks", help="Say what each quirk does.", callback=_list_quirks, is_eager=True
        ),
    ] = False,
) -> None:
    """Serve virtual meters of one site: grid, PV, battery and loads agree with each other.

    The same seed and start give the same day twice. Ctrl-C ends it.
    """
    from logger.config.addresses import MBUS_BAUDRATE
    from logger.models import load
    from logger.simulate import (
        MbusLine,
        VirtualClock,
        VirtualLine,
        places,
        quirks_named,
        usual_model,
        virtual_site,
    )

    del list_quirks  # has done its work by now
    letter = _parity(parity, on_pty=pty and not listen)
    where = listen_address(listen) if listen or not pty else None
    if speed < 0:
        raise typer.BadParameter("--speed cannot be negative")
    began_ms = moment(start, _zone(zone), now_ms(), "--start")
    clock = VirtualClock(began_ms / 1000, speed)
    built = places(world)
    meters, inverted = {address: place.role for address, place in built.items()}, set[int]()
    names = {address: place.name for address, place in built.items()}
    if meter:
        meters, inverted = _meters(meter)
    if meter or world == "house":
        names = {address: f"{role}-{address}" for address, role in meters.items()}
    model = model or usual_model(world)
    site = virtual_site(
        seed,
        start=clock.start,
        meters=meters,
        inverted=inverted,
        model=model,
        world=world,
        names=names,
        step_s=_FAST_STEP_S if speed > _FAST or world == "building" else 1,
        zone=zone,
    )
    is_mbus = load(model).protocol == "mbus"
    if modbus_tcp and (is_mbus or where is None):
        raise typer.BadParameter("--modbus-tcp is for Modbus meters, served over TCP")
    line = (MbusLine if is_mbus else VirtualLine)(
        site.meters,
        clock=clock,
        baudrate=baudrate or (MBUS_BAUDRATE if is_mbus else 9600),
        parity=letter,
        delay_s=delay,
        paced=pace,
        quirks=quirks_named(quirk or [], seed),
    )
    with line:
        ports = []
        if where is not None:
            number = line.start_tcp(*where, mbap=modbus_tcp)
            scheme = "tcp" if modbus_tcp else "socket"
            ports.append((f"{scheme}://{where[0]}:{number}", letter))
        if pty:
            ports.append((line.start_pty(), "N"))
        wait(for_, *(_welcome(line, port, settable, names) for port, settable in ports))
    typer.echo(_farewell(line))


def _parity(text: str, *, on_pty: bool) -> str:
    if not text:
        return "N" if on_pty else "E"
    letter = text[:1].upper()
    if text.upper() not in (letter, _PARITY_WORDS.get(letter, "").upper()):
        raise typer.BadParameter(f"parity {text!r} is unknown: use even, odd or none")
    return letter


def _meters(texts: list[str]) -> tuple[dict[int, str], set[int]]:
    """Return the role by address, and the addresses of meters wired the other way round."""
    roles: dict[int, str] = {}
    inverted: set[int] = set()
    for text in texts:
        address, _, rest = text.partition(":")
        role, _, wiring = rest.partition(":")
        if not address.isdecimal() or not role or wiring not in ("", "inverted"):
            raise typer.BadParameter(f"{text!r}: write --meter ADDRESS:ROLE, such as 1:grid")
        if int(address) in roles:
            raise typer.BadParameter(f"two meters at address {int(address)}")
        roles[int(address)] = role
        if wiring:
            inverted.add(int(address))
    return roles, inverted


def _zone(text: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise typer.BadParameter(
            f"unknown time zone {text!r}: expected a name such as Europe/Amsterdam"
        ) from None
    return text


def _welcome(line: VirtualLine, port: str, parity: str, names: Mapping[int, str]) -> str:
    """Return how to reach the line, as part of a configuration."""
    from logger.config.write import keys

    rows = [
        f"Virtual meters at {port}; in the configuration:",
        "",
        "[[bus]]",
        *keys(
            name="virtual",
            protocol="mbus" if line.meters[0].model.protocol == "mbus" else None,
            port=port,
            baudrate=line.baudrate,
            parity=_PARITY_WORDS[parity],
        ),
    ]
    for meter in line.meters:
        rows += [
            "",
            "[[bus.meter]]",
            *keys(
                name=names[meter.address],
                model=meter.model.name,
                address=meter.address,
                role=meter.role,
                invert=max(meter.ledger.gains) < 0 or None,
            ),
        ]
    return "\n".join([*rows, ""])


def _farewell(line: VirtualLine) -> str:
    """Return how often what was asked."""
    rows = [f"{line.requests.total()} requests, {line.answered} answers"]
    for (address, function, register, count), times in sorted(line.requests.items()):
        what = f"FC{function:02}  0x{register:04X} x {count}"
        if line.meters[0].model.protocol == "mbus":
            what = f"control {function:02X}"
        rows.append(f"{times:>9} x  meter {address}  {what}")
    return "\n".join(rows)
