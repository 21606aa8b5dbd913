"""The base of all quirks: where a fault can take hold of a meter or a line."""

from __future__ import annotations

from logger.simulate.meter import READ, VirtualMeter
from logger.simulate.noise import Dice

Pieces = list[tuple[float, bytes]]  # seconds to wait, then the bytes


class Quirk:
    """The base: a quirk that does nothing. `address` limits it to one meter."""

    name = ""
    text = ""
    echoes = False
    babbles = False
    copies = False  # whether every master hears what is answered
    joins = False  # and what others ask

    def __init__(self, seed: int = 1, address: int | None = None, rate: float = 0.3) -> None:
        self.address = address
        self.rate = rate  # share of answers that a fault of the line hits
        self.dice = Dice(seed, 41, *self.name.encode())

    def concerns(self, address: int) -> bool:
        """Return whether the meter at `address` has this quirk."""
        return self.address in (None, address)

    def set_up(self, meter: VirtualMeter) -> None:
        """Change the meter itself, once."""

    def silences(self, pdu: bytes) -> bool:  # noqa: ARG002
        """Return whether the meter lets the request `pdu` go unanswered."""
        return False

    def refuses(self, meter: VirtualMeter, pdu: bytes) -> int | None:  # noqa: ARG002
        """Return the exception code with which the meter refuses `pdu`, if it does."""
        return None

    def replaced(self, meter: VirtualMeter, pdu: bytes, answer: bytes) -> bytes:  # noqa: ARG002
        """Return what the meter sends instead of the PDU `answer`."""
        return answer

    def spoiled(self, frame: bytes) -> Pieces:
        """Return what becomes of an answer on its way."""
        return [(0.0, frame)]

    def delay_s(self) -> float:
        """Return how much longer than others the meter takes."""
        return 0.0

    def overdue(self) -> bytes:
        """Return what is sent upon the next request, whoever it is for."""
        return b""

    def noise(self) -> bytes:
        """Return what is on the line while nobody talks."""
        return b""


def block(pdu: bytes) -> tuple[int, int] | None:
    """Return first and end address of a read request, None for any other request."""
    if len(pdu) != 5 or pdu[0] != READ:
        return None
    first = int.from_bytes(pdu[1:3], "big")
    return first, first + int.from_bytes(pdu[3:5], "big")
