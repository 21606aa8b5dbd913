"""The file beside the buffer in which imported prices are kept, whatever happens to points.

Text, a line for each price: what is priced, from when to when (UTC), the price of a kWh.

    # inepro-logger prices, EUR a kWh
    import,2026-01-01T00:00Z,2026-01-01T01:00Z,0.08512
    # 1 lines, SHA-256 6b0e...

It is written whole under another name and then renamed: it is the old one or the new one. The
last line tells whether it is complete and as it was written.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path

from logger.disk.durable import replace
from logger.domain.errors import PriceError
from logger.domain.limits import QUARTER_MS
from logger.domain.spot import PriceKind, Spot, Spots, quarters, runs
from logger.domain.timespan import TimeSpan

_HEAD = "# inepro-logger prices, {} a kWh"
_FORM = "%Y-%m-%dT%H:%MZ"
# So often, with such pauses, another command is waited for: it may make the costs of a year.
_TRIES, _PAUSE_S = 6000, 0.1


def beside(buffer: Path) -> Path:
    """Return where the prices are that belong to a buffer file."""
    return buffer.with_name("prices.csv")


def load(path: Path, currency: str) -> Spots:
    """Return the kept prices of a kWh; none if there is no file.

    Raises PriceError if the file is damaged, or of another currency.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as err:
        raise _damaged(path, f"not UTF-8: {err}") from err
    except OSError as err:
        raise PriceError(f"{path}: {err.strerror}", "check the permissions") from err
    first, *lines = text.split("\n") if text else [""]
    if lines and not lines[-1]:
        lines.pop()
    if first != _HEAD.format(currency):
        if first.startswith(_HEAD.split("{", maxsplit=1)[0]):
            raise PriceError(
                f"{path}: its prices are {first[2:]!r}, prices.currency is {currency!r}",
                "set prices.currency as it was, or move the file away and import prices anew",
            )
        raise _damaged(path, f"line 1: expected {_HEAD.format(currency)!r}, not {first[:60]!r}")
    if not lines or lines[-1] != _seal(lines[:-1]):
        raise _damaged(path, "its last line does not fit to what is before it")
    found: dict[PriceKind, dict[int, Decimal]] = {}
    for number, line in enumerate(lines[:-1], start=2):
        try:
            kind, start, end, price = line.split(",")
            own = found.setdefault(PriceKind(kind), {})
            own.update(dict.fromkeys(quarters((_moment(start), _moment(end))), Decimal(price)))
        except (ValueError, InvalidOperation) as err:
            raise _damaged(path, f"line {number}: {line[:80]!r}") from err
    return found


def save(path: Path, spots: Spots, currency: str) -> None:
    """Put the prices in place of those that are kept. Raises PriceError."""
    lines = [
        f"{kind},{_text(start)},{_text(end)},{price:f}"
        for kind, spot in sorted(spots.items())
        for (start, end), price in runs(spot)
    ]
    text = "\n".join([_HEAD.format(currency), *lines, _seal(lines), ""])
    try:
        replace(path, (text,))
    except OSError as err:
        raise PriceError(
            f"{path}: cannot be written: {err.strerror}; the prices are as they were",
            f"is there room, and may this user write into {path.parent}?",
        ) from err


@contextlib.contextmanager
def changing(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Let no other command change the prices, or what is made of them, meanwhile.

    While another one does, wait for it, and call `waiting` before. Raises PriceError.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as err:
        raise PriceError(
            f"{lock}: {err.strerror}", f"does {path.parent} exist, and may this user write there?"
        ) from err
    try:
        for tries in range(_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not tries:
                    waiting()
                time.sleep(_PAUSE_S)
        else:
            raise PriceError(
                f"{path}: another command has been changing the prices for "
                f"{round(_TRIES * _PAUSE_S / 60)} minutes",
                "does one hang? End it, then do this again",
            )
        yield
    finally:
        os.close(file)


def owed(path: Path) -> TimeSpan | None:
    """Return the span of which the costs are still to be made, with the prices at `path`: an
    import ended before they were. None if there is none, or nobody can tell."""
    try:
        first, last = _owing(path).read_text(encoding="utf-8").split()
        return int(first), int(last)
    except (OSError, ValueError):
        return None


def owe(path: Path, span: TimeSpan) -> None:
    """Note that the costs of `span` are still to be made. Raises PriceError."""
    try:
        replace(_owing(path), (f"{span[0]} {span[1]}\n",))
    except OSError as err:
        raise PriceError(
            f"{_owing(path)}: cannot be written: {err.strerror}; the prices are as they were",
            f"is there room, and may this user write into {path.parent}?",
        ) from err


def paid(path: Path, span: TimeSpan) -> None:
    """Note that the costs of `span` are made: if more are still to be made they stay noted."""
    due = owed(path)
    if due is not None and span[0] <= due[0] and due[1] <= span[1]:
        with contextlib.suppress(OSError):
            _owing(path).unlink(missing_ok=True)


def _owing(path: Path) -> Path:
    return path.with_name(f"{path.name}.owed")


def merged(old: Spots, kind: PriceKind, new: Spot) -> tuple[Spots, int]:
    """Return the prices with new ones, which replace older ones, and how many quarter hours
    got another price than they had."""
    before = old.get(kind, {})
    changed = sum(at in before and before[at] != price for at, price in new.items())
    return {**old, kind: {**before, **new}}, changed


def without(old: Spots, kinds: Collection[PriceKind], start: int, end: int) -> tuple[Spots, int]:
    """Return the prices without those from `start` to `end`, and how many quarter hours went."""
    left: dict[PriceKind, Spot] = {}
    gone = 0
    for kind, spot in old.items():
        own = {at: p for at, p in spot.items() if kind not in kinds or not start <= at < end}
        gone += len(spot) - len(own)
        if own:
            left[kind] = own
    return left, gone


def _seal(lines: list[str]) -> str:
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"# {len(lines)} lines, SHA-256 {digest}"


def _text(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime(_FORM)


@lru_cache(maxsize=4)  # where one price ends the next one begins
def _moment(text: str) -> int:
    found = round(dt.datetime.fromisoformat(text).timestamp() * 1000)
    if found % QUARTER_MS or not text.endswith("Z"):
        raise ValueError(text)
    return found


def _damaged(path: Path, what: str) -> PriceError:
    return PriceError(
        f"{path}: damaged: {what}", "move it away and import the prices again: no point is lost"
    )
