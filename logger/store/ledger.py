"""The books: how many points came, and where each of them is. Pure.

They lie in the buffer file itself and change in the same transaction as the rows, so
that read = delivered + waiting + set aside + dropped at every moment.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from logger.domain.datamodel import Lane

DAYS_KEPT = 8  # of the bytes written a day


@dataclass(frozen=True, slots=True)
class LaneBooks:
    """Points of one lane. `drops` names why points were dropped: "limit", "age",
    "memory", "discarded", "damaged", "invalid", "no time"."""

    read: int = 0
    delivered: int = 0
    waiting: int = 0
    set_aside: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)

    @property
    def dropped(self) -> int:
        """All dropped points, whatever the reason."""
        return sum(self.drops.values())

    @property
    def balanced(self) -> bool:
        """True if every point that was read is somewhere."""
        return self.read == self.delivered + self.waiting + self.set_aside + self.dropped

    def __add__(self, other: LaneBooks) -> LaneBooks:
        return LaneBooks(
            self.read + other.read,
            self.delivered + other.delivered,
            self.waiting + other.waiting,
            self.set_aside + other.set_aside,
            dict(Counter(self.drops) + Counter(other.drops)),
        )


@dataclass(frozen=True, slots=True)
class Books:
    """The books of all lanes."""

    lanes: Mapping[Lane, LaneBooks]

    @property
    def total(self) -> LaneBooks:
        """The sum over all lanes."""
        total = LaneBooks()
        for lane in self.lanes.values():
            total += lane
        return total

    @property
    def balanced(self) -> bool:
        """True if the books of every lane balance."""
        return all(lane.balanced for lane in self.lanes.values())


@dataclass(frozen=True, slots=True)
class Scrub:
    """How far the check of the whole file is: the last row that was looked at, in a pass
    that began at `began_ms` and has met so many rows and damaged ones so far; then the same
    of the last whole pass, which ended at `done_ms` (0: there was none yet)."""

    after: int = 0
    began_ms: int = 0
    rows: int = 0
    damaged: int = 0
    done_ms: int = 0
    done_rows: int = 0
    done_damaged: int = 0


_SCRUB = tuple(one.name for one in fields(Scrub))


@dataclass(slots=True)
class Account:
    """The books of one lane while they change."""

    read: int = 0
    delivered: int = 0
    waiting: int = 0
    set_aside: int = 0
    drops: Counter[str] = field(default_factory=Counter)

    def drop(self, reason: str, points: int, *, waiting: bool = True) -> None:
        """Book `points` as dropped; they were waiting, or else set aside."""
        if waiting:
            self.waiting -= points
        else:
            self.set_aside -= points
        self.drops[reason] += points

    def frozen(self) -> LaneBooks:
        """Return the books as they stand."""
        drops = {reason: count for reason, count in self.drops.items() if count}
        return LaneBooks(self.read, self.delivered, self.waiting, self.set_aside, drops)


@dataclass(slots=True)
class Ledger:
    """What the buffer knows about itself, kept in one checked row of the file.

    `commit` counts the commits, `next_id` is the next row's number (never used twice),
    `thinned_id` the last fast row that was thinned, `counters_id` the row up to which of the
    main lane only rows with counters wait, `written` the bytes that went to the
    medium by UTC day, `clean` whether the file was closed in order, `scrub` how far the
    check of the whole file is, `stamped_ms` the time by the logger's clock when it last
    committed points of its own, None when not known. `next_parked` is the number of the
    next reading without a time, up to `released_id` they became rows. `journal` names the
    journal of this file (8 bytes, hexadecimal), `folded` is the last of its commits that is
    in the tables (see `frames`), `journal_size` the bytes of that file, 0 when not known.
    """

    commit: int = 0
    next_id: int = 1
    thinned_id: int = 0
    clean: bool = True
    stamped_ms: int | None = None
    next_parked: int = 1
    released_id: int = 0
    written: dict[str, int] = field(default_factory=dict)
    lanes: dict[Lane, Account] = field(
        default_factory=lambda: {lane: Account() for lane in Lane},
    )
    scrub: Scrub = field(default_factory=Scrub)
    counters_id: int = 0
    journal: str = ""
    folded: int = 0
    journal_size: int = 0

    def books(self) -> Books:
        """Return the books as they stand."""
        return Books({lane: account.frozen() for lane, account in self.lanes.items()})

    def wrote(self, day: str, count: int) -> None:
        """Book `count` bytes written on `day`; old days are forgotten."""
        self.written[day] = self.written.get(day, 0) + count
        for old in sorted(self.written)[:-DAYS_KEPT]:
            del self.written[old]

    def copy(self) -> Ledger:
        """Return a ledger that says the same and changes by itself."""
        lanes = {
            lane: Account(one.read, one.delivered, one.waiting, one.set_aside, one.drops.copy())
            for lane, one in self.lanes.items()
        }
        found = Ledger.__new__(Ledger)  # several times a commit: quicker than `replace`
        for name in _LEDGER:
            setattr(found, name, getattr(self, name))
        found.written, found.lanes = self.written.copy(), lanes
        return found

    def data(self) -> dict[str, Any]:
        """Return the ledger as it is in JSON."""
        return {
            "commit": self.commit,
            "next_id": self.next_id,
            "thinned_id": self.thinned_id,
            "clean": self.clean,
            "stamped_ms": self.stamped_ms,
            "next_parked": self.next_parked,
            "released_id": self.released_id,
            "written": self.written,
            "lanes": {
                lane.value: {
                    "read": account.read,
                    "delivered": account.delivered,
                    "waiting": account.waiting,
                    "set_aside": account.set_aside,
                    "drops": dict(account.drops),
                }
                for lane, account in self.lanes.items()
            },
            "scrub": {name: getattr(self.scrub, name) for name in _SCRUB},
            "counters_id": self.counters_id,
            "journal": self.journal,
            "folded": self.folded,
            "journal_size": self.journal_size,
        }

    def dumps(self) -> str:
        """Return the ledger as JSON."""
        return json.dumps(self.data(), separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Ledger:
        """Return the ledger in `text`. Raises ValueError if it is not one."""
        try:
            data = json.loads(text)
            lanes = {lane: _account(data["lanes"][lane.value]) for lane in Lane}
            stamped = data.get("stamped_ms")
            return cls(
                int(data["commit"]),
                int(data["next_id"]),
                int(data["thinned_id"]),
                bool(data["clean"]),
                None if stamped is None else int(stamped),
                int(data.get("next_parked", 1)),
                int(data.get("released_id", 0)),
                {str(day): int(count) for day, count in data["written"].items()},
                lanes,
                Scrub(**{str(name): int(value) for name, value in data.get("scrub", {}).items()}),
                int(data.get("counters_id", 0)),
                bytes.fromhex(data.get("journal", "")).hex(),
                int(data.get("folded", 0)),
                int(data.get("journal_size", 0)),
            )
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as err:
            raise ValueError(f"not a ledger: {err}") from err


_LEDGER = tuple(one.name for one in fields(Ledger))


def _account(data: Mapping[str, Any]) -> Account:
    drops = Counter({str(reason): int(count) for reason, count in data["drops"].items()})
    read, delivered, waiting, set_aside = (
        int(data[name]) for name in ("read", "delivered", "waiting", "set_aside")
    )
    return Account(read, delivered, waiting, set_aside, drops)


def checksum(text: str) -> int:
    """Return the checksum that is stored beside the ledger."""
    return zlib.crc32(text.encode("utf-8", "surrogateescape"))
