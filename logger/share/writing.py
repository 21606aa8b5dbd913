"""What a client may write to a meter: what its manual allows and what can be taken back. Pure."""

from __future__ import annotations

from logger.models import Encoding, Model
from logger.models.decode import decode
from logger.settings import Change, prepare
from logger.share.pdu import Write


def change_of(model: Model, request: Write) -> Change | None:
    """Return what `request` changes, None when no such register is to be written.

    A setting that the configuration would have to follow (address, speed, parity) is not: the
    log would lose the meter. Raises ConfigError for a value that the manual does not allow, or
    that can never be taken back.
    """
    register = next((one for one in model.registers if one.address == request.address), None)
    write = register.write if register is not None else None
    if register is None or write is None or write.config or write.function != request.function:
        return None
    if len(request.words) != register.length:
        return None
    if register.encoding is Encoding.HEX and register.length == 2:
        text = f"{request.words[0]:x}/{request.words[1]:x}"
    else:
        try:
            text = str(decode(register.encoding, request.words))
        except ValueError:
            text = "?"
    change = prepare(model, register.key, text)
    if change.final or change.words != request.words:
        return None
    return change
