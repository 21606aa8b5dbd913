"""What surrounds a question to a meter: the file that named the port, a running logger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from logger.domain.errors import PortError, StatusError
from logger.runtime.status import ask
from logger.survey import ports

# What a socket says that nobody listens on.
_NOBODY = (FileNotFoundError, ConnectionRefusedError)
# A logger that takes longer to answer is taken to be there.
_PATIENCE_S = 2.0


@contextlib.contextmanager
def port_from(file: Path) -> Iterator[None]:
    """Add to a PortError which configuration named the port: it may be the wrong one."""
    try:
        yield
    except PortError as err:
        raise PortError(err.message, from_file(err.hint, file)) from err


def from_file(hint: str, file: Path) -> str:
    """Return `hint` with the configuration file that the port is from."""
    return f"{hint} (port from {file})".strip()


def shared(buffer: Path, lines: Iterable[str]) -> str:
    """Say that a running logger speaks on one of `lines`, empty when none does.

    `buffer` tells which logger. A device lets in one program only; a gateway takes
    several, whose questions and answers then may get mixed up.
    """
    gateways = [line for line in lines if not ports.is_device(line)]
    if not gateways:
        return ""
    try:
        buses = ask(buffer, _PATIENCE_S)["buses"]
    except StatusError as err:
        if isinstance(err.__cause__, _NOBODY):
            return ""
    else:
        used = {bus["port"] for bus in buses}
        gateways = [line for line in gateways if line in used]
    if not gateways:
        return ""
    return f"a logger is running and reads {', '.join(gateways)}, too: answers may get mixed up"
