"""The past of a virtual site, read by the real pipeline: readings in, points out.

Nothing here waits: every request is answered from the virtual meters' memory, decoded,
and led through the derived stages, as if a logger had run all the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from logger.derive.info import MeterInfo
from logger.derive.pipeline import Derive
from logger.domain.records import FieldValue
from logger.domain.wiring import Wiring
from logger.mbus import frames
from logger.mbus.records import parse
from logger.meter.reading import Reading, ReadingBuilder
from logger.models import Job
from logger.models.plan import Block, plans
from logger.models.record import rows_of, said
from logger.points.encode import points
from logger.points.line import Point
from logger.runtime import health
from logger.simulate import Incident, Trouble, VirtualMbusMeter, VirtualMeter, VirtualSite

_HOUR_MS = 3_600_000
# How long after its round a meter's answer is complete, and how long the next takes.
_ANSWER_MS = 190
_VIRTUAL = "virtual", "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSpan:
    """A part of the past, [start, end) in ms UTC, and its intervals in ms."""

    start_ms: int
    end_ms: int
    fast_ms: int
    slow_ms: int


class Past:
    """Reads the virtual `site`, whose meters bear `names` by address, as `tag`; its days are
    those of `zone`.

    `buses` has the name and the port of the bus that each of them is on, by address, `wirings`
    how they are wired, with a neutral if nothing is said.
    """

    def __init__(
        self,
        site: VirtualSite,
        names: Mapping[int, str],
        tag: str,
        zone: str = "UTC",
        *,
        buses: Mapping[int, tuple[str, str]] | None = None,
        wirings: Mapping[int, Wiring] | None = None,
    ) -> None:
        self._site, self._tag, self._zone = site, tag, zone
        self._meters = tuple(
            _Reader(
                meter,
                names[meter.address],
                *(buses or {}).get(meter.address, _VIRTUAL),
                (wirings or {}).get(meter.address, "3P4W"),
            )
            for meter in site.meters
        )
        self._derive: Derive | None = None
        self._written = 0

    def points(self, span: PastSpan) -> Iterator[list[Point]]:
        """Yield the points of each round of `span`, oldest first.

        Spans are to follow each other; the counters of a virtual meter never go back.
        """
        self._begin(span)
        assert self._derive is not None
        for due_ms in range(
            -(-span.start_ms // span.fast_ms) * span.fast_ms, span.end_ms, span.fast_ms
        ):
            found = self._derive.tick(due_ms)
            found += self._round(Job.FAST, due_ms)
            if due_ms % span.slow_ms == 0:
                found += self._round(Job.SLOW, due_ms)
                found += self._health(span, due_ms)
            if due_ms % _HOUR_MS == 0 or due_ms - span.start_ms < span.fast_ms:
                found += self._round(Job.IDENTITY, due_ms)
            self._written += len(found)
            yield found

    def _begin(self, span: PastSpan) -> None:
        state = self._derive.state() if self._derive is not None else None
        self._derive = Derive(
            (reader.info(span) for reader in self._meters),
            self._tag,
            zone=self._zone,
        )
        if state is not None:
            self._derive.restore(state, span.start_ms)

    def _round(self, job: Job, due_ms: int) -> list[Point]:
        assert self._derive is not None
        found = []
        for number, reader in enumerate(self._meters, start=1):
            reading = reader.read(job, due_ms, due_ms + number * _ANSWER_MS)
            if reading.values:
                found += self._derive.feed(reading)
        return found

    def _health(self, span: PastSpan, due_ms: int) -> list[Point]:
        """Return the `logger` points; the line's load is the share of time it was in use."""
        meters = [reader.health(span) for reader in self._meters]
        buses = []
        for name, port in dict.fromkeys((reader.bus, reader.port) for reader in self._meters):
            own = [meter for meter in meters if meter.bus == name]
            busy = len(own) * _ANSWER_MS * (span.slow_ms / span.fast_ms + 2)
            buses.append(
                health.BusHealth(
                    name=name,
                    port=port,
                    planned_load=0.0,
                    busy=busy / span.slow_ms,
                    requests=sum(meter.reads + meter.errors for meter in own),
                    answered=sum(meter.reads for meter in own),
                    silent=0,
                    garbled=0,
                    refused=0,
                    port_errors=0,
                    echo=False,
                )
            )
        books: dict[str, FieldValue] = {
            "buffer_points": 0,
            "buffer_oldest_s": 0.0,
            "delivered": self._written,
            "set_aside": 0,
            "dropped": 0,
        }
        return points(health.counts(meters, buses, books, due_ms), self._tag)


class _Reader:
    """One virtual meter as a logger knows it: its name, its requests, its counts."""

    def __init__(self, meter: VirtualMeter, name: str, bus: str, port: str, wiring: Wiring) -> None:
        self.meter, self.name, self.wiring = meter, name, wiring
        self.bus, self.port = bus, port
        self.reads = self.errors = 0
        self._blocks: Mapping[Job, Sequence[Block]] = {}
        if isinstance(meter, VirtualMbusMeter):
            meter.is_awake = any(row.option for row in rows_of(meter.model))
        else:
            self._blocks = plans(meter.model)

    def info(self, span: PastSpan) -> MeterInfo:
        return MeterInfo(
            name=self.name,
            role=self.meter.role,
            model=self.meter.model,
            fast_ms=span.fast_ms,
            slow_ms=span.slow_ms,
            wiring=self.wiring,
        )

    def read(self, job: Job, due_ms: int, taken_ms: int) -> Reading:
        """Return the reading; without values while the meter does not answer."""
        at = taken_ms / 1000
        builder = ReadingBuilder()
        if self.meter.answers(at):
            self.reads += self._take(job, taken_ms, builder)
        else:
            self.errors += 1
        return Reading(
            meter=self.name,
            role=self.meter.role,
            model=self.meter.model.name,
            job=job,
            taken_ms=taken_ms,
            round_ms=due_ms,
            values=builder.values,
        )

    def _take(self, job: Job, taken_ms: int, builder: ReadingBuilder) -> int:
        """Take the values of `job` as the meter sends them; return how many requests it took."""
        model, at = self.meter.model, taken_ms / 1000
        registers = model.of_job(job)
        if not isinstance(self.meter, VirtualMbusMeter):
            blocks = self._blocks[job]
            for block in blocks:
                words = self.meter.read_words(block.address, block.count, at)
                builder.take(model, registers, block, words, taken_ms)
            return len(blocks)
        if not registers:
            return 0
        sent = frames.Frame(b"", self.meter.address, frames.CI_VARIABLE, self.meter.telegram(at))
        for one in said(model, parse(sent)):
            if one.row.job is job and one.value is not None:
                builder.take_value(model, one.row, one.value, taken_ms)
        return 1

    def health(self, span: PastSpan) -> health.MeterHealth:
        return health.MeterHealth(
            name=self.name,
            bus=self.bus,
            role=self.meter.role,
            model=self.meter.model.name,
            address=self.meter.address,
            interval_s=span.fast_ms / 1000,
            reads=self.reads,
            errors=self.errors,
            rejected=0,
            missed=0,
            read_ms=float(_ANSWER_MS),
            last_good=None,
            error="",
        )


def troubles(end: float) -> tuple[Incident, ...]:
    """Return what went wrong in the month before `end` (epoch seconds): one of each kind."""
    day = 86400.0

    def span(ago_days: float, minutes: float) -> tuple[float, float]:
        start = (end - ago_days * day) // 60 * 60
        return start, start + 60 * minutes

    found = []
    for kind, ago_days, minutes, phase, value, meter in (
        (Trouble.VOLTAGE, 0.4, 24.0, 2, 254.6, None),
        (Trouble.METER_SILENT, 2.6, 18.0, None, None, 2),
        (Trouble.VOLTAGE, 8.3, 35.0, 2, 254.2, None),
        (Trouble.FREQUENCY, 11.1, 3.0, None, 49.42, None),
        (Trouble.MAINS_OFF, 15.8, 7.0, None, None, None),
        (Trouble.VOLTAGE, 20.2, 22.0, 3, 205.1, None),
        (Trouble.PHASE_LOST, 24.7, 4.0, 1, None, None),
    ):
        start, stop = span(ago_days, minutes)
        found.append(
            Incident(kind=kind, start=start, end=stop, phase=phase, value=value, meter=meter)
        )
    return tuple(found)
