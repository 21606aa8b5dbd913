"""Finds the meters on an M-Bus line: by primary address, then by number. Reads only.

Meters on one address answer at once and spoil each other's answers, and from the factory
all have address 0. So those are found by their numbers: everybody whose number fits a
pattern is selected, and a pattern that brings a collision is taken apart digit by digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from logger.bus.mbus import MbusBus
from logger.bus.mbusverdict import UnreadableError
from logger.config import Bus as BusConfig
from logger.config.addresses import MBUS_BAUDRATE, MBUS_LAST, MBUS_SELECTED
from logger.config.load import bus_of_options
from logger.domain.errors import GarbledError, SilentError
from logger.domain.quantity import TARIFF, Quantity
from logger.mbus.frames import Place
from logger.mbus.records import Telegram
from logger.meter.identify import Found, ratio_text
from logger.meter.telegrams import by_records
from logger.models import Model, Value
from logger.models.record import said
from logger.survey.scan import Progress, Stopped

ADDRESSES = range(MBUS_LAST + 1)
_DIGITS = "0123456789"
_ANYBODY = "F" * 8
_TRIES, _SURE_TRIES = 2, 3
# So many numbers that are heard and cannot be read are noise, or a line that answers to all.
_MOST_SAME = 10


def line_config(port: str, baudrate: int = MBUS_BAUDRATE, parity: str = "even") -> BusConfig:
    """Return the configuration of an M-Bus line on `port` for a look at it.

    Raises ConfigError for what no line can have.
    """
    nobody = {"name": "nobody", "model": "pro380-mb", "address": 0, "role": "load"}
    return bus_of_options(
        {"name": "scan", "protocol": "mbus", "port": port, "baudrate": baudrate}
        | {"parity": parity, "timeout": 0.05, "meter": [nobody]}
    )


def all_settings() -> Iterator[tuple[int, str]]:
    """Yield every baud rate that a meter may be set to, the likely ones first."""
    for baudrate in (MBUS_BAUDRATE, 9600, 4800, 1200, 600, 300):
        yield baudrate, "even"


class Search:
    """A look at one line: `found` are the meters that were heard alone."""

    def __init__(self, bus: MbusBus, models: Sequence[Model], patience_s: float) -> None:
        self.found: list[Found] = []
        self.uncertain: list[Found] = []  # heard at an address, but not under their number
        self.crowded: list[int] = []  # addresses that several meters have, or a bad one
        self.same: list[str] = []  # numbers that several meters have
        self.noisy = False  # whether every number seemed to be there
        self._bus = bus
        self._models = models
        self._patience_s = patience_s

    def primary(self, address: int) -> None:
        """Ask who is at `address`."""
        try:
            if not any(self._bus.ping(address, self._patience_s) for _ in range(_TRIES)):
                return
            telegram = self._bus.request(Place(address), self._patience_s, _TRIES)
        except UnreadableError as err:
            self._strange(address, err)
            return
        except GarbledError:
            self.crowded.append(address)
            return
        except SilentError:
            return
        found = describe(self._bus.config, address, telegram, self._models)
        try:
            self._confirm(telegram.serial)
        except GarbledError:
            note = "it does not answer to its number: two meters on one address look like this"
            self.uncertain.append(replace(found, note=note))
        else:
            self.found.append(found)

    def secondary(self, pattern: str = _ANYBODY) -> Iterator[str]:
        """Find everybody whose number fits `pattern`; yield each pattern that was asked."""
        if self.noisy:
            return
        yield pattern
        try:
            self._select(pattern, _TRIES if pattern == _ANYBODY else 1)
        except SilentError:
            return
        except GarbledError:  # several acknowledged, not quite together
            yield from self._apart(pattern)
            return
        try:
            telegram = self._bus.request(Place(MBUS_SELECTED, pattern), self._patience_s, _TRIES)
            self._confirm(telegram.serial)
        except UnreadableError as err:
            if not self._strange(MBUS_SELECTED, err):
                yield from self._apart(pattern)
            return
        except (SilentError, GarbledError):
            yield from self._apart(pattern)
            return
        if telegram.serial not in self.serials():
            config = self._bus.config
            self.found.append(describe(config, MBUS_SELECTED, telegram, self._models))

    def _apart(self, pattern: str) -> Iterator[str]:
        """Search behind `pattern`, which several meters fit, digit by digit."""
        if "F" not in pattern:
            self.same.append(pattern)
            self.noisy = len(self.same) > _MOST_SAME
            return
        at = pattern.index("F")
        for digit in _DIGITS:
            yield from self.secondary(pattern[:at] + digit + pattern[at + 1 :])

    def _confirm(self, serial: str) -> None:
        """Raise GarbledError unless somebody has the number `serial`.

        Answers that come together are one bit by bit where a 0 wins, and the sum of two
        that differ in little more than the number can be right for a number of nobody.
        """
        try:
            self._select(serial, _SURE_TRIES)
        except (SilentError, ValueError):
            raise GarbledError(f"nobody has the number {serial}: two answers in one") from None

    def _select(self, pattern: str, tries: int) -> None:
        """Select whoever fits `pattern`; silence is believed after `tries` of it."""
        while True:
            tries -= 1
            try:
                self._bus.select(pattern, self._patience_s)
            except SilentError:
                if tries < 1:
                    raise
            else:
                return

    def _strange(self, address: int, err: UnreadableError) -> bool:
        """Note a meter whose answer is whole and not understood; tell if it is surely one."""
        config = self._bus.config
        found = Found(
            address=address,
            baudrate=config.baudrate,
            parity=config.parity,
            serial=err.serial,
            note=f"a meter whose answer is not understood: {err.reason}",
        )
        try:
            self._confirm(err.serial)
        except GarbledError:
            if address != MBUS_SELECTED:
                self.uncertain.append(found)
            return False
        if err.serial not in self.serials():
            self.found.append(found)
        return True

    def serials(self) -> set[str]:
        """Return the numbers of the meters found so far."""
        return {one.serial for one in self.found}


def describe(config: BusConfig, address: int, telegram: Telegram, models: Sequence[Model]) -> Found:
    """Return who sent `telegram`, by its header and records."""
    model = by_records(telegram, models)
    values: dict[Quantity, Value] = {}
    note = f"a meter of {telegram.manufacturer}: there is no table for its records"
    if model is not None:
        values = {
            one.row.quantity: one.value for one in said(model, telegram) if one.value is not None
        }
        note = "" if not telegram.status else f"its status is {telegram.status:02X}: error"
    return Found(
        address=address,
        baudrate=config.baudrate,
        parity=config.parity,
        model=model.name if model else "",
        sold_as=model.title.partition(",")[0].partition(" (")[0] if model else "",
        serial=telegram.serial,
        software_version=str(telegram.version),
        ct_ratio=ratio_text(model, values) if model else "",
        tariff=f"T{values[TARIFF]}" if TARIFF in values else "",
        note=note,
    )


def sweep(
    config: BusConfig,
    models: Sequence[Model],
    addresses: Sequence[int] = ADDRESSES,
    progress: Progress = lambda *_: None,
    patience_s: float = 0.05,
) -> list[Found]:
    """Return the meters on the line of `config`: by address first, then by number.

    A meter whose address others have, too, has address 253 here: it is reached by its
    number. Raises PortError, and Stopped for a KeyboardInterrupt.
    """
    bus = MbusBus(config)
    search = Search(bus, models, patience_s)
    address = addresses[0]
    try:
        for done, address in enumerate(addresses, start=1):
            search.primary(address)
            progress(done, len(addresses) + 1, len(search.found))
        address = MBUS_SELECTED
        for _ in search.secondary():
            progress(len(addresses), len(addresses) + 1, len(search.found))
    except KeyboardInterrupt:
        raise Stopped(_ordered(search, config), address) from None
    finally:
        bus.close()
    return _ordered(search, config)


def _ordered(search: Search, config: BusConfig) -> list[Found]:
    found = sorted(search.found, key=lambda one: (one.address, one.serial))
    by_number = [one for one in found if one.address == MBUS_SELECTED]
    unread = "answers that cannot be read: several meters with one number, or a bad line"
    remarks = [(MBUS_SELECTED, one, unread) for one in search.same if one not in search.serials()]
    if not by_number and not remarks:  # nothing explains what was heard there
        remarks = [(address, "", unread) for address in search.crowded]
        found += search.uncertain
    if search.noisy:
        noise = (
            "something answers to every number: noise, a wrong speed, or a converter that sends "
            "on its own; the search by number was given up"
        )
        remarks = [(MBUS_SELECTED, "", noise)]
    for address, number, note in remarks:
        found.append(
            Found(
                address=address,
                baudrate=config.baudrate,
                parity=config.parity,
                serial=number,
                note=note,
            )
        )
    return found
