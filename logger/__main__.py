"""`python -m logger`, and the command `inepro-logger`."""

from __future__ import annotations

import os
import signal
import sys

# While modules are loaded, Ctrl-C ends the process without a traceback.
_FROM_TERMINAL = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if _FROM_TERMINAL:
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
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command()
    except KeyboardInterrupt:  # before the command line itself could catch it
        sys.exit(INTERRUPTED)
    finally:
        if _FROM_TERMINAL:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
