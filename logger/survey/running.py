"""What a check can say of a bus whose port the running logger has: what that one reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from logger.config import Bus as BusConfig
from logger.domain.errors import StatusError
from logger.runtime.status import ask
from logger.survey import ports
from logger.survey.finding import Finding, fail, note, ok

_STOP = (
    "to have wiring and settings looked at, stop it for the check (with compose: docker compose "
    "stop logger; docker compose run --rm logger check; docker compose start logger)"
)


def state_of(buffer: Path) -> Mapping[str, Any]:
    """Return what the logger that runs with `buffer` says; {} when none does or says so."""
    try:
        return ask(buffer)
    except StatusError:
        return {}


def has(state: Mapping[str, Any], bus: BusConfig) -> bool:
    """Return whether the logger of `state` has the serial port of `bus` for itself."""
    held = {one["port"] for one in state.get("buses", ())}
    return ports.is_device(bus.port) and bus.port in held


def seen(state: Mapping[str, Any], bus: BusConfig) -> Iterator[Finding]:
    """Yield what the logger of `state` says of the port of `bus` and of its meters."""
    problems = [str(one) for one in state["problems"]]
    held = f"{bus.port}: the logger that runs has it (process {state['pid']})"
    yield note(bus.name, "port", held, _STOP)
    for text in problems:
        if text.startswith(f"bus {bus.name} "):
            yield fail(bus.name, "line", text, "inepro-logger status")
    for meter in state["meters"]:
        if meter["bus"] != bus.name:
            continue
        start = f"meter {meter['name']}: "
        wrong = [text.removeprefix(start) for text in problems if text.startswith(start)]
        for text in wrong:
            yield fail(meter["name"], "reading", text, "inepro-logger status")
        if not wrong:
            age = "" if meter["age_s"] is None else f", the last time {meter['age_s']:.0f} s ago"
            yield ok(meter["name"], "reading", f"{meter['reads']} answers{age}")
