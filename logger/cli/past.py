"""`simulate-past`: a month of a virtual site into the buffer, then its meters on TCP."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logger.cli.moments import ForOption, moment
from logger.cli.options import DEFAULT_CONFIG, ConfigOption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logger.config import Bus, Config, Meter
    from logger.simulate import VirtualSite

_LONGEST_S = 3660 * 86400
# In the past there is a reading every two or three minutes; the last hours are as usual. All are
# whole parts of a quarter hour, so that each is read at its borders, and sure.
_PAST_MS, _USUAL_MS = (150_000, 450_000), (10_000, 60_000)
_USUAL_S = 3 * 3600
_STEP_S = 10
# Longer steps for many meters: else a month takes long.
_FEW, _COARSE_STEP_S = 10, 60
_FLUSH_POINTS = 20_000


def simulate_past(
    config: ConfigOption = DEFAULT_CONFIG,
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="TIME", help="Where the past begins: 30d (ago), this-month ..."
        ),
    ] = "30d",
    days: Annotated[
        int | None, typer.Option(min=1, max=3660, hidden=True, help="As --from with a d.")
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            help="Serve the meters here afterwards, such as tcp://0.0.0.0:5020; beside Modbus "
            "meters those on M-Bus have the next port."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Another seed is another house and sky.")] = 1,
    world: Annotated[
        str,
        typer.Option(
            help="What the meters measure: house, flat or building. A load meter named after a "
            "part of it (kitchen, flat-101) measures that part, another one what is left."
        ),
    ] = "house",
    for_: ForOption = None,
) -> None:
    """Fill the buffer of CONFIG with the past of virtual meters, then serve them.

    What a logger would have read goes into the buffer, from where the logger delivers
    it; the meters served go on from there. A second start fills nothing again;
    exit code 1 when `max_size` had no room for all. The
    logger must not run yet: the buffer has one owner at a time.
    """
    import json
    import time

    from logger.config import load_config
    from logger.models import load
    from logger.simulate import virtual_site
    from logger.simulate.past import troubles

    if days is not None:
        start = f"{days}d"
    loaded = load_config(config)
    note = loaded.buffer.path.with_name("virtual-site.json")
    now = int(time.time()) // 60 * 60
    begun: dict[str, Any] = (
        json.loads(note.read_text(encoding="utf-8"))
        if note.exists()
        else {
            "start": _begin(start, loaded.site.timezone, now),
            "end": now,
            "seed": seed,
            "world": world,
        }
    )
    meters = _meters(loaded)
    site = virtual_site(
        begun["seed"],
        start=begun["start"],
        meters={address: meter.role for address, (_, meter) in meters.items()},
        models={a: load(meter.model, loaded.models_dir) for a, (_, meter) in meters.items()},
        settings={a: {"serial": m.secondary} for a, (_, m) in meters.items() if m.secondary},
        world=begun.get("world", "house"),
        names={address: meter.name for address, (_, meter) in meters.items()},
        step_s=_STEP_S if len(meters) <= _FEW else _COARSE_STEP_S,
        zone=loaded.site.timezone,
        incidents=troubles(begun["end"]),
    )
    if note.exists():
        typer.echo(f"{note}: filled before; the meters go on")
        _settle(site, meters)
        site.books.advance(time.time())
    else:
        count, dropped = _fill(loaded, site, begun["start"], begun["end"])
        note.write_text(json.dumps(begun), encoding="utf-8")
        span = _words(begun["end"] - begun["start"])
        if dropped:
            typer.secho(
                f"{loaded.buffer.path}: {dropped} of {count} points of {span} had no room: "
                f"buffer.max_size is {loaded.buffer.max_size / 1e6:.0f} MB. Raise it, remove the "
                f"buffer and {note.name}, and fill again",
                fg="red",
                err=True,
            )
            raise typer.Exit(1)
        typer.echo(f"{count} points of {span} are in {loaded.buffer.path}")
    if listen:
        _serve(site, listen, for_)


@contextmanager
def _progress(total_ms: int) -> Iterator[Callable[[int], None]]:
    """Show on the error output how much of `total_ms` is filled: a bar on a terminal, else a line
    for each tenth; gives what is to be called with each part."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(console=console) as progress:
            task = progress.add_task("the past", total=total_ms)
            yield lambda part_ms: progress.advance(task, part_ms)
        return
    typer.echo(f"filling {_words(total_ms / 1000)} of the past", err=True)
    done_ms = 0

    def passed(part_ms: int) -> None:
        nonlocal done_ms
        before, done_ms = done_ms, min(total_ms, done_ms + part_ms)
        if (tenths := 10 * done_ms // total_ms) > 10 * before // total_ms:
            typer.echo(f"the past: {10 * tenths} %", err=True)

    yield passed


def _words(seconds: float) -> str:
    """Return a length of time in the largest unit that it fills: "400 days", "1 hour"."""
    units = (("day", 86400), ("hour", 3600), ("minute", 60))
    unit, length = next((one for one in units if seconds >= one[1]), units[-1])
    count = round(seconds / length, 1)
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def _serve(site: VirtualSite, listen: str, seconds: float | None) -> None:
    """Serve the meters: those on Modbus at `listen`, those on M-Bus there or a port further."""
    import contextlib
    import time

    from logger.cli.serving import listen_address, wait
    from logger.config.addresses import MBUS_BAUDRATE
    from logger.simulate import MbusLine, VirtualClock, VirtualLine

    host, port = listen_address(listen)
    clock, texts = VirtualClock(time.time()), []
    kinds = {"modbus": (VirtualLine, 9600, ""), "mbus": (MbusLine, MBUS_BAUDRATE, " on M-Bus")}
    with contextlib.ExitStack() as lines:
        for protocol, (kind, baudrate, what) in kinds.items():
            if own := [one for one in site.meters if one.model.protocol == protocol]:
                line = lines.enter_context(kind(own, clock=clock, baudrate=baudrate))
                number = line.start_tcp(host, port)
                texts.append(f"virtual meters{what} at socket://{host}:{number}")
                port += port > 0
        wait(seconds, "\n".join(texts))


def _meters(config: Config) -> dict[int, tuple[Bus, Meter]]:
    """Return bus and meter by a number of its own: its address where that is free.

    Virtual meters are on one line for each protocol.
    """
    from logger.config.addresses import MBUS_LAST, MODBUS
    from logger.domain.errors import ConfigError

    found: dict[int, tuple[Bus, Meter]] = {}
    later: list[tuple[Bus, Meter]] = []
    for bus in config.bus:
        for meter in bus.meter:
            other, first = found.get(meter.address, (bus, meter))
            if meter.address in found and bus.protocol == other.protocol:
                raise ConfigError(
                    f"{first.name} on bus {other.name} and {meter.name} on bus {bus.name} both "
                    f"have the address {meter.address}",
                    "virtual meters are on one line: give each an address of its own",
                )
            if meter.address in found or meter.address > MBUS_LAST:
                later.append((bus, meter))
            else:
                found[meter.address] = bus, meter
    free = (number for number in reversed(MODBUS) if number not in found)
    found |= dict(zip(free, later, strict=False))
    return found


def _settle(site: VirtualSite, meters: dict[int, tuple[Bus, Meter]]) -> None:
    """Give each virtual meter the address that it is asked at."""
    from logger.config.addresses import MBUS_LAST

    for made, (_, meter) in zip(site.meters, meters.values(), strict=True):
        if meter.address <= MBUS_LAST:
            made.identity.address = meter.address


def _begin(text: str, zone: str, now: int) -> int:
    """Return where the past begins, epoch seconds: a whole minute."""
    start = moment(text, zone, now * 1000, "--from") // 60_000 * 60
    if start >= now:
        raise typer.BadParameter(f"--from {text} is not in the past")
    if now - start > _LONGEST_S:
        raise typer.BadParameter(f"--from {text} is more than ten years ago")
    return start


def _fill(config: Config, site: VirtualSite, start: int, end: int) -> tuple[int, int]:
    """Append all points of [start, end) (epoch seconds); return how many, and how many of
    all in the buffer were dropped meanwhile."""
    import logging

    from logger.buffer import Buffer
    from logger.simulate.past import Past, PastSpan

    logging.getLogger("logger.events").setLevel(logging.ERROR)  # old events are no news
    meters = _meters(config)
    names = {number: meter.name for number, (_, meter) in meters.items()}
    buses = {address: (bus.name, bus.port) for address, (bus, _) in meters.items()}
    wirings = {number: meter.wiring for number, (_, meter) in meters.items()}
    past = Past(site, names, config.site.name, config.site.timezone, buses=buses, wirings=wirings)
    _settle(site, meters)
    lately = max(start, end - _USUAL_S)
    spans = [
        PastSpan(start_ms=a * 1000, end_ms=b * 1000, fast_ms=fast, slow_ms=slow)
        for a, b, (fast, slow) in ((start, lately, _PAST_MS), (lately, end, _USUAL_MS))
        if a < b
    ]
    buffer = Buffer(
        config.buffer.path, keep_s=config.buffer.keep, max_size=config.buffer.max_size,
        now_ms=lambda: end * 1000, store=config.influxdb is None,
    )  # fmt: skip
    count = fresh = 0
    buffer.open()
    before = buffer.books().total.dropped
    try:
        with _progress(sum(s.end_ms - s.start_ms for s in spans)) as passed:
            for span in spans:
                for found in past.points(span):
                    buffer.append(found)
                    count, fresh = count + len(found), fresh + len(found)
                    passed(span.fast_ms)
                    if fresh >= _FLUSH_POINTS:
                        buffer.flush()
                        fresh = 0
    finally:
        buffer.close()
    return count, buffer.books().total.dropped - before
