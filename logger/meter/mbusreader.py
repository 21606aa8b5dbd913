"""Reads the jobs of one meter on M-Bus: one telegram serves every job that is due.

A meter answers everything in one telegram, so a job takes the telegram of the job before
it if that came after the job was due; each job takes a telegram once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from logger.bus.mbus import MbusBus
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError, GarbledError, PortError, SilentError
from logger.domain.quantity import Quantity
from logger.mbus.frames import Place
from logger.mbus.records import Telegram
from logger.meter.backoff import Pause
from logger.meter.reader import Reader
from logger.meter.reading import Failure, Reading, ReadingBuilder, inverted
from logger.meter.requester import answered_ms
from logger.meter.state import MeterState, StateStore
from logger.meter.telegrams import by_records
from logger.meter.transformers import ct_problem
from logger.models import Job, Model
from logger.models.record import HEADER_FIELDS, rows_of, said

log = logging.getLogger(__name__)

# A telegram serves no job any more after this time, whatever the wall clock says.
_KEPT_S = 60.0
_TELEGRAM = "telegram"


class MbusReader(Reader):
    """One meter on one M-Bus line. Used by the worker of that bus only.

    `now_ms` gives the time of a point, milliseconds UTC; `clock` is monotonic, in
    seconds. `states` keeps who the meter is across restarts.
    """

    def __init__(
        self,
        bus: MbusBus,
        meter: MeterConfig,
        model: Model,
        now_ms: Callable[[], int],
        *,
        states: StateStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        foreign: bool = False,
    ) -> None:
        super().__init__(bus, meter, model, clock, foreign=foreign)
        self.place = Place(meter.address, meter.secondary or "")
        self._bus = bus
        self._now_ms = now_ms
        self._states = states
        self._pause = Pause()
        self._wrong: BusError | None = None
        self._left_out: Sequence[Quantity] = ()
        self._wakes = any(row.option for row in rows_of(model))
        self._telegram: Telegram | None = None
        self._taken_ms, self._taken = 0, 0.0  # when it came: milliseconds UTC; by `clock`
        self._served: set[Job] = set()
        self._ct_problem = ""
        known = states.load(meter.name) if states is not None else None
        here = MeterState(
            meter=meter.name, model=model.name, address=meter.address, port=bus.config.port
        )
        if known is not None and known.model == model.name:
            here = replace(here, serial=known.serial, software_version=known.software_version)
        self._state = here

    @property
    def wrong(self) -> BusError | None:
        """What is wrong with the configured model, None when nothing is known to be."""
        return self._wrong

    @property
    def away(self) -> bool:
        """Whether the meter is silent and only asked now and then."""
        return self._pause.length_s > 0

    @property
    def left_out(self) -> Sequence[Quantity]:
        """The quantities that the meter's telegram does not hold."""
        return self._left_out

    def blocks(self, job: Job) -> Sequence[str]:
        """Return what `job` asks for: the telegram, if the table has a value for the job."""
        return [_TELEGRAM] if self.model.of_job(job) else []

    def read(self, job: Job, round_ms: int) -> Reading:
        """Do `job` once. Never raises for what happens on the line: that is in the reading."""
        started, before = self._clock(), self._bus.stats.requests
        builder, failure = ReadingBuilder(), None
        if self.model.of_job(job):
            failure = self._fetch(job, round_ms, started)
            if failure is None and self._telegram is not None:
                self._take(job, self._telegram, builder)
        requests = self._bus.stats.requests - before
        reading = Reading(
            meter=self.meter.name,
            role=self.meter.role,
            model=self.model.name,
            job=job,
            taken_ms=builder.taken_ms or self._now_ms(),
            round_ms=round_ms,
            values=builder.values,
            failures=() if failure is None else (Failure(_TELEGRAM, failure),),
            rejected=tuple(builder.rejected),
            requests=requests,
            elapsed_ms=(self._clock() - started) * 1000,
        )
        failed = int(failure is not None and requests > 0)
        self._account(reading, requests - failed, failed)
        return inverted(reading) if self.meter.invert else reading

    def _fetch(self, job: Job, round_ms: int, now: float) -> BusError | None:
        """See that there is a telegram for `job`; return why there is none."""
        fresh = self._taken_ms >= round_ms and now - self._taken <= _KEPT_S
        if self._telegram is None or job in self._served or not fresh:
            if self._pause.lasts(now) and self.error is not None:
                return self.error
            self._telegram = None
            self._served.clear()
            try:
                telegram = self._sure()
            except SilentError as err:
                self._pause.silent(self._clock())
                return err
            except PortError as err:
                return err
            except BusError as err:
                self._pause.answered()
                return err
            self._pause.answered()
            self._taken_ms, self._taken = answered_ms(self._bus, self._now_ms), self._clock()
            self._telegram = telegram
            self._judge(telegram)
        self._served.add(job)
        if self._wrong is not None and not self._foreign:
            return self._wrong
        return self._newcomer(job, self._telegram.serial)

    def _newcomer(self, job: Job, serial: str) -> BusError | None:
        """Return why values of the meter `serial` do not count yet, None when they do.

        Counters of another meter follow the news that there is one, never the other way
        round: the identity job, which is to run soon, has to say so first.
        """
        known = self._state.serial
        if job is Job.IDENTITY or known in ("", serial):
            self._wanted.discard(Job.IDENTITY)
            return None
        self._wanted.add(Job.IDENTITY)
        return BusError(
            f"meter {self.meter.name}: serial number {serial} answers, it was {known}: nothing "
            "of it is logged before its identity was read",
        )

    def _sure(self) -> Telegram:
        """Return a telegram; that of a meter which was not here before comes twice."""
        telegram = self._ask()
        if self._state.serial in ("", telegram.serial):
            return telegram
        again = self._ask()
        self._see_same(telegram, again)
        return again

    def _see_same(self, one: Telegram, other: Telegram) -> None:
        """Raise GarbledError unless both telegrams are from the same meter."""
        if one.serial != other.serial:
            raise GarbledError(
                f"bus {self.bus}, {self.place}: two answers of one reading are from "
                f"{one.serial} and {other.serial}",
                "two meters on one address: inepro-logger scan --protocol mbus",
            )

    def _ask(self) -> Telegram:
        timeout = self.meter.timeout
        telegram = self._bus.request(self.place, timeout)
        if not self._wakes:
            return telegram
        acknowledged = self._bus.wake(self.place, timeout)
        more = self._bus.request(self.place, timeout)
        self._see_same(telegram, more)
        known = {record.header for record in telegram.records}
        added = tuple(one for one in more.records if one.header not in known)
        found = replace(telegram, records=telegram.records + added)
        if not any(one.row.option for one in said(self.model, found)):
            self._wakes = False
            log.warning(
                "meter %s: it sends no values by phase (%s the commands for them): not asked for "
                "again until the next start",
                self.meter.name,
                "it acknowledged" if acknowledged else "it did not acknowledge",
            )
        return found

    def _judge(self, telegram: Telegram) -> None:
        """Compare the telegram with the table: is it such a meter, and what does it lack?"""
        before, self._wrong = str(self._wrong), None
        if self.model.manufacturer not in ("", telegram.manufacturer):
            self._wrong = BusError(
                f"meter {self.meter.name}: a meter of {telegram.manufacturer}, serial number "
                f"{telegram.serial}, configured as {self.model.name} of {self.model.manufacturer}",
                "is it the right address? inepro-logger scan --protocol mbus",
            )
        there = {one.row.key for one in said(self.model, telegram)}
        wanted = [row for row in rows_of(self.model) if row.header not in HEADER_FIELDS]
        if self._wrong is None and not any(row.key in there for row in wanted):
            other = by_records(telegram)
            self._wrong = BusError(
                f"meter {self.meter.name}: its telegram holds nothing of the table of "
                f"{self.model.name}",
                f'model = "{other.name}"' if other else "another model, or another address?",
            )
        if self._wrong is not None:
            if str(self._wrong) != before:
                log.error("%s", self._wrong)
            return
        lacking = [row for row in wanted if row.key not in there]
        quantities = [row.quantity for row in lacking]
        if quantities != list(self._left_out) and lacking:
            names = ", ".join(row.name for row in lacking)
            log.info("meter %s: its telegram does not hold %s", self.meter.name, names)
        self._left_out = quantities

    def _take(self, job: Job, telegram: Telegram, builder: ReadingBuilder) -> None:
        for one in said(self.model, telegram):
            if one.row.job is not job:
                continue
            if one.value is None:
                builder.reject(one.row, one.reason)
            else:
                builder.take_value(self.model, one.row, one.value, self._taken_ms)
        if job is Job.IDENTITY:
            self._identify(telegram, builder)

    def _identify(self, telegram: Telegram, builder: ReadingBuilder) -> None:
        problem = ct_problem(self.model, builder.values)
        if problem and problem != self._ct_problem:
            log.warning("meter %s: %s", self.meter.name, problem)
        self._ct_problem = problem
        known = self._state
        found = replace(known, serial=telegram.serial, software_version=str(telegram.version))
        if found == known:
            return
        if known.serial and known.serial != found.serial:
            log.warning(
                "meter %s: another meter: serial number %s, it was %s",
                self.meter.name,
                found.serial,
                known.serial,
            )
        self._state = found
        if self._states is not None:
            self._states.save(found)
