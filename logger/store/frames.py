"""The frames of the journal of a buffer file, to bytes and back. Pure.

A journal is a file of fixed size that lies beside the buffer file and takes what was
committed since the last time that rows went into the database. It is a run of frames; each
begins at a multiple of 4096 bytes, so that a commit writes whole blocks and never touches
those of an older one. All integers are little-endian:

    0   4  "IEJ1"
    4   4  CRC-32 (zlib) of all that follows, up to the end of the content
    8   8  the salt of the buffer file, in hexadecimal `journal` of its books
    16  8  sequence number: one more than that of the commit before
    24  8  when it was committed, milliseconds UTC, signed
    32  4  length of the content
    36  4  1 if the content is a zlib stream, else 0
    40     content, then zeros up to a multiple of 4096

Content: u32 length of a JSON text, the JSON text (UTF-8), then the bodies of the rows.

    ledger     the books as they are with this commit (see `store.ledger`)
    rows       a list for each new row: number, lane, points, first and last time (ms), 1 if
               it holds energy counters, CRC-32 as in table `rows`, bytes of its body
    delivered  numbers of rows that were delivered: the first, then differences
    parked     a list for each reading without a time: number, boot, moment (ms), body

What counts are the frames with a number above `folded` of the books in the database. They
follow each other without a gap, from the beginning of the file or from behind frame
`folded`; what lies elsewhere is history. Before a frame is written, the one before is on the
medium. So only the last one can be torn; a bad one with another behind it is damage, and so
is a last one that one changed byte explains: nothing tears like that.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from logger.domain.datamodel import Lane
from logger.store.ledger import Ledger
from logger.store.row import Parked, StoredRow

BLOCK = 4096
HEAD = struct.Struct("<4sI8sQqII")
MAGIC = b"IEJ1"
_COVERED = 8  # where the checksum begins
_LARGEST = 64 * 1024**2
_LANES = {lane.value: lane for lane in Lane}
_SHORT = (",", ":")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of the journal; `ledger` is what the books are with it."""

    seq: int
    now_ms: int
    ledger: Ledger
    rows: Sequence[StoredRow] = ()
    counters: Sequence[bool] = ()
    delivered: Sequence[int] = ()
    parked: Sequence[Parked] = ()
    size: int = field(default=0, compare=False)  # bytes of the frame


def encode(salt: bytes, commit: Commit) -> bytes:
    """Return the frame of a commit, whole blocks."""
    bodies = [row.body.encode("utf-8", "surrogateescape") for row in commit.rows]
    before = 0
    steps = []
    for number in sorted(commit.delivered):
        steps.append(number - before)
        before = number
    head = json.dumps(
        {
            "ledger": commit.ledger.data(),
            "rows": [
                [r.id, r.lane.value, r.points, r.first_ms, r.last_ms, int(c), r.crc, len(body)]
                for r, c, body in zip(commit.rows, commit.counters, bodies, strict=True)
            ],
            "delivered": steps,
            "parked": [[one.id, one.boot, one.moment_ms, one.body] for one in commit.parked],
        },
        separators=_SHORT,
    ).encode()
    content = b"".join((struct.pack("<I", len(head)), head, *bodies))
    packed = len(content) > BLOCK - HEAD.size
    if packed:
        content = zlib.compress(content, 1)
    rest = HEAD.pack(MAGIC, 0, salt, commit.seq, commit.now_ms, len(content), int(packed))
    rest = rest[_COVERED:] + content
    frame = MAGIC + struct.pack("<I", zlib.crc32(rest)) + rest
    return frame.ljust(-(-len(frame) // BLOCK) * BLOCK, b"\0")


def size_of(head: bytes) -> int:
    """Return the bytes that a frame takes which begins with `head`; 0 if it is none."""
    if len(head) < HEAD.size:
        return 0
    magic, _, _, _, _, length, _ = HEAD.unpack_from(head)
    if magic != MAGIC or length > _LARGEST:
        return 0
    return -(-(HEAD.size + int(length)) // BLOCK) * BLOCK


def mark_of(head: bytes) -> tuple[bytes, int]:
    """Return salt and sequence number that a frame says of itself, unchecked."""
    return (head[8:16], int.from_bytes(head[16:24], "little")) if size_of(head) else (b"", 0)


def intact(frame: bytes, salt: bytes | None = None) -> bool:
    """Return whether `frame` begins with a whole frame, of this salt if one is given."""
    size = size_of(frame)
    if not size or len(frame) < size or (salt is not None and frame[8:16] != salt):
        return False
    _, crc, _, _, _, length, _ = HEAD.unpack_from(frame)
    return bool(zlib.crc32(memoryview(frame)[_COVERED : HEAD.size + length]) == crc)


def decode(frame: bytes) -> Commit:
    """Return what an intact frame says. Raises ValueError if nobody can have written it."""
    _, _, _, seq, now_ms, length, packed = HEAD.unpack_from(frame)
    content = frame[HEAD.size : HEAD.size + length]
    try:
        if packed:
            content = zlib.decompress(content)
        end = 4 + int.from_bytes(content[:4], "little")
        head = json.loads(content[4:end])
        rows, counters = [], []
        for number, lane, points, first_ms, last_ms, counted, crc, size in head["rows"]:
            body = content[end : end + size].decode("utf-8", "surrogateescape")
            end += size
            rows.append(StoredRow(number, _LANES[lane], points, first_ms, last_ms, crc, body))
            counters.append(bool(counted))
        number, delivered = 0, []
        for step in head["delivered"]:
            number += step
            delivered.append(number)
        parked = [Parked(*values) for values in head["parked"]]
        ledger = Ledger.loads(json.dumps(head["ledger"]))
    except (KeyError, TypeError, zlib.error, RecursionError) as err:
        raise ValueError(f"not a commit: {err}") from err
    return Commit(seq, now_ms, ledger, rows, counters, delivered, parked, size_of(frame))


def damage(data: bytes, salt: bytes, folded: int) -> str:
    """Return what is wrong with a whole journal, "" if nothing is."""
    last, end = folded, {0}
    for at, frame in _intact(data, salt):
        seq = mark_of(frame)[1]
        if seq > folded:
            if seq != last + 1:
                return (
                    f"frame {last + 1} of the journal is damaged, and there are commits behind it"
                )
            last, end = seq, {at + len(frame)}
        elif seq == folded and last == folded:
            end.add(at + len(frame))
    for at in end:
        whole = b"" if intact(data[at:], salt) else mended(data[at:], salt)
        if whole and mark_of(whole)[1] == last + 1:
            return f"frame {last + 1} of the journal is damaged, the last one"
    return ""


def reaches(data: bytes, salt: bytes, folded: int) -> bool:
    """Return whether there is a commit with the number `folded` or above in a whole journal."""
    for at in range(0, len(data) - HEAD.size + 1, BLOCK):
        own, seq = mark_of(data[at : at + HEAD.size])
        if own == salt and seq >= folded:
            return True
    return bool(saved(data, salt, folded - 1))


def newest(data: bytes) -> Commit | None:
    """Return the newest commit of a whole journal whose database is not known."""
    salt, _ = mark_of(data[: HEAD.size])  # each round begins here
    found = saved(data, salt, 0) or saved(data, None, 0)
    return found[-1] if found else None


def saved(data: bytes, salt: bytes | None, folded: int) -> list[Commit]:
    """Return all commits above `folded` that can be read, mended ones too, in order."""
    found: dict[int, Commit] = {}
    at = 0
    while at + HEAD.size <= len(data):
        frame = data[at:]
        whole = frame[: size_of(frame)] if intact(frame, salt) else mended(frame, salt)
        at += len(whole) or BLOCK
        if whole and mark_of(whole)[1] > folded:
            try:
                found[mark_of(whole)[1]] = decode(whole)
            except ValueError:
                continue
    return [found[seq] for seq in sorted(found)]


def mended(data: bytes, salt: bytes | None) -> bytes:
    """Return the frame at the beginning of `data` with its one wrong byte put right; b"" if
    that does not make it whole."""
    head = data[: HEAD.size]
    if len(head) < HEAD.size or (head[:4] != MAGIC and head[8:16] != salt):
        return b""
    if (size := size_of(head)) and size <= len(data) and (salt is None or head[8:16] == salt):
        length = HEAD.size + HEAD.unpack_from(head)[5]
        wrong = zlib.crc32(data[_COVERED:length]) ^ int.from_bytes(head[4:8], "little")
        for back in range(length - _COVERED):
            if wrong in _ERRORS:
                frame = bytearray(data[:size])
                frame[length - 1 - back] ^= _ERRORS[wrong]
                if intact(bytes(frame), salt):
                    return bytes(frame)
            step = _TOPS[wrong >> 24]
            wrong = (wrong ^ _TABLE[step]) << 8 & 0xFFFFFFFF | step
    for bit in range(8 * HEAD.size):
        changed = bytearray(head)
        changed[bit // 8] ^= 1 << bit % 8
        size = size_of(bytes(changed))
        if size and size <= len(data):
            whole = bytes(changed) + data[HEAD.size : size]
            if intact(whole, salt):
                return whole
    return b""


def _intact(data: bytes, salt: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + HEAD.size <= len(data):
        frame = data[at : at + (size_of(data[at : at + HEAD.size]) or BLOCK)]
        if intact(frame, salt):
            yield at, frame
            at += len(frame)
        else:
            at += BLOCK


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xEDB88320 if byte & 1 else 0)
    return byte


# The table of CRC-32: what one wrong byte at the end changes, and how to go back by a byte.
_TABLE = [_entry(byte) for byte in range(256)]
_ERRORS = {entry: byte for byte, entry in enumerate(_TABLE) if byte}
_TOPS = {entry >> 24: byte for byte, entry in enumerate(_TABLE)}
