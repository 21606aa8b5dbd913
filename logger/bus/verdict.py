"""What it means that a request got no answer, or none that can be believed."""

from __future__ import annotations

from logger.bus import hints
from logger.bus.elapsed import elapsed
from logger.bus.faults import lacks_parity, refused, shown
from logger.bus.frames import refusal
from logger.bus.port import Port
from logger.bus.units import misnamed
from logger.config import Bus as BusConfig
from logger.domain.errors import BusError, GarbledError, ModeError, SilentError

_NUMBERED = "answers with other transaction identifiers than that of the question"
_RENUMBERS = (
    "the gateway does not return the identifier of a question, or sends what others asked for to "
    "all: set it to pass RTU frames (socket://) if it can do that"
)

_LATE = "what came are answers to other questions only: late ones, or another master's"
_LATE_REMEDY = (
    "raise the timeout; behind a gateway that waits for the meter itself, its own timeout, too"
)


def judge(
    config: BusConfig, port: Port, where: str, address: int, reason: str
) -> tuple[BusError, bool]:
    """Return the error of the last request on `port`, and whether something answered it.

    `reason` is what is wrong with the answer, "" when there was none.
    """
    answer = port.last_answer
    strange = answer or port.strange
    hint = hints.garbled(config, answer, rtu=port.speaks_rtu)
    reason = reason.split(" The", 1)[0].rstrip(".")
    if not answer and port.units.other is not None:
        text, hint = misnamed(port.units.other, address)
        return GarbledError(f"{where}: {text}", hint), False
    if not reason:
        if not strange and not port.unsolicited:
            text = f"{where}: no answer within {port.timeout:g} s"
            if port.asked and config.network is not None and config.network.scheme == "tcp":
                return SilentError(f"{text}, but {_NUMBERED}", _RENUMBERS), False
            return SilentError(
                text, lacks_parity(config) or hints.no_answer(config, address)
            ), False
        reason = "no answer to this question in it"
        if not strange:
            return GarbledError(f"{where}: {_LATE}", _LATE_REMEDY), False
        if port.late_s:
            reason = f"it was complete {port.late_s:.1f} s after the question"
            hint = "this program was stopped meanwhile, or the machine is overloaded"
    code = None if port.late_s else refusal(answer, port.request)
    if code is not None:
        return refused(where, code, port.belated.text(elapsed())), True
    text = f"{where}: the answer cannot be believed: {reason} (got {shown(strange)})"
    other_way = hints.other_way(config, answer, rtu=port.speaks_rtu)
    return (ModeError if other_way else GarbledError)(text, hint), False
