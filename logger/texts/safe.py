"""What every text passes: on its way in from outside, and out to whoever reads it."""

from __future__ import annotations

import sys
import threading
import traceback
from types import TracebackType
from typing import Any, TextIO, cast

from logger.texts.clean import clean, cut
from logger.texts.secrets import mask

# What is kept of a server's words: a reason of InfluxDB with the line it is about.
MOST = 500
_MOST_SHOWN = 20_000


def one_line(text: str, most: int = MOST) -> str:
    """Return what a stranger says, fit to be kept: on one line, clean, masked, cut."""
    return cut(" ".join(clean(mask(text)).split()), most)


def printable(text: str, most: int = _MOST_SHOWN) -> str:
    """Return `text`, fit to be shown: clean, masked, cut; its lines stay lines."""
    return cut(clean(mask(text)), most)


def shown(data: Any) -> Any:
    """Return `data`, made of what JSON knows, with every text in it fit to be shown."""
    match data:
        case str():
            return printable(data)
        case dict():
            return {key: shown(value) for key, value in data.items()}
        case list() | tuple():
            return [shown(one) for one in data]
    return data


def guard() -> None:
    """Mask secrets in all that this process writes to standard output and error, and in
    the tracebacks of errors that nobody expected."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Stream):
            setattr(sys, name, cast("TextIO", _Stream(stream)))
    sys.excepthook = _unexpected
    threading.excepthook = _unexpected_in_thread


class _Stream:
    """A text stream behind the mask. Colours pass: they are not text from outside."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def buffer(self) -> _Bytes:
        return _Bytes(self._stream)

    def write(self, text: str) -> int:
        self._stream.write(mask(text) if isinstance(text, str) else text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __iter__(self) -> Any:
        return iter(self._stream)


class _Bytes:
    """The bytes below a text stream, for those who encode themselves."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream.buffer, name)

    def write(self, data: bytes) -> int:
        text = bytes(data).decode("utf-8", "surrogateescape")
        self._stream.flush()
        self._stream.buffer.write(mask(text).encode("utf-8", "surrogateescape"))
        return len(data)


def _unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(printable(text))


def _unexpected_in_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None and not isinstance(found.exc_value, SystemExit):
        name = found.thread.name if found.thread is not None else "unknown"
        sys.stderr.write(f"in thread {name}: ")
        _unexpected(found.exc_type, found.exc_value, found.exc_traceback)
