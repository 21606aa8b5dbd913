"""Log lines: for a person on a terminal, or one JSON object a line for a machine.

Every record passes here, and with it every text from outside: it is cleaned, masked and
cut. An error that nobody expected is told with its cause and the places in this program
it went through, on one line; those in libraries tell a user nothing.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from logger.texts import one_line

Format = Literal["text", "json"]

_PACKAGE = Path(__file__).parent
_MOST_MESSAGE, _MOST_TRACE = 4000, 2000
# Libraries that log what we report ourselves, once, in our own words.
_NOISY = ("urllib3", "influxdb_client", "Rx")


class _Formatter(logging.Formatter):
    """What both forms have in common."""

    def message(self, record: logging.LogRecord) -> str:
        return one_line(record.getMessage(), _MOST_MESSAGE)

    def trace(self, record: logging.LogRecord) -> str:
        """Return the error of the record and where it happened, empty without one."""
        if not record.exc_info or record.exc_info[1] is None:
            return ""
        kind, error, frames = record.exc_info
        name = kind.__qualname__ if kind is not None else "error"
        places = [
            f"{Path(frame.filename).relative_to(_PACKAGE.parent)}:{frame.lineno}"
            for frame in traceback.extract_tb(frames)
            if Path(frame.filename).is_relative_to(_PACKAGE)
        ]
        return one_line(f"{name}: {error} [{', '.join(places)}]", _MOST_TRACE)


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone()
        text = f"{time:%Y-%m-%d %H:%M:%S} {record.levelname:<7} {self.message(record)}"
        trace = self.trace(record)
        return f"{text}: {trace}" if trace else text


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
        }
        if trace := self.trace(record):
            line["trace"] = trace
        return json.dumps(line, ensure_ascii=False)


def before_set_up() -> None:
    """Keep the lines of libraries off the terminal, and show our own in the usual form,
    in commands that do not set up a log."""
    for noisy in _NOISY:
        library = logging.getLogger(noisy)
        library.handlers[:] = [logging.NullHandler()]
        library.propagate = False  # a level would not do: influxdb_client sets it anew
    _all_to_errors(_Text(), logging.WARNING)


def set_up(form: Format = "text", level: int = logging.INFO) -> None:
    """Send all log lines to standard error in the chosen form."""
    before_set_up()
    _all_to_errors(_Json() if form == "json" else _Text(), level)


def _all_to_errors(form: logging.Formatter, level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
