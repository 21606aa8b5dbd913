"""`python -m logger`, and the command `inepro-logger`."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

# A key held down, or pressed twice in impatience, is one Ctrl-C for so long.
_ONE_PRESS_S = 1.0

# While modules are loaded, Ctrl-C ends the process without a traceback.
_FROM_TERMINAL = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _FROM_TERMINAL:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt for a Ctrl-C, and let those soon after it do nothing: none can
    meet the end of the command, or of Python, as an error nobody expects there."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # none comes in between
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    signal.signal(signal.SIGALRM, _end_at_the_next)
    signal.setitimer(signal.ITIMER_REAL, _ONE_PRESS_S)
    raise KeyboardInterrupt


def _end_at_the_next(_number: int, _frame: FrameType | None) -> None:
    """Let another Ctrl-C end the process where it stands."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


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
            signal.signal(signal.SIGINT, _interrupted)
        command()
    except KeyboardInterrupt:  # before the command line itself could catch it
        sys.exit(INTERRUPTED)
    finally:
        if _FROM_TERMINAL:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            # Python takes its handlers away as it ends: an alarm after that would kill it.
            signal.setitimer(signal.ITIMER_REAL, 0.0)


if __name__ == "__main__":
    main()
