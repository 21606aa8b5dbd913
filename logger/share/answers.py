"""From a request of a client to its answer: which unit, what is wanted, who may."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from logger.share.demand import Outcome
from logger.share.framing import BROADCAST, Request
from logger.share.pdu import (
    READ_HOLDING,
    READ_INPUT,
    Code,
    Read,
    Write,
    answer,
    refusal,
    request_of,
    written,
)
from logger.share.peer import Peer
from logger.share.units import Unit
from logger.share.writers import Writers

log = logging.getLogger(__name__)

# Hears the answer, None where there is none.
Send = Callable[[bytes | None], None]


class Answers:
    """Answers requests by `units`; `tell` says once what a client does wrong.

    Counts are since the start.
    """

    def __init__(
        self, units: Mapping[int, Unit], writers: Writers, tell: Callable[[str, str], None]
    ) -> None:
        self.requests = 0
        self.refused = 0
        self._units = units
        self._writers = writers
        self._tell = tell

    def answer(self, peer: Peer, request: Request, now: float, send: Send) -> None:
        """Answer `request` of `peer`; `send` hears the answer, at once or later."""
        self.requests += 1
        function = request.pdu[0] if request.pdu else 0
        unit = self._units.get(request.unit)
        if unit is None or not request.pdu:
            self._nobody(peer, request, function, send)
            return
        wanted = request_of(request.pdu)
        done = partial(self._done, peer, request, function, send)
        if isinstance(wanted, Read):
            unit.read(wanted.block, now, done)
        elif isinstance(wanted, Write):
            self._write(peer, request, wanted, unit, done)
        else:
            done(wanted)

    def _nobody(self, peer: Peer, request: Request, function: int, send: Send) -> None:
        """Answer for a unit that is not there as a gateway does; on a line, be silent."""
        self.refused += 1
        if request.unit != BROADCAST:
            self._tell(peer.name, f"asks for unit {request.unit}, which is not configured")
        speaks = peer.framing.speaks_for_others
        send(refusal(function, Code.NO_ANSWER) if speaks else None)

    def _done(
        self, peer: Peer, request: Request, function: int, send: Send, outcome: Outcome
    ) -> None:
        if isinstance(outcome, Code):
            self.refused += 1
            if outcome is Code.ILLEGAL_ADDRESS:
                self._tell(peer.name, f"asks unit {request.unit} for registers that it has not")
            send(refusal(function, outcome))
        elif function in (READ_HOLDING, READ_INPUT):
            send(answer(function, outcome))
        else:
            send(written(request.pdu))

    def _write(
        self,
        peer: Peer,
        request: Request,
        wanted: Write,
        unit: Unit,
        done: Callable[[Outcome], None],
    ) -> None:
        if not self._writers.may(peer.name, device=peer.device):
            self._tell(peer.name, "is not allowed to write to a meter")
            done(Code.ILLEGAL_FUNCTION)
            return
        where = f"unit {request.unit}, register 0x{wanted.address:04X}"
        what = ""

        def told(outcome: Outcome) -> None:
            if isinstance(outcome, Code):
                text = "share: %s wanted to write to %s: refused with exception %d"
                log.warning(text, peer.name, where, outcome)
            else:
                log.warning("share: %s wrote to %s: %s", peer.name, where, what)
            done(outcome)

        what = unit.write(wanted, told)
