"""Reads a buffer file as docs/buffer-format.md describes it, with nothing of this program."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

STATES = ("waiting", "delivered", "set aside")
Found = dict[tuple[str, str], list[str]]


def read(path: Path) -> Found:
    """Return all lines by lane and state."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (text,) = database.execute("SELECT value FROM ledger WHERE id=1").fetchone()
        rows = database.execute(
            "SELECT id, lane, state, points, first_ms, last_ms, crc, body FROM rows"
        ).fetchall()
    books = json.loads(text)
    states: dict[int, list[Any]] = {}
    for number, lane, state, points, first, last, crc, body in rows:
        stored = body if isinstance(body, bytes) else body.encode()
        head = f"{number}|{lane}|{points}|{first}|{last}|".encode()
        assert zlib.crc32(head + stored) == crc
        states[number] = [lane, state, unpack(body) if isinstance(body, bytes) else body]
    beside = path.with_name(path.name + ".journal")
    journal = beside.read_bytes() if beside.exists() else b""
    for said, bodies in commits(journal, bytes.fromhex(books["journal"]), books["folded"]):
        at = 0
        for number, lane, _points, _first, _last, _counters, _crc, size in said["rows"]:
            states[number] = [lane, 0, bodies[at : at + size].decode()]
            at += size
        number = 0
        for step in said["delivered"]:
            number += step
            states[number][1] = 1
    found: Found = defaultdict(list)
    for lane, state, body in states.values():
        found[lane, STATES[state]] += body.split("\n")
    return found


def lines(path: Path) -> list[str]:
    """Return all lines of a file that nobody changes meanwhile."""
    return [line for found in read(path).values() for line in found]


def commits(data: bytes, salt: bytes, folded: int) -> list[tuple[dict[str, Any], bytes]]:
    """Return the commits that are not in the tables, in order."""
    found = {}
    for at in range(0, len(data) - 4095, 4096):
        magic, crc, owner, number, _now, length, packed = struct.unpack_from("<4sI8sQqII", data, at)
        end = at + 40 + length
        if magic != b"IEJ1" or owner != salt or number <= folded:
            continue
        if zlib.crc32(data[at + 8 : end]) != crc:
            continue
        content = zlib.decompress(data[at + 40 : end]) if packed else data[at + 40 : end]
        size = int.from_bytes(content[:4], "little")
        found[number] = (json.loads(content[4 : 4 + size]), content[4 + size :])
    assert sorted(found) == list(range(folded + 1, folded + 1 + len(found)))
    return [found[number] for number in sorted(found)]


def unpack(data: bytes) -> str:
    """Return the text of a packed body."""
    body = zlib.decompress(data[1:])
    if data[0] == 1:
        return body.decode()
    assert data[0] == 2
    at = 0

    def u32() -> int:
        nonlocal at
        at += 4
        return int.from_bytes(body[at - 4 : at], "little")

    patterns = []
    for _ in range(u32()):
        size = u32()
        patterns.append(body[at : at + size].decode())
        at += size
    count = u32()
    order = [body[at + n] + 256 * body[at + count + n] for n in range(count)]
    at += 2 * count
    lines = [""] * count
    for number, pattern in enumerate(patterns):
        places = [place for place, of in enumerate(order) if of == number]
        pieces = pattern.split("\x01")
        for place in places:
            lines[place] = pieces[0]
        for piece in pieces[1:]:
            most, at = body[at], at + 1
            digits, at = body[at : at + len(places)], at + len(places)
            width, at = body[at], at + 1
            value = 0
            for index, place in enumerate(places):
                step = sum(body[at + w * len(places) + index] << 8 * w for w in range(width))
                value += -(step + 1) // 2 if step % 2 else step // 2
                lines[place] += decimal(value, most, digits[index]) + piece
            at += width * len(places)
    return "\n".join(lines)


def decimal(value: int, most: int, digits: int) -> str:
    """Return `value` units of 10**-most with so many digits behind the point."""
    text = str(abs(value)).rjust(most + 1, "0")
    whole, behind = text[: len(text) - most], text[len(text) - most :][:digits]
    return ("-" if value < 0 else "") + whole + ("." + behind if digits else "")
