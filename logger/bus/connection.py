"""Opening a line, looking at it, waiting for it, and what to say when it is lost."""

from __future__ import annotations

import errno
import logging
import select
import termios
import time

from logger.bus import hints
from logger.bus.elapsed import elapsed
from logger.bus.faults import explain
from logger.bus.mbap import Mbap
from logger.bus.opening import open_wire
from logger.bus.rivals import Rivals
from logger.bus.sockets import listener
from logger.bus.units import Units
from logger.bus.wire import Wire
from logger.config import Bus as BusConfig
from logger.domain.errors import PortError

log = logging.getLogger(__name__)

SLICE_S = 0.05  # how long one look at the line lasts at most
FAULTS = (OSError, termios.error)  # what ends a line; termios.error is no OSError
_IDLE_S = 2.0  # a connection closed after so long without a question was so for being idle


class Connection:
    """The wire of one bus: open or closed. `heard` tells whether an answer ever came."""

    def __init__(self, config: BusConfig) -> None:
        self._config = config
        self._place = config.network
        # Whether pieces of a frame may come any time before the deadline.
        self.patient = self._place is not None and config.gap is None
        self._listener = listener(self._place)
        self.rivals = Rivals() if self._listener is None else self._listener.rivals
        self.units = Units()
        self.wire: Wire | None = None
        self.by_hand: bool | None = None  # the level of RTS while sending, by our own hand
        self._opened_at, self.heard = 0.0, False

    @property
    def port(self) -> str:
        """The name minimalmodbus keeps the line's last activity under."""
        return self._config.port

    @property
    def baudrate(self) -> int:
        """The line's speed: the silence between frames follows."""
        return self._config.baudrate

    @property
    def is_open(self) -> bool:
        """Whether the port is open."""
        return self.wire is not None

    def open(self, patience_s: float | None = None) -> None:
        """Open the port; a gateway that connects to here is waited for `patience_s`, or the
        bus's timeout. Raises PortError saying what to try."""
        if self.wire is not None:
            return
        given = (self._config, self._listener, self.units, SLICE_S)
        try:
            self.wire, self.by_hand = open_wire(*given, patience_s or self._config.timeout)
        except (*FAULTS, ValueError) as err:
            raise explain(self._config, err) from err
        self._opened_at = elapsed()

    def close(self) -> None:
        """Close the port; the next transaction opens it again."""
        self.drop()
        if self._listener is not None:
            self._listener.close()

    def drop(self) -> None:
        """Close the connection, but go on waiting for a gateway that connects to here."""
        wire, self.wire = self.wire, None
        try:
            if wire is not None:
                wire.close()
        except FAULTS as err:  # it went away, which closes it too
            log.debug("bus %s: closing %s: %s", self._config.name, self.port, err)

    @property
    def arrived(self) -> bool:
        """Whether a gateway has connected to this machine and waits."""
        return self._listener is not None and self._listener.arrived

    @property
    def gone(self) -> bool:
        """Whether the connection was closed while nobody asked, or replaced by a newer."""
        return self.arrived or bool(getattr(self.wire, "gone", False))

    @property
    def proven(self) -> bool:
        """Whether a new connection may bring what a lost one did not: some gateways end one
        that is idle, or after a few questions without an answer."""
        return self._place is not None and (self.heard or elapsed() - self._opened_at > _IDLE_S)

    @property
    def speaks_rtu(self) -> bool:
        """Whether RTU frames came where Modbus TCP was expected."""
        return isinstance(self.wire, Mbap) and self.wire.rtu

    def flush(self) -> None:
        """Wait until everything is written."""
        try:
            self.opened().flush()
        except FAULTS as err:
            raise self.lost(err) from err

    def look_for(self, slice_s: float) -> None:
        """Let one look at the port last `slice_s` at most."""
        port = self.opened()
        if self._place is not None and self._place.scheme == "rfc2217":
            return  # with every change pyserial negotiates the whole port anew
        try:
            if port.timeout != slice_s:
                port.timeout = slice_s
        except FAULTS as err:
            raise self.lost(err) from err

    def receive(self, size: int) -> bytes:
        """Return up to `size` bytes of one look at the port. Raises PortError."""
        try:
            return bytes(self.opened().read(max(size, 1)))
        except FAULTS as err:
            raise self.lost(err) from err

    def wait(self, seconds: float, bell: int | None = None) -> bool:
        """Wait until something comes that nobody asked for; tell whether it may have.

        Waits for `seconds` at most, and not on when the file `bell` can be read. A wire that
        cannot be waited for has to be looked at.
        """
        watched = [] if bell is None else [bell]
        try:
            if self.wire is not None:
                if self.wire.in_waiting:
                    return True
                watched.append(self.wire.fileno())
            elif bell is None:
                time.sleep(seconds)
            ready = select.select(watched, [], [], seconds)[0] if watched else []
        except FAULTS:
            return True  # the look says what it is
        return any(one != bell for one in ready)

    def opened(self) -> Wire:
        """Return the open wire. Raises PortError when the port is closed."""
        if self.wire is None:
            raise PortError(f"bus {self._config.name}: {self.port} is closed")
        return self.wire

    def lost(self, err: Exception) -> PortError:
        """Close the port, which `err` has ended; return the error that says so."""
        hint = hints.lost(self._config, rtu=self.speaks_rtu)
        self.drop()
        if isinstance(err, termios.error) and err.args[:1] == (errno.EINVAL,):
            return explain(self._config, err)
        return PortError(f"bus {self._config.name}: {self.port} went away: {err}", hint)
