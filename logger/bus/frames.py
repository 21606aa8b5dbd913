"""Finding the answer to a request among the bytes of a line. Pure.

A line carries more than answers: the adapter's echo, zero bytes that an adapter puts
in, answers that come late or from another meter, noise. Only bytes with the right
address, function and length and a right checksum are an answer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

READ, WRITE_ONE, WRITE_MANY = 0x03, 0x06, 0x10
# The shortest frame: a refusal (address, function, code, checksum).
SHORTEST = 5
_FAILED = 0x80
# Exceptions of a gateway for a meter that is silent.
GATEWAY_SILENCE = (10, 11)
_CODES = range(1, 12)  # the exceptions that Modbus defines (V1.1b3, chapter 7)
_WRITTEN_SIZE = 8
_ANSWER_HEAD, _CHECKSUM = 3, 2
_LONGEST_ANSWER = _ANSWER_HEAD + 250 + _CHECKSUM
# What a request (and the answer to a write) has; a write of several registers has a count
# of bytes at the sixth place, and so many around them.
_REQUEST_SIZE, _BYTES_AT, _AROUND_BYTES = 8, 6, 9
_FUNCTIONS, _ADDRESSES = (1, 2, 3, 4, 5, 6, 16), range(1, 248)
# What the modem of a gateway sends now and then, to show that it is there.
HEARTBEAT = b"\xff"


def crc16(data: bytes) -> bytes:
    """Return the checksum of `data` as it goes on the wire (serial line V1.02, 6.2.2)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _table() -> tuple[int, ...]:
    found = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
        found.append(crc)
    return tuple(found)


_TABLE = _table()


def sealed(frame: bytes) -> bool:
    """Return whether `frame` ends with its right checksum."""
    return len(frame) >= SHORTEST - 1 and crc16(frame[:-_CHECKSUM]) == frame[-_CHECKSUM:]


def refusal(heard: bytes, request: bytes) -> int | None:
    """Return the code of the refusal of `request` that `heard` is, None when it is none.

    Some meters send it without the checksum (seen on a PRO1-Mod), and without their
    address before it; followed by silence that can be nothing else.
    """
    if len(request) < SHORTEST:
        return None  # nothing was asked yet
    refused = bytes((request[0], request[1] | _FAILED))
    if len(heard) == SHORTEST and sealed(heard) and heard.startswith(refused):
        return heard[2]
    if len(heard) in (2, 3) and refused.endswith(heard[:-1]) and heard[-1] in _CODES:
        return heard[-1]
    return None


def question(address: int, register: int, count: int) -> bytes:
    """Return the request for `count` registers from `register` on, as it goes on the wire."""
    asked = struct.pack(">BBHH", address, READ, register, count)
    return asked + crc16(asked)


def answer_size(count: int) -> int:
    """Return how many bytes the answer to such a request has."""
    return _ANSWER_HEAD + 2 * count + _CHECKSUM


def words_of(answer: bytes, address: int, count: int) -> list[int] | None:
    """Return the words of the answer to such a request, whose checksum is known to be right;
    None where it is something else."""
    if len(answer) != answer_size(count) or not answer.startswith(
        bytes((address, READ, 2 * count))
    ):
        return None
    return list(struct.unpack_from(f">{count}H", answer, _ANSWER_HEAD))


@dataclass(frozen=True, slots=True)
class Unsolicited:
    """An answer to some other question: its address and how many registers it holds.

    `frame` is the whole of it where that is known.
    """

    address: int
    count: int
    frame: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Heard:
    """What some bytes hold.

    `frame` is the answer (or refusal), empty while there is none. `missing` is how many
    bytes at least are needed before there can be one. `rubbish` are the bytes that
    belong to nothing. `asked` are requests of another master, `others` counts its
    frames; `begun` is how many bytes at the end may be the begin of one.
    """

    frame: bytes = b""
    echoes: int = 0
    unsolicited: tuple[Unsolicited, ...] = ()
    missing: int = 0
    rubbish: bytes = b""
    asked: tuple[Unsolicited, ...] = ()
    others: int = 0
    begun: int = 0

    @property
    def junk(self) -> int:
        """How many bytes belong to nothing."""
        return len(self.rubbish)


def search(
    request: bytes, size: int, heard: bytes, echo: bool | None = None, old: int = 0
) -> Heard:
    """Look in `heard` for the answer of `size` bytes to `request`.

    `echo` tells whether the adapter repeats what is sent, None when that is not known.
    It only matters for a write of one register, whose answer equals the request. What
    begins in the first `old` bytes, which came before the request, is not its answer.
    """
    at = echoes = others = begun = before = 0
    rubbish = b""
    missing = size
    found: list[Unsolicited] = []
    asked: list[Unsolicited] = []
    twins = request[1:2] == bytes((WRITE_ONE,))
    while at < len(heard):
        rest = heard[at:]
        wanted = _wanted(request, size, rest) if at >= old else 0
        if wanted and len(rest) < wanted and not (twins and echo and not echoes):
            missing = min(missing, wanted - len(rest))
        if wanted and len(rest) >= wanted and sealed(rest[:wanted]):
            is_echo = twins and echo is not False and not echoes and rest[:wanted] == request
            if not is_echo:
                return Heard(rest[:wanted], echoes, tuple(found), 0, rubbish, tuple(asked), others)
        if (at >= old or old == len(heard)) and rest.startswith(request):
            echoes += 1
            at += len(request)
            missing = size
        elif other := _other_size(rest):
            if _unsolicited_size(rest):
                found.append(_as_unsolicited(rest[:other]))
            elif other == _REQUEST_SIZE and rest[1] == READ:
                asked.append(Unsolicited(rest[0], int.from_bytes(rest[4:6], "big")))
            others += 1
            at += other
            missing = size
        else:
            clear = not wanted and not rubbish.strip(HEARTBEAT)
            if clear and _may_become_other(request, rest):
                begun, before = len(rest), len(rubbish)
            rubbish += rest[:1]
            at += 1
            continue
        begun = 0
    if begun:
        rubbish = rubbish[:before]
    seen = tuple(found), missing, rubbish, tuple(asked), others, begun
    if twins and echo is None and echoes and not rubbish:
        return Heard(request, 0, *seen)
    return Heard(b"", echoes, *seen)


def lacking(request: bytes, size: int, heard: bytes) -> int:
    """Return how many bytes the answer of `size` bytes to a read lacks, where `heard` is the
    begin of it for all that can be seen at its first bytes; 0 where only `search` can tell."""
    wanted = _wanted(request, size, heard) if heard and request[1] == READ else 0
    return 0 if _other_size(heard) else max(wanted - len(heard), 0)


def overheard(heard: bytes, request: bytes = b"") -> Heard:
    """Return what `heard` holds that answers nothing of ours; `request` is our last one."""
    return search(request or bytes(_REQUEST_SIZE), len(heard) + 1, heard, old=len(heard))


def unsolicited(heard: bytes) -> tuple[Unsolicited, ...]:
    """Return the whole answers to reads in `heard`, whoever asked for them."""
    found: list[Unsolicited] = []
    at = 0
    while at < len(heard):
        rest = heard[at:]
        size = _unsolicited_size(rest)
        if size:
            found.append(_as_unsolicited(rest[:size]))
        at += size or 1
    return tuple(found)


def _other_size(rest: bytes) -> int:
    """Return the size of the whole frame of somebody else that begins here, 0 for none.

    That is an answer to a read, a request, the answer to a write, or a refusal.
    """
    if size := _unsolicited_size(rest):
        return size
    if len(rest) < SHORTEST or rest[0] not in _ADDRESSES:
        return 0
    if rest[1] & _FAILED:
        known = rest[1] & ~_FAILED in _FUNCTIONS and rest[2] in _CODES
        return SHORTEST if known and sealed(rest[:SHORTEST]) else 0
    if rest[1] in _FUNCTIONS and len(rest) >= _REQUEST_SIZE and sealed(rest[:_REQUEST_SIZE]):
        return _REQUEST_SIZE
    if rest[1] == WRITE_MANY and len(rest) > _BYTES_AT:
        size = _AROUND_BYTES + rest[_BYTES_AT]
        return size if len(rest) >= size and sealed(rest[:size]) else 0
    return 0


def _may_become_other(request: bytes, rest: bytes) -> bool:
    """Whether `rest` may be the begin of somebody else's frame, and of nothing of ours."""
    if len(rest) < SHORTEST - 2 or rest[0] not in _ADDRESSES or rest[1] not in _FUNCTIONS:
        return False
    if len(rest) < _REQUEST_SIZE and rest[:2] != request[:2]:
        return True
    answer = _ANSWER_HEAD + rest[2] + _CHECKSUM
    return rest[1] == READ and rest[2] % 2 == 0 and len(rest) < answer <= _LONGEST_ANSWER


def _as_unsolicited(frame: bytes) -> Unsolicited:
    return Unsolicited(frame[0], (len(frame) - _ANSWER_HEAD - _CHECKSUM) // 2, frame)


def _wanted(request: bytes, size: int, rest: bytes) -> int:
    """Return the size of the answer that may begin here, 0 when none does."""
    if rest[0] != request[0] or len(rest) < 2:  # a lone first byte decides nothing
        return 0
    if rest[1] == request[1] | _FAILED:
        return SHORTEST
    if rest[1] != request[1]:
        return 0
    if rest[1] == READ:
        if len(rest) < _ANSWER_HEAD:
            return size
        return size if rest[2] == size - _ANSWER_HEAD - _CHECKSUM else 0
    return _WRITTEN_SIZE if rest[2:6] == request[2:6][: len(rest) - 2] else 0


def _unsolicited_size(rest: bytes) -> int:
    """Return the size of the whole answer to a read that begins here, 0 for none."""
    if len(rest) <= SHORTEST or rest[1] != READ or rest[2] % 2 or not rest[2]:
        return 0
    size = _ANSWER_HEAD + rest[2] + _CHECKSUM
    return size if len(rest) >= size and sealed(rest[:size]) else 0
