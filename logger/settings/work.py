"""Reading settings from a meter and changing one: before, write, after, verified."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass

from logger.bus import Bus, bus_of
from logger.config import Bus as BusConfig
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError, PortError, RefusedError, SilentError
from logger.models import Model, Register, Value
from logger.models.decode import value_of
from logger.models.plan import Block, probes
from logger.settings.change import Change
from logger.settings.names import shown

# So often a register is asked for; beside another master, whose questions cost answers, more often.
_TRIES, _TRIES_SHARED = 3, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a change: `after` in words, None when it could not be read back."""

    before: str
    after: str | None
    verified: bool
    error: BusError | None = None


def opened(config: BusConfig) -> Bus:
    """Return the open bus of `config`, for which a gateway may take a minute.

    Raises PortError.
    """
    bus = bus_of(config)
    bus.open()
    return bus


class _Talk:
    """Asks one meter, repeating what got lost."""

    def __init__(self, bus: Bus, address: int, model: Model) -> None:
        self._bus = bus
        self.address = address
        self._probes = probes(model)

    def words(self, register: Register) -> list[int]:
        """Return the words of `register`. Raises BusError after some tries."""
        block, error, tries = Block(register.address, register.length), None, 0
        while tries < (_TRIES_SHARED if self._bus.shared else _TRIES):
            tries += 1
            try:
                if self._bus.unsure(self.address):
                    self._bus.resynchronise(self.address, self._probes)
                return self._bus.read(self.address, block)
            except (PortError, RefusedError):
                raise
            except BusError as err:
                error = err
        assert error is not None
        raise error


def read_settings(
    bus: Bus, meter: MeterConfig, model: Model, registers: Iterable[Register]
) -> Mapping[str, Value]:
    """Return the values of `registers` by key; those the meter refuses are left out.

    Raises BusError when the meter does not answer.
    """
    wanted = tuple(registers)
    bus.open()

    def read() -> Mapping[str, Value]:
        talk = _Talk(bus, meter.address, model)
        found: dict[str, Value] = {}
        for register in wanted:
            try:
                found[register.key] = value_of(register, talk.words(register))
            except (RefusedError, ValueError):
                continue
        return found

    return bus.sharing.certain(meter.address, bus.config.timeout, read)


class Changer:
    """Makes one `change` on the meter of a bus configuration."""

    def __init__(
        self,
        config: BusConfig,
        meter: MeterConfig,
        model: Model,
        change: Change,
        open_bus: Callable[[BusConfig], Bus] = opened,
    ) -> None:
        self._config = config
        self._meter = meter
        self._model = model
        self._change = change
        self._open_bus = open_bus

    def before(self) -> str:
        """Return the present value in words. Raises BusError."""
        bus = self._open_bus(self._config)
        try:
            return self._shown(bus, self._meter.address)
        finally:
            bus.close()

    def occupied(self) -> bool:
        """Return whether somebody is at the address that the meter is to get."""
        if self._change.write.config != "address":
            return False
        _, address = self.follow()
        if address == self._meter.address:
            return False
        bus = self._open_bus(self._config)
        try:
            for _ in range(_TRIES):
                try:
                    bus.read(address, probes(self._model)[0])
                except SilentError:
                    continue
                except PortError:
                    raise
                except BusError:
                    return True
                return True
        finally:
            bus.close()
        return False

    def make(self, before: str) -> Outcome:
        """Write, read back and compare. Raises BusError when the meter refused.

        A write whose answer got lost counts by what is read back.
        """
        change, error = self._change, None
        bus = self._open_bus(self._config)
        try:
            bus.write(
                self._meter.address,
                change.register.address,
                list(change.words),
                change.write.function,
            )
        except (PortError, RefusedError):
            raise
        except BusError as err:
            error = err
        finally:
            bus.close()
        config, address = self.follow()
        try:
            with closing(self._open_bus(config)) as bus:
                after = self._shown(bus, address)
        except BusError as err:
            return Outcome(before=before, after=None, verified=False, error=error or err)
        return Outcome(before=before, after=after, verified=change.made(before, after), error=error)

    def follow(self) -> tuple[BusConfig, int]:
        """Return how the meter is reached after the change."""
        key, value = self._change.write.config, self._plain()
        if key == "address":
            return self._config, int(value)
        if key == "baudrate":
            return self._config.model_copy(update={"baudrate": int(value)}), self._meter.address
        if key == "parity":
            return self._config.model_copy(update={"parity": value}), self._meter.address
        return self._config, self._meter.address

    def config_value(self) -> str:
        """Return the new value as the configuration writes it, empty when it has none."""
        key = self._change.write.config
        if not key:
            return ""
        return f'"{self._plain()}"' if key == "parity" else self._plain()

    def _plain(self) -> str:
        return self._change.wanted.split(" ")[0]

    def _shown(self, bus: Bus, address: int) -> str:
        register = self._change.register
        talk = _Talk(bus, address, self._model)
        words = bus.sharing.certain(address, bus.config.timeout, lambda: talk.words(register))
        return shown(register, value_of(register, words))
