"""Requests and answers of Modbus without their frames (application protocol V1.1b3). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from logger.bus.frames import WRITE_MANY, WRITE_ONE
from logger.models import MAX_REGISTERS_PER_REQUEST
from logger.models.plan import Block

READ_HOLDING, READ_INPUT = 0x03, 0x04
_FAILED = 0x80
_REGISTERS = 0x10000
# One request may write so many registers (6.12).
_MOST_WRITTEN = 123


class Code(IntEnum):
    """Exceptions (chapter 7)."""

    ILLEGAL_FUNCTION = 0x01
    ILLEGAL_ADDRESS = 0x02
    ILLEGAL_VALUE = 0x03
    FAILED = 0x04
    BUSY = 0x06
    NO_ANSWER = 0x0B  # the meter behind the gateway does not answer


@dataclass(frozen=True, slots=True)
class Read:
    """A request for the registers of `block`."""

    block: Block
    function: int


@dataclass(frozen=True, slots=True)
class Write:
    """A request to write `words` from register `address` on."""

    address: int
    words: tuple[int, ...]
    function: int


def request_of(pdu: bytes) -> Read | Write | Code:
    """Return what `pdu` asks for, or with which exception it is answered."""
    function = pdu[0]
    if function not in (READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY):
        return Code.ILLEGAL_FUNCTION
    if len(pdu) < 5:
        return Code.ILLEGAL_VALUE
    address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    if function == WRITE_ONE:
        return Write(address, (count,), function) if len(pdu) == 5 else Code.ILLEGAL_VALUE
    if function == WRITE_MANY:
        whole = len(pdu) == 6 + 2 * count and pdu[5] == 2 * count
        if not whole or not 1 <= count <= _MOST_WRITTEN:
            return Code.ILLEGAL_VALUE
        return Write(address, words_of(pdu[6:]), function)
    if len(pdu) != 5 or not 1 <= count <= MAX_REGISTERS_PER_REQUEST:
        return Code.ILLEGAL_VALUE
    if address + count > _REGISTERS:
        return Code.ILLEGAL_ADDRESS
    return Read(Block(address, count), function)


def words_of(data: bytes) -> tuple[int, ...]:
    """Return the words that `data` holds, high byte first."""
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def answer(function: int, words: Sequence[int]) -> bytes:
    """Return the answer to a read."""
    data = b"".join(word.to_bytes(2, "big") for word in words)
    return bytes((function, len(data))) + data


def refusal(function: int, code: Code) -> bytes:
    """Return the answer that refuses a request."""
    return bytes((function & 0x7F | _FAILED, code))


def written(pdu: bytes) -> bytes:
    """Return the answer to the write `pdu` that was done."""
    return pdu[:5]
