"""What was asked and answered on a virtual line, for those who keep the books."""

from __future__ import annotations

from dataclasses import dataclass

from logger.simulate.frame import Request
from logger.simulate.meter import WRITE_ONE


@dataclass(frozen=True, slots=True)
class Served:
    """An answer that a meter gave, before any quirk of the line got at it."""

    at: float  # virtual time, epoch seconds
    address: int
    request: bytes  # PDU
    answer: bytes  # PDU


def what(request: Request) -> tuple[int, int, int]:
    """Return address, first register and count of a request."""
    pdu = request.pdu
    count = 1 if pdu[:1] == bytes((WRITE_ONE,)) else int.from_bytes(pdu[3:5], "big")
    return request.address, int.from_bytes(pdu[1:3], "big"), count
