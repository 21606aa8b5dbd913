"""Every error this program raises on purpose, and what each one means.

LoggerError                 has a message for the user and a hint: what to try
├── ConfigError             the configuration file cannot be used
├── ModelError              a register table cannot be used
├── BusError                a transaction on the line failed
│   ├── PortError           the port cannot be opened, or went away
│   │   └── SettingsError   it cannot be set to this speed or parity
│   ├── SilentError         nobody answered
│   ├── GarbledError        an answer came that cannot be believed
│   │   └── ModeError       it is framed for the other kind of port
│   ├── SharedLineError     it cannot be told from one to another master
│   ├── EncodingError       the meter is set to send numbers in an unknown form
│   └── RefusedError        the meter answered with a Modbus exception
│       └── StrangerError   it answers everything so: another device
├── BufferFileError         the buffer file cannot be used
│   ├── BufferBusyError     another process has it
│   ├── BufferDiskError     the disk is full, read-only or failing
│   ├── BufferCorruptError  the file is damaged
│   └── BufferSuspectError  the file is not as it was left: it is to be checked
├── ExportError             a file cannot be written
├── HttpError               a server gave no whole answer
│   ├── HttpTimeoutError    none within the time allowed
│   └── HttpTlsError        it cannot be spoken to safely
├── MqttError               a broker cannot be reached, or ends the connection
├── PriceError              prices cannot be read, or the kept ones are damaged
├── ReportError             a report cannot be made
├── SimulationError         the virtual line cannot be set up
├── StalledError            a part of the running logger ended or hangs
└── StatusError             no running logger could be asked

"The meter refused" (RefusedError) and "the bus is silent" (SilentError) are different
facts: only the second one suggests looking at the wiring. Outcomes of a delivery are
values, not exceptions: an unreachable server is a normal state of a logger.
"""

from __future__ import annotations

from collections.abc import Iterable

from logger.texts import printable


class LoggerError(Exception):
    """Base of all errors above. `hint` says what to try; it may be empty. Both are fit to
    be shown, whatever was put into them."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = printable(message)
        self.hint = printable(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(LoggerError):
    """The configuration file is missing, unreadable or wrong."""


class ModelError(LoggerError):
    """A register table is missing or wrong."""


class BusError(LoggerError):
    """A transaction on the line failed."""


class PortError(BusError):
    """The port cannot be opened, or went away while in use."""


class SettingsError(PortError):
    """The port cannot be set to this speed or parity."""


class SilentError(BusError):
    """No byte came back within the timeout."""


class GarbledError(BusError):
    """An answer came with a wrong checksum, length, address or function."""


class ModeError(GarbledError):
    """A gateway speaks Modbus TCP where RTU frames were expected, or the other way round."""


class SharedLineError(BusError):
    """Another master uses the line, and its answers cannot be told from our own."""


class EncodingError(BusError):
    """The meter is set to send numbers in a form that its manual does not define."""


class RefusedError(BusError):
    """The meter answered with a Modbus exception; `code` is its number."""

    def __init__(self, message: str, code: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class StrangerError(RefusedError):
    """The device refuses everything that a meter of this maker answers."""


class BufferFileError(LoggerError):
    """The buffer file cannot be used."""


class BufferBusyError(BufferFileError):
    """Another process is using the buffer file."""


class BufferDiskError(BufferFileError):
    """The disk under the buffer file is full, read-only or failing."""


class BufferCorruptError(BufferFileError):
    """The buffer file is damaged."""


class BufferSuspectError(BufferFileError):
    """SQLite refuses what it never refuses in a sound file of this program: it is damaged,
    or another program changed it."""


class ExportError(LoggerError):
    """An export cannot be written."""


class HttpError(LoggerError):
    """A server cannot be reached, or its answer broke off, or is too long to be one."""


class HttpTimeoutError(HttpError):
    """The answer was not complete within the time allowed."""


class HttpTlsError(HttpError):
    """The server does not speak TLS, or its certificate cannot be trusted."""


class MqttError(LoggerError):
    """A broker of MQTT cannot be reached, refuses, or ended the connection; `kind` says in
    one or two words which of these."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind


class ReportError(LoggerError):
    """A report cannot be made: no data, or the database cannot be asked."""


class PriceError(LoggerError):
    """A file of prices cannot be read, or the kept ones cannot be used."""


class SimulationError(LoggerError):
    """The virtual line cannot be set up."""


class StalledError(LoggerError):
    """A part of the running logger ended or hangs, and cannot be started again in it."""


class StatusError(LoggerError):
    """No running logger could be asked for its state."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name of `known` that `name` may be a slip of; None without one."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def suggestion(name: str, known: Iterable[str], listed: str) -> str:
    """Return the hint of an error about an unknown name: what of `known` is near to it, or,
    after `listed`, all that is known."""
    names = list(known)
    near = nearest(name, names)
    return f"did you mean {near!r}?" if near else f"{listed}{', '.join(names)}"
