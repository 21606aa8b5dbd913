"""Readings taken while the clock was not set: they wait in the buffer for their time."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from logger.derive.clock import Clock
from logger.domain.errors import BufferFileError
from logger.domain.quantity import Quantity
from logger.meter.reading import Reading
from logger.models.register import Job, Value
from logger.store.parked import Parked

log = logging.getLogger(__name__)

_AT_ONCE = 200  # readings


@dataclass(frozen=True, slots=True)
class Released:
    """A reading with its number on the shelf; `known` if it has its right time."""

    number: int
    reading: Reading
    known: bool


class Shelf(Protocol):
    """Where parked readings lie."""

    def park(self, one: Parked) -> bool:
        """Keep a reading; its number is given later. False if there is no room."""
        ...

    def parked(self, after: int, limit: int) -> list[Parked]:
        """Return readings above number `after`, oldest first. Raises BufferFileError."""
        ...


class Parking:
    """Keeps readings on a shelf until `clock` can tell their time. For one thread.

    `boot` tells this boot of the machine from others, "" when that is not known. What was
    read in another boot has no time: nobody knows how long the machine was off.
    """

    def __init__(self, shelf: Shelf, clock: Clock, boot: str) -> None:
        self._shelf, self._clock, self._boot = shelf, clock, boot
        self.done = 0  # the number of the last reading that became points
        self._read = 0  # and that was read from the shelf
        self.lost = 0
        self.busy = False  # whether any reading waits; then later ones wait too

    def add(self, reading: Reading) -> None:
        """Keep a reading; its time by the clock is no time yet."""
        self.busy = True
        moment_ms = self._clock.moment_ms(reading.taken_ms)
        if not self._shelf.park(Parked(0, self._boot, moment_ms, _text(reading))):
            self.lost += 1

    def release(self) -> list[Released]:
        """Return some readings, oldest first; none when all were handed out, or while the
        file cannot be read: then `busy` stays."""
        try:
            found = self._shelf.parked(self._read, _AT_ONCE)
        except BufferFileError as err:
            log.debug("parked readings: %s", err)
            return []
        self.busy = bool(found)
        if found:
            self._read = found[-1].id
        return [
            Released(
                one.id,
                _reading(one.body, self._clock.stamp_ms(one.moment_ms)),
                known=bool(self._boot) and one.boot == self._boot,
            )
            for one in found
        ]


def _text(reading: Reading) -> str:
    """Return what is kept of a reading: all that becomes of it, but its time."""
    return json.dumps(
        {
            "meter": reading.meter,
            "role": reading.role,
            "model": reading.model,
            "job": reading.job.value,
            "late_ms": reading.taken_ms - reading.round_ms,
            "values": {str(one): _coded(value) for one, value in reading.values.items()},
        },
        separators=(",", ":"),
    )


def _reading(body: str, taken_ms: int) -> Reading:
    data: dict[str, Any] = json.loads(body)
    return Reading(
        meter=data["meter"],
        role=data["role"],
        model=data["model"],
        job=Job(data["job"]),
        taken_ms=taken_ms,
        round_ms=taken_ms - data["late_ms"],
        values={Quantity.parse(text): _decoded(value) for text, value in data["values"].items()},
    )


def _coded(value: Value) -> int | str | list[str]:
    """Return a value as JSON can hold it; a decimal number keeps its digits."""
    return [str(value)] if isinstance(value, Decimal) else value


def _decoded(value: Any) -> Value:
    if isinstance(value, list):
        return Decimal(value[0])
    return value if isinstance(value, int) else str(value)
