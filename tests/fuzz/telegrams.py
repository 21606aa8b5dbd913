"""Damaged M-Bus telegrams, many and cheap: what is taken was sent, and says what its bytes say.

`python -m tests.fuzz mbus --frames 10000000` makes so many out of the good ones: bits that
flip, pieces that are lost, repeated or come from another telegram, bytes that mean much to
a parser. Half of them get lengths and a checksum that are right again, as no line repairs
them: only these reach the records.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from logger.mbus import frames
from logger.mbus.records import Record, parse

_ASKED = frames.request(0, True)
_LEFT = 7  # bytes before the header: start, lengths, C, A, CI
_LONGEST_BODY = 0xFF
# Bytes that mean something of their own: fillers, special DIFs, extensions, text, BCD signs.
_WORDS = bytes.fromhex("2F 0F 1F 7C FC 80 FF 0D 05 0C 8C 68 16 E5 FD FB 00 F0 A0 C0")


@dataclass(slots=True)
class Seen:
    """How many frames were looked at, were taken, and made sense; how many values came."""

    frames: int = 0
    taken: int = 0
    parsed: int = 0
    values: int = 0

    def __str__(self) -> str:
        return (
            f"{self.frames} frames, {self.taken} taken, {self.parsed} of these made sense, "
            f"{self.values} values"
        )


def mbus_frame(raw: bytes, seen: Seen | None = None) -> None:
    """Look for an answer in `raw` and take it apart; AssertionError for anything wrong."""
    found = frames.search(_ASKED, raw)
    frame = found.frame
    assert frame is not None or found.acknowledged or found.missing > 0
    if seen is not None:
        seen.frames += 1
    if frame is None:
        return
    sent = frame.raw
    assert sent in raw, "an answer that nobody sent"
    length = len(sent) - 6
    assert sent[:4] == bytes((0x68, length, length, 0x68)), "lengths that do not agree"
    assert sent[-2:] == bytes((sum(sent[4:-2]) % 256, 0x16)), "a checksum that is wrong"
    if seen is not None:
        seen.taken += 1
    try:
        telegram = parse(frame)
    except ValueError:
        return
    values = 0
    at = _LEFT + 12
    for record in telegram.records:
        for piece in (record.dif + record.vif, record.data):
            at = sent.index(piece, at) + len(piece)
        values += _says(record)
    assert at <= len(sent) - 2, "a record from behind the end"
    assert telegram.serial.lower() == sent[_LEFT : _LEFT + 4][::-1].hex()
    if seen is not None:
        seen.parsed += 1
        seen.values += values


def _says(record: Record) -> bool:
    """Return whether `record` has a value; it must be the one of its bytes."""
    try:
        value = record.value()
    except ValueError:
        return False
    data, field = record.data, record.dif[0] & 0x0F
    match value:
        case None:
            assert field in (0, 8), "data without a value"
        case Decimal():
            assert field == 5
            assert struct.pack("<f", float(value)) == data, "a float that is another one"
        case str():
            assert field == 13
            assert value.encode("latin-1") == data[::-1]
        case int() if field in (1, 2, 3, 4, 6, 7):
            assert value.to_bytes(len(data), "little", signed=True) == data
        case int():
            digits = f"{abs(value):0{2 * len(data)}d}"
            shown = data[::-1].hex()
            assert digits == shown or (shown[0] == "f" and digits[1:] == shown[1:]), (
                "digits that are others"
            )
            assert (value < 0) <= (shown[0] == "f")
    return value is not None


def damaged(good: Sequence[bytes], chance: Callable[[], float]) -> Iterator[bytes]:
    """Yield telegrams made out of good ones for ever; `chance` gives 0 to below 1."""
    whole = [one for one in good if one[:1] == b"\x68"]
    some = [part for one in whole for part in _parts(one)]
    while True:
        among = whole if chance() < 0.1 else some
        frame = bytearray(among[int(chance() * len(among))])
        for _ in range(1 + int(chance() * 3)):
            at = int(chance() * len(frame))
            match int(chance() * 7):
                case 0 | 1:
                    frame[at] ^= 1 << int(chance() * 8)
                case 2:
                    frame[at] = _WORDS[int(chance() * len(_WORDS))]
                case 3:
                    frame[at] = int(chance() * 256)
                case 4:
                    del frame[at : at + 1 + int(chance() * 12)]
                case 5:
                    frame[at:at] = frame[at : at + 1 + int(chance() * 12)]
                case _:
                    other = whole[int(chance() * len(whole))]
                    frame[at:] = other[int(chance() * len(other)) :]
            if len(frame) < 2 * _LEFT:
                break
        if chance() < 0.5:
            _repair(frame)
        yield bytes(frame)


def _parts(good: bytes) -> Iterator[bytes]:
    """Yield telegrams with some of the records of `good`: more damage for each byte."""
    frame = frames.search(_ASKED, good).frame
    assert frame is not None
    records = [one.dif + one.vif + one.data for one in parse(frame).records]
    for start in range(len(records)):
        for count in (1, 2, 4):
            data = frame.data[:12] + b"".join(records[start : start + count])
            yield frames.long(frames.RSP_UD, 0, frames.CI_VARIABLE, data)


def _repair(frame: bytearray) -> None:
    """Give `frame` lengths and a checksum that are right for what it holds now."""
    body = frame[4 : min(max(len(frame) - 2, 4), 4 + _LONGEST_BODY)]
    body += bytes((frames.RSP_UD, 0, frames.CI_VARIABLE))[len(body) :]
    length = len(body)
    frame[:] = (0x68, length, length, 0x68, *body, sum(body) % 256, 0x16)


def campaign(
    good: Sequence[bytes],
    count: int,
    seed: int,
    tell: Callable[[str], None] | None = None,
) -> Seen:
    """Look at `count` damaged telegrams; what breaks is raised with the frame as its note."""
    seen, began = Seen(), time.monotonic()
    telegrams = damaged(good, random.Random(seed).random)
    while seen.frames < count:
        raw = next(telegrams)
        try:
            mbus_frame(raw, seen)
        except BaseException as err:
            err.add_note(f"seed {seed}, frame {seen.frames}: {raw.hex(' ')}")
            raise
        if tell is not None and seen.frames % 500_000 == 0:
            tell(f"{seen} in {time.monotonic() - began:.0f} s")
    return seen
