"""Finding the answer to a request among the bytes of a line. Pure.

A line carries more than answers: the adapter's echo, zero bytes that an adapter puts
in, answers that come late or from another meter, noise. Only bytes with the right
address, function and length and a right checksum are an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

READ, WRITE_ONE, WRITE_MANY = 0x03, 0x06, 0x10
# The shortest frame: a refusal (address, function, code, checksum).
SHORTEST = 5
_FAILED = 0x80
_CODES = range(1, 12)  # the exceptions that Modbus defines (V1.1b3, chapter 7)
_WRITTEN_SIZE = 8
_ANSWER_HEAD, _CHECKSUM = 3, 2


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


@dataclass(frozen=True, slots=True)
class Unsolicited:
    """An answer to some other question: its address and how many registers it holds."""

    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What some bytes hold.

    `frame` is the answer (or refusal), empty while there is none. `missing` is how many
    bytes at least are needed before there can be one. `junk` counts the bytes that
    belong to nothing.
    """

    frame: bytes = b""
    echoes: int = 0
    unsolicited: tuple[Unsolicited, ...] = ()
    missing: int = 0
    junk: int = 0


def search(request: bytes, size: int, heard: bytes, echo: bool | None = None) -> Heard:
    """Look in `heard` for the answer of `size` bytes to `request`.

    `echo` tells whether the adapter repeats what is sent, None when that is not known.
    It only matters for a write of one register, whose answer equals the request.
    """
    at = junk = echoes = 0
    missing = size
    found: list[Unsolicited] = []
    twins = request[1:2] == bytes((WRITE_ONE,))
    while at < len(heard):
        rest = heard[at:]
        wanted = _wanted(request, size, rest)
        if wanted and len(rest) < wanted and not (twins and echo and not echoes):
            missing = min(missing, wanted - len(rest))
        if wanted and len(rest) >= wanted and sealed(rest[:wanted]):
            is_echo = twins and echo is not False and not echoes and rest[:wanted] == request
            if not is_echo:
                return Heard(rest[:wanted], echoes, tuple(found), 0, junk)
        if rest.startswith(request):
            echoes += 1
            at += len(request)
            missing = size
        elif other := _unsolicited_size(rest):
            found.append(_as_unsolicited(rest[0], other))
            at += other
            missing = size
        else:
            junk += 1
            at += 1
    if twins and echo is None and echoes and not junk:
        return Heard(request, 0, tuple(found), missing, junk)
    return Heard(b"", echoes, tuple(found), missing, junk)


def unsolicited(heard: bytes) -> tuple[Unsolicited, ...]:
    """Return the whole answers to reads in `heard`, whoever asked for them."""
    found: list[Unsolicited] = []
    at = 0
    while at < len(heard):
        rest = heard[at:]
        size = _unsolicited_size(rest)
        if size:
            found.append(_as_unsolicited(rest[0], size))
        at += size or 1
    return tuple(found)


def _as_unsolicited(address: int, size: int) -> Unsolicited:
    return Unsolicited(address, (size - _ANSWER_HEAD - _CHECKSUM) // 2)


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
