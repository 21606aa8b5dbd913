"""Transactions: one request, one checked answer. The only importer of minimalmodbus."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import minimalmodbus

from logger.bus.elapsed import elapsed
from logger.bus.frames import WRITE_MANY, WRITE_ONE, Unsolicited, answer_size, question, words_of
from logger.bus.late import LateAnswers
from logger.bus.port import Port
from logger.bus.reopening import Reopening
from logger.bus.sharing import Sharing
from logger.bus.stats import BusStats
from logger.bus.traffic import Traffic
from logger.bus.twice import Repeats
from logger.bus.verdict import judge
from logger.config import Bus as BusConfig
from logger.domain.errors import BusError, GarbledError, PortError, RefusedError, SilentError
from logger.models.plan import Block

log = logging.getLogger(__name__)

# Gateways that connect to a server try again within this time.
_COMES_WITHIN_S = 60.0
_T = TypeVar("_T")


class Bus:
    """One line. Not thread-safe: one worker owns it. `clock` is monotonic, in seconds.

    The port is opened by the first transaction, and again after an error, at growing
    intervals up to 30 s; until then a transaction fails at once with the last reason.
    """

    def __init__(self, config: BusConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.stats = BusStats()
        self._clock = clock
        self._port = Port(config)
        self.rivals, self.belated = self._port.rivals, self._port.belated  # what gateways do
        self._instrument: minimalmodbus.Instrument | None = None
        self._reopening = Reopening(config.name, config.port, config.reopen_after, clock)
        self._late_answers: defaultdict[int, LateAnswers] = defaultdict(LateAnswers)
        self._late = False  # whether an answer to an earlier question came with the last one
        traffic, repeats = Traffic(config.name, told=config.shared), Repeats(config.name)
        self.sharing = Sharing(traffic, repeats, self._read, self._listen, self._port.wait, clock)

    @property
    def name(self) -> str:
        """The name of the bus in the configuration."""
        return self.config.name

    @property
    def echo(self) -> bool:
        """Whether the adapter is known to echo what is sent."""
        return self._port.echo.there is True

    @property
    def latency_s(self) -> float | None:
        """The time from the last request to the first byte of its answer, if one came."""
        return self._port.latency_s

    @property
    def answer_age_s(self) -> float:
        """The time since the last answer was complete."""
        return elapsed() - self._port.heard_at

    @property
    def unsolicited(self) -> Sequence[Unsolicited]:
        """The answers to other questions that came by meanwhile."""
        return self._port.unsolicited

    @property
    def only_others(self) -> bool:
        """Whether all that came upon the last request were frames for others."""
        return not (self._late or self._port.last_answer or self._port.units.differing)

    @property
    def shared(self) -> bool:
        """Whether another master was heard on the line lately."""
        return self.sharing.traffic.shared(self._clock())

    def read(
        self,
        address: int,
        block: Block,
        timeout_s: float | None = None,
        values: Callable[[], Sequence[tuple[int, int]]] | None = None,
    ) -> list[int]:
        """Return the words of `block` (FC03) from the meter at `address`, 0..0xFFFF each.

        An answer that may belong to an earlier question is not believed. Where others ask
        for as many registers the block is read in parts: between its `values` (offset and
        length of each) if they are known. Raises SilentError, GarbledError, RefusedError,
        SharedLineError or PortError.
        """
        return self.sharing.read(address, block, timeout_s, values)

    def _read(self, address: int, block: Block, timeout_s: float | None) -> list[int]:
        late, what, asked = self._late_answers[address], f"reading {block}", self._clock()
        if late.waits(block.count, asked):
            raise self._ambiguous(address, what)
        try:
            words = self._transact(address, what, timeout_s, lambda meter: _words(meter, block))
        except KeyboardInterrupt:
            late.failed(block.count, asked)  # its answer may come yet
            raise
        except BusError as err:
            if isinstance(err, RefusedError) and not late.unsure:
                self.sharing.answered(self._port, self.config.timeout)
            elif not isinstance(err, PortError):
                late.failed(block.count, asked)
            raise
        if late.ambiguous(block.count, asked):
            late.unproven(block.count, asked)
            self.stats.garbled += 1
            raise self._ambiguous(address, what)
        late.answered()
        self.sharing.answered(self._port, self.config.timeout)
        return words

    def _ambiguous(self, address: int, what: str) -> GarbledError:
        text = f"{self._where(address, what)}: the answer may belong to an earlier question"
        return GarbledError(text, "the meter answers later than the timeout: raise the timeout")

    def _listen(self, quiet_s: float, at_most_s: float) -> None:
        """Listen until the line was quiet for `quiet_s`."""
        if not self._port.is_open:
            time.sleep(quiet_s)  # nothing comes before the next question
            return
        with contextlib.suppress(PortError):  # the next question will say so
            self._port.listen(quiet_s, at_most_s)
            self._note_unsolicited()

    def unsure(self, address: int) -> bool:
        """Return whether late answers of the meter at `address` may come: `resynchronise` first."""
        return self._late_answers[address].unsure

    def resynchronise(
        self, address: int, probes: Sequence[Block], timeout_s: float | None = None
    ) -> None:
        """Ask the meter short questions until question and answer match again.

        `probes` are blocks that every meter of the model answers, of different lengths.
        Raises like `read` when they do not match.
        """
        late, last, left = self._late_answers[address], 0, list(probes)
        needed = min(2, len({probe.count for probe in probes}))
        while left and needed:
            probe = late.safest(left, last, self._clock())
            try:
                self.read(address, probe, timeout_s)
            except RefusedError:
                left.remove(probe)  # an answer, but one without a length
                continue
            needed -= 1
            last = probe.count
        late.resynchronised()

    def write(
        self,
        address: int,
        register: int,
        words: list[int],
        function: int,
        timeout_s: float | None = None,
    ) -> None:
        """Write `words` from `register` on, with function 6 or 16, and check the answer.

        Raises like `read`, and ValueError for an address that is not that of one meter.
        """
        if not 1 <= address <= 247:
            raise ValueError(f"address {address}: a write goes to one meter, 1 to 247")
        if function not in (WRITE_ONE, WRITE_MANY) or (function == WRITE_ONE and len(words) != 1):
            raise ValueError(f"function {function} does not write {len(words)} registers")

        def send(instrument: minimalmodbus.Instrument) -> None:
            if function == WRITE_ONE:
                instrument.write_register(register, words[0], functioncode=WRITE_ONE)
            else:
                instrument.write_registers(register, words)

        what = f"writing {Block(register, len(words))}"
        self._transact(address, what, timeout_s, send, repeatable=False)

    def open(self) -> None:
        """Open the port, for which a gateway may take a minute. Raises PortError."""
        self._ready(_COMES_WITHIN_S)

    def close(self) -> None:
        """Close the port; it may be used again. Jobs that are still held are ended first."""
        with contextlib.closing(self._port):
            self.sharing.watch.finish()

    def _transact(
        self,
        address: int,
        what: str,
        timeout_s: float | None,
        send: Callable[[minimalmodbus.Instrument], _T],
        *,
        repeatable: bool = True,
    ) -> _T:
        instrument = self._ready()
        instrument.address = address
        self._port.timeout = timeout_s if timeout_s is not None else self.config.timeout
        self.stats.requests += 1
        started = time.monotonic()
        try:
            try:
                found = self._ask(instrument, send, again=repeatable)
            finally:
                self._note_unsolicited(address)
        except (minimalmodbus.ModbusException, PortError, ValueError, TypeError) as err:
            raise self._explain(self._where(address, what), address, err) from err
        finally:
            self.stats.busy_s += time.monotonic() - started
        self._reopening.answered()
        self.stats.answered += 1
        return found

    def _ask(
        self,
        instrument: minimalmodbus.Instrument,
        send: Callable[[minimalmodbus.Instrument], _T],
        *,
        again: bool,
    ) -> _T:
        """Ask; if a good connection is lost over it, once more on a new one."""
        try:
            return send(instrument)
        except PortError as err:
            if not (again and self._port.proven):
                raise
            log.debug("%s; it is opened again", err.message)
        self._port.open()
        return send(instrument)

    def _where(self, address: int, what: str) -> str:
        return f"bus {self.name}, address {address}, {what}"

    def _note_unsolicited(self, address: int = 0) -> None:
        self._late = self.sharing.sort(self._port, self._late_answers, address)

    def _ready(self, patience_s: float | None = None) -> minimalmodbus.Instrument:
        if self._port.is_open and self._port.gone:
            log.debug("bus %s: %s was closed while idle", self.name, self.config.port)
            self._port.drop()
        if not self._port.is_open:
            if (known := self._reopening.error) is not None and not self._port.arrived:
                raise known
            try:
                self._port.open(patience_s)
            except PortError as err:
                self._failed(err)
                raise
        if self._instrument is None:
            self._instrument = minimalmodbus.Instrument(self._port, 1)
        return self._instrument

    def _failed(self, err: PortError) -> None:
        self.stats.port_errors += 1
        self._reopening.failed(err)

    def _explain(self, where: str, address: int, err: Exception) -> BusError:
        if isinstance(err, PortError):
            self._failed(err)
            return err
        reason = "" if isinstance(err, minimalmodbus.NoResponseError) else str(err)
        found, answered = judge(self.config, self._port, where, address, reason)
        if answered:
            self._reopening.answered()
        if isinstance(found, SilentError):
            self.stats.silent += 1
            if not answered and self._reopening.silent():
                self._port.drop()
        elif isinstance(found, RefusedError):
            self.stats.refused += 1
        else:
            self._reopening.heard()
            self.stats.garbled += 1
        return found


def _words(instrument: minimalmodbus.Instrument, block: Block) -> list[int]:
    """Read `block` with FC03. `Port` gives whole frames with a right checksum, or nothing."""
    to, count = instrument.address, block.count
    request = question(to, block.address, count)
    answer: bytes = instrument._communicate(request, answer_size(count))
    if (words := words_of(answer, to, count)) is None:
        minimalmodbus._extract_payload(answer, to, instrument.mode, request[1])  # says what it is
        raise minimalmodbus.InvalidResponseError(f"{answer!r} is not {count} registers")
    return words
