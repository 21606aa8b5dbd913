"""Transactions: one request, one checked answer. The only importer of minimalmodbus."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import minimalmodbus

from logger.bus.port import Port
from logger.config import Bus as BusConfig
from logger.errors import BusError, GarbledError, PortError, RefusedError, SilentError
from logger.plan import Block

log = logging.getLogger(__name__)

# Modbus application protocol V1.1b3, chapter 7.
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}
_REOPEN_FIRST_S, _REOPEN_AT_MOST_S = 1.0, 30.0
_T = TypeVar("_T")


@dataclass(slots=True)
class BusStats:
    """Counts since the start; `busy_s` is the time spent in transactions."""

    requests: int = 0
    answered: int = 0
    silent: int = 0
    garbled: int = 0
    refused: int = 0
    port_errors: int = 0
    busy_s: float = 0.0


class Bus:
    """One line. Not thread-safe: one worker owns it.

    The port is opened by the first transaction, and again after an error, at growing
    intervals up to 30 s; until then a transaction fails at once with the last reason.
    """

    def __init__(self, config: BusConfig) -> None:
        self.config = config
        self.stats = BusStats()
        self._port = Port(config)
        self._instrument: minimalmodbus.Instrument | None = None
        self._port_error: PortError | None = None
        self._reopen_at = 0.0
        self._reopen_after_s = _REOPEN_FIRST_S

    @property
    def name(self) -> str:
        """The name of the bus in the configuration."""
        return self.config.name

    @property
    def echo(self) -> bool:
        """Tell whether the adapter is known to echo what is sent."""
        return self._port.echo is True

    def read(self, address: int, block: Block, timeout_s: float | None = None) -> list[int]:
        """Return the words of `block` (FC03) from the meter at `address`, 0..0xFFFF each.

        Raises SilentError, GarbledError, RefusedError or PortError.
        """
        return self._transact(
            address,
            f"reading {block}",
            timeout_s,
            lambda instrument: instrument.read_registers(block.address, block.count, 3),
        )

    def write(self, address: int, register: int, words: list[int], function: int) -> None:
        """Write `words` from `register` on, with function 6 or 16, and check the answer.

        Raises like `read`.
        """
        place = Block(register, len(words))

        def send(instrument: minimalmodbus.Instrument) -> None:
            if function == 6:
                instrument.write_register(register, words[0], functioncode=6)
            else:
                instrument.write_registers(register, words)

        self._transact(address, f"writing {place}", None, send)

    def close(self) -> None:
        """Close the port; it may be used again afterwards."""
        self._port.close()

    def _transact(
        self,
        address: int,
        what: str,
        timeout_s: float | None,
        send: Callable[[minimalmodbus.Instrument], _T],
    ) -> _T:
        instrument = self._ready()
        instrument.address = address
        self._port.timeout = timeout_s if timeout_s is not None else self.config.timeout
        self.stats.requests += 1
        started = time.monotonic()
        try:
            found = send(instrument)
        except (minimalmodbus.ModbusException, PortError, ValueError, TypeError) as err:
            error = self._explain(address, what, err)
            if isinstance(error, GarbledError):
                self._settle()
            raise error from err
        finally:
            self.stats.busy_s += time.monotonic() - started
        self.stats.answered += 1
        return found

    def _ready(self) -> minimalmodbus.Instrument:
        if not self._port.is_open:
            if self._port_error is not None and time.monotonic() < self._reopen_at:
                raise self._port_error
            try:
                self._port.open()
            except PortError as err:
                self._failed_to_open(err)
                raise
            if self._port_error is not None:
                log.info("bus %s: %s is open again", self.name, self.config.port)
            self._port_error = None
            self._reopen_after_s = _REOPEN_FIRST_S
        if self._instrument is None:
            self._instrument = minimalmodbus.Instrument(self._port, 1)
        return self._instrument

    def _failed_to_open(self, err: PortError) -> None:
        self.stats.port_errors += 1
        if self._port_error is None or self._port_error.message != err.message:
            log.error("%s", err)
        self._port_error = err
        self._reopen_at = time.monotonic() + self._reopen_after_s
        self._reopen_after_s = min(2 * self._reopen_after_s, _REOPEN_AT_MOST_S)

    def _explain(self, address: int, what: str, err: Exception) -> BusError:
        where = f"bus {self.name}, address {address}, {what}"
        if isinstance(err, PortError):
            self._failed_to_open(err)
            return err
        answer = self._port.last_answer
        if isinstance(err, minimalmodbus.NoResponseError):
            self.stats.silent += 1
            return SilentError(
                f"{where}: no answer within {self._port.timeout:g} s",
                f"is the meter powered, its address {address}, the line "
                f"{self.config.baudrate} baud with {self.config.parity} parity, "
                "A and B not swapped?",
            )
        if isinstance(err, minimalmodbus.SlaveReportedException) and len(answer) > 2:
            self.stats.refused += 1
            code = answer[2]
            return RefusedError(
                f"{where}: the meter refused with exception {code} "
                f"({_EXCEPTIONS.get(code, 'unknown')})",
                code,
            )
        self.stats.garbled += 1
        reason = str(err).split(" The", 1)[0].rstrip(".")
        return GarbledError(
            f"{where}: the answer cannot be believed: {reason} (got {answer.hex(' ')})",
            "wrong parity or speed, bad termination or two meters on one address look like this",
        )

    def _settle(self) -> None:
        try:
            self._port.settle()
        except PortError as err:
            self._failed_to_open(err)
