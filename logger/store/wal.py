"""Reads the write-ahead log of a buffer file and tells a damaged one from a torn one.

SQLite stops quietly at the first frame that fails its checksum, and forgets every commit
behind it. After a power cut that is right: the last commit was still on its way to the
medium. Everywhere else it loses commits that were safe, so the log is walked here before
SQLite opens it.

    header  magic, version, page size, sequence, salt (8), checksum (8)      32 bytes
    frame   page number, size after commit or 0, salt (8), checksum (8)      24 bytes
            the page                                                         4096 bytes

Each checksum goes on from the one before. A log that was moved into the database begins
anew under another salt: frames behind its end that carry an older salt are history. A
commit is synced before the next one begins, so only the last one can be torn:

    whole commits, then nothing or an older salt              in order
    the last commit has no end, or a hole                     torn, by a power cut or a kill
    a bad frame, and a commit behind it                       damaged
    the last frame of all, and one changed word explains it   damaged: nothing tears like that
    a bad header, and a frame behind it                       damaged

Layout: sqlite.org, "WAL-mode File Format", sections 1 to 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from logger.store.database import PAGE

HEADER = 32  # bytes
FRAME_HEADER = 24
FRAME = PAGE + FRAME_HEADER
_MAGIC = 0x377F0682  # the last bit tells the byte order of the checksums: 1 is big-endian
_VERSION = 3_007_000
_ALIKE = 6  # of the 8 bytes of a salt: it is damaged; those of another log agree in about 3
_MASK = 0xFFFFFFFF

Sums = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of the log. `ours`: it carries the log's salt, damaged perhaps; `intact`: it
    goes on from the frame before, as that one says of itself; `one_word`: it does not, but
    would if one word of it were another."""

    commit: bool
    ours: bool
    intact: bool
    one_word: bool


def log_of(path: Path) -> Path:
    """Return where the log of a buffer file lies."""
    return path.with_name(path.name + "-wal")


def damage(log: Path) -> str:
    """Return what is wrong with a log, "" if nothing is or there is none.

    A program that writes meanwhile may look like damage: only what two looks in a row find
    alike is believed. Raises OSError if the log cannot be read.
    """
    found = _look(log)
    while found and (again := _look(log)) != found:
        found = again
    return found


def salt(log: Path) -> bytes:
    """Return the salt of the frames that count; b"" if there are none. A damaged header is
    not asked. Raises OSError if the log cannot be read."""
    with log.open("rb") as file:
        header = file.read(HEADER)
        return header[16:24] if header_intact(header) else file.read(FRAME_HEADER)[8:16]


def alike(one: bytes, other: bytes) -> bool:
    """Return whether two salts are the same, but for a little damage."""
    return sum(a == b for a, b in zip(one, other, strict=False)) >= _ALIKE


def header_intact(header: bytes) -> bool:
    """Return whether SQLite would take this for the header of a log."""
    if len(header) < HEADER:
        return False
    magic, version, page_size, _, _, _, *sums = struct.unpack(">8I", header)
    return (
        magic | 1 == _MAGIC | 1
        and (version, page_size) == (_VERSION, PAGE)
        and checksum(header[:24], (0, 0), big=bool(magic & 1)) == tuple(sums)
    )


def checksum(data: bytes, before: Sums, *, big: bool) -> Sums:
    """Return the checksum of `data`, whole pairs of words, going on from `before`."""
    first, second = before
    words = iter(struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data))
    for one, two in zip(words, words, strict=True):
        first = first + one + second & _MASK
        second = second + two + first & _MASK
    return first, second


def _look(log: Path) -> str:
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return ""
    with file:
        header = file.read(HEADER)
        if not header_intact(header):
            first = file.read(FRAME)
            if len(first) == FRAME and any(first):
                return "the header of the log is damaged, and there are frames behind it"
            return ""
        frames = _frames(header, iter(lambda: file.read(FRAME), b""))
        for number, frame in enumerate(frames, start=1):
            if not (frame.ours and frame.intact):
                return _behind(number, [frame, *frames])
    return ""


def _behind(number: int, tail: list[Frame]) -> str:
    """Judge what begins with a bad frame."""
    end = next((at for at, frame in enumerate(tail) if frame.ours and frame.commit), None)
    if end is None:
        return ""
    said = f"frame {number} of the log is damaged, and there are commits behind it"
    if any(frame.ours for frame in tail[end + 1 :]):
        return said
    if not all(frame.ours for frame in tail[:end]):
        return ""
    if tail[0].one_word or any(frame.intact for frame in tail[1 : end + 1]):
        return said.replace("there are commits behind it", "the last commit is whole otherwise")
    return ""


def _frames(header: bytes, found: Iterator[bytes]) -> Iterator[Frame]:
    big = bool(header[3] & 1)
    before = _sums(header[24:])
    for frame in found:
        if len(frame) < FRAME:
            return
        ours = alike(frame[8:16], header[16:24])
        exact = frame[8:16] == header[16:24]
        said = _sums(frame[16:24])
        data = frame[:8] + frame[24:]
        intact = one_word = False
        if ours:
            sums = checksum(data, before, big=big)
            intact = exact and sums == said and any(frame[:4])
            one_word = not intact and (not exact or _one_word(said, sums))
        yield Frame(any(frame[4:8]), ours, intact, one_word)
        before = said


def _one_word(said: Sums, sums: Sums) -> bool:
    """Return whether another value in one word of a frame would make its checksum right.

    Both sums are linear in every word, modulo 2**32. What a word adds to them has a ratio
    of its own, by its place in the frame; the search is for a place with the ratio found.
    """
    first, second = said[0] - sums[0] & _MASK, said[1] - sums[1] & _MASK
    if not first or not second:  # the word is one of the checksum itself
        return True
    a, b, c, d = 1, 0, 0, 1  # what the sums so far add to the first (a, b) and second (c, d)
    for _ in range((8 + PAGE) // 8):
        for of_first, of_second in ((b, d), (a + b, c + d)):
            if (first * of_second - second * of_first) & _MASK == 0:
                return True
        a, b, c, d = a + b & _MASK, a + 2 * b & _MASK, c + d & _MASK, c + 2 * d & _MASK
    return False


def _sums(data: bytes) -> Sums:
    first, second = struct.unpack(">2I", data)
    return first, second
