"""`simulate-past`: a month of a virtual site into the buffer, then its meters on TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.options import DEFAULT_CONFIG, ConfigOption, duration

if TYPE_CHECKING:
    from logger.config import Config
    from logger.simulate import VirtualSite

_DAY_S = 86400
# In the past every second minute has one reading; the last hours are as usual.
_PAST_MS, _USUAL_MS = (120_000, 600_000), (10_000, 60_000)
_USUAL_S = 3 * 3600
_STEP_S = 10
_FLUSH_POINTS = 20_000


def simulate_past(
    config: ConfigOption = DEFAULT_CONFIG,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How much of the past.")] = 30,
    listen: Annotated[
        str, typer.Option(help="Serve the meters here afterwards, such as tcp://0.0.0.0:5020.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Another seed is another house and sky.")] = 1,
    for_: Annotated[
        str, typer.Option("--for", help="End by itself after this time, such as 30s.")
    ] = "",
) -> None:
    """Fill the buffer of CONFIG with the past of virtual meters, then serve them.

    What a logger would have read goes into the buffer, from where the logger delivers
    it; the meters served go on from there. A second start fills nothing again. The
    logger must not run yet: the buffer has one owner at a time.
    """
    import json
    import time

    from logger.config import load_config
    from logger.simulate import VirtualClock, VirtualLine, virtual_site
    from logger.simulate.past import troubles

    for_s = duration(for_) if for_ else None
    loaded = load_config(config)
    note = loaded.buffer.path.with_name("virtual-site.json")
    now = int(time.time()) // 60 * 60
    begun: dict[str, int] = (
        json.loads(note.read_text(encoding="utf-8"))
        if note.exists()
        else {"start": now - days * _DAY_S, "end": now, "seed": seed}
    )
    roles = {meter.address: meter.role for bus in loaded.bus for meter in bus.meter}
    site = virtual_site(
        begun["seed"],
        start=begun["start"],
        meters=roles,
        step_s=_STEP_S,
        zone=loaded.site.timezone,
        incidents=troubles(begun["end"]),
    )
    if note.exists():
        typer.echo(f"{note}: filled before; the meters go on")
        site.books.advance(time.time())
    else:
        count = _fill(loaded, site, begun["start"], begun["end"])
        note.write_text(json.dumps(begun), encoding="utf-8")
        typer.echo(f"{count} points of {days} days are in {loaded.buffer.path}")
    if not listen:
        return
    from logger.cli.serving import listen_address, wait

    host, port = listen_address(listen)
    with VirtualLine(site.meters, clock=VirtualClock(time.time()), baudrate=9600) as line:
        wait(for_s, f"virtual meters at socket://{host}:{line.start_tcp(host, port)}")


def _fill(config: Config, site: VirtualSite, start: int, end: int) -> int:
    """Append all points of [start, end) (epoch seconds); return how many."""
    import logging

    from rich.progress import Progress

    from logger.buffer import Buffer
    from logger.simulate.past import Past, PastSpan

    logging.getLogger("logger.events").setLevel(logging.ERROR)  # old events are no news
    names = {meter.address: meter.name for bus in config.bus for meter in bus.meter}
    past = Past(site, names, config.site.name)
    lately = max(start, end - _USUAL_S)
    spans = [
        PastSpan(start_ms=a * 1000, end_ms=b * 1000, fast_ms=fast, slow_ms=slow)
        for a, b, (fast, slow) in ((start, lately, _PAST_MS), (lately, end, _USUAL_MS))
        if a < b
    ]
    buffer = Buffer(
        config.buffer.path, keep_s=config.buffer.keep, max_size=config.buffer.max_size,
        now_ms=lambda: end * 1000, archive=config.influxdb is None,
    )  # fmt: skip
    count = fresh = 0
    buffer.open()
    try:
        with Progress() as progress:
            task = progress.add_task("the past", total=sum(s.end_ms - s.start_ms for s in spans))
            for span in spans:
                for found in past.points(span):
                    buffer.append(found)
                    count, fresh = count + len(found), fresh + len(found)
                    progress.advance(task, span.fast_ms)
                    if fresh >= _FLUSH_POINTS:
                        buffer.flush()
                        fresh = 0
    finally:
        buffer.close()
    return count
