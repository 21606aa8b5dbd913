"""`python -m logger`, and the command `inepro-logger`."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType

# A key held down, or pressed twice in impatience, is one Ctrl-C for so long.
_ONE_PRESS_S = 1.0

# While modules are loaded, Ctrl-C ends the process without a traceback.
_FROM_TERMINAL = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _FROM_TERMINAL:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class _Interrupts:
    """What Ctrl-C does while a command runs: the first one raises KeyboardInterrupt, those
    soon after it do nothing, and a later one ends the process where it stands. So none can
    meet the end of the command, or of Python, as an error nobody expects there."""

    def __init__(self) -> None:
        self._first: float | None = None

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            raise KeyboardInterrupt
        if now - self._first > _ONE_PRESS_S:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run the command. Ctrl-C ends it as the command itself says."""
    # No plugin of another program is looked for, and none changes how a file is checked.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from logger.cli import INTERRUPTED
    from logger.cli import main as command
    from logger.cli.ondemand import preload

    preload(sys.argv[1:])
    try:
        if _FROM_TERMINAL:
            signal.signal(signal.SIGINT, _Interrupts())
        command()
    except KeyboardInterrupt:  # before the command line itself could catch it
        sys.exit(INTERRUPTED)
    finally:
        if _FROM_TERMINAL:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
