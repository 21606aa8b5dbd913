"""Sweeps a line for meters. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from logger.bus import Bus, bus_of
from logger.bus.hints import no_answer
from logger.config import Bus as BusConfig
from logger.config.load import bus_of_options
from logger.domain.errors import (
    BusError,
    GarbledError,
    ModeError,
    PortError,
    RefusedError,
    SharedLineError,
)
from logger.meter.identify import Found, identify
from logger.meter.requester import is_busy
from logger.meter.twins import noted
from logger.models import Model
from logger.models.plan import Block

# How long an address is waited for. Meters begin to answer after 10 to 30 ms, USB
# adapters add up to 16 ms. Who is slower is heard while the next address is asked.
PATIENCE_S = 0.07
# What a meter that has been heard is waited for.
IDENTIFY_TIMEOUT_S = 1.0
ADDRESSES = range(1, 248)
_BAUDRATES = (9600, 19200, 38400, 57600, 115200, 4800, 2400, 1200, 600, 300)
_PARITIES = ("even", "none", "odd")
# More than so many addresses with garbled answers, or all: that is the line, not a meter.
_SUSPECTS = 10

Progress = Callable[[int, int, int], None]  # done, of how many, meters found


class Stopped(Exception):  # noqa: N818 - somebody's wish, not a failure
    """A sweep was interrupted at `address`; `found` are the meters heard until then."""

    def __init__(self, found: list[Found], address: int) -> None:
        super().__init__(f"stopped at address {address}")
        self.found = found
        self.address = address


@dataclass(slots=True)
class _Sweep:
    bus: Bus
    heard: set[int] = field(default_factory=set)
    suspects: set[int] = field(default_factory=set)
    complaint: BusError | None = None  # what a gateway said or sent in place of a meter

    def complain(self, err: BusError) -> None:
        if self.bus.config.network is not None:
            self.complaint = err

    def try_one(self, address: int, block: Block, patience_s: float) -> None:
        try:
            self.bus.read(address, block, patience_s)
        except (PortError, ModeError):
            raise
        except RefusedError as err:
            self.heard.add(address)
            if is_busy(err):
                self.complain(err)
        except GarbledError as err:
            if not self.bus.only_others:
                self.suspects.add(address)
                self.complain(err)
        except BusError as err:
            if err.hint != no_answer(self.bus.config, address):
                self.complain(err)
        else:
            self.heard.add(address)
        self.heard |= {
            answer.address for answer in self.bus.unsolicited if answer.count == block.count
        }


def all_settings() -> Iterator[tuple[int, str]]:
    """Yield every baud rate and parity that a meter may be set to, the likely ones first."""
    for baudrate in _BAUDRATES:
        for parity in _PARITIES:
            yield baudrate, parity


def line_config(port: str, baudrate: int = 9600, parity: str = "even", **more: object) -> BusConfig:
    """Return the configuration of a bus on `port` for a look at it.

    Raises ConfigError for what no line can have.
    """
    nobody = {"name": "nobody", "model": "pro380", "address": 1, "role": "load"}
    given = {"name": "scan", "port": port, "baudrate": baudrate, "parity": parity}
    return bus_of_options(given | {"timeout": IDENTIFY_TIMEOUT_S, "meter": [nobody]} | more)


def questions(models: Iterable[Model]) -> tuple[Block, ...]:
    """Return what to ask every address: the serial number of each register map."""
    found = {
        Block(register.address, register.length): None
        for model in models
        if model.protocol == "modbus" and (register := model.by_key.get("serial"))
    }
    return tuple(sorted(found, reverse=True))


def sweep(
    config: BusConfig,
    models: Sequence[Model],
    addresses: Sequence[int] = ADDRESSES,
    progress: Progress = lambda *_: None,
    patience_s: float = PATIENCE_S,
) -> list[Found]:
    """Return the meters on the line of `config`, by address.

    Every address is asked for its serial number in each of the register maps; who
    answers is identified. Raises PortError, and Stopped for a KeyboardInterrupt, when
    those who were heard until then have been identified. ModeError ends it at once. Where
    nobody is found behind a gateway that says why, or whose bytes are no answers, that is
    raised as BusError.
    """
    state = _Sweep(bus_of(config))
    blocks = questions(models)
    total = len(blocks) * len(addresses)
    stopped: int | None = None
    found: list[Found] = []
    try:
        state.bus.open()
        for done, (block, address) in enumerate(product(blocks, addresses), start=1):
            try:
                if address not in state.heard:
                    state.try_one(address, block, patience_s)
            except KeyboardInterrupt:
                stopped = address
                break
            progress(done, total, len(state.heard.intersection(addresses)))
        wanted = state.heard.intersection(addresses)
        suspects = state.suspects - wanted
        line_itself = len(suspects) > 1 and wanted | suspects >= set(addresses)
        if len(suspects) <= _SUSPECTS and not line_itself:
            wanted |= suspects
        for address in sorted(wanted):
            try:
                one = identify(state.bus, address, models, heard=address in state.heard)
            except KeyboardInterrupt:
                stopped = address
                break
            except SharedLineError as err:
                one = Found(
                    address=address,
                    baudrate=config.baudrate,
                    parity=config.parity,
                    note=str(err),
                )
            if one is not None:
                found.append(one)
    finally:
        state.bus.close()
    if stopped is not None:
        raise Stopped(found, stopped)
    if not found and state.complaint is not None:
        raise state.complaint
    return noted(found)
