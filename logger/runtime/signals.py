"""The signals that ask for an orderly end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

# The service manager, Ctrl-C, a terminal or connection that was closed.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.contextmanager
def on_stop(stop: Callable[[signal.Signals], object]) -> Iterator[None]:
    """Inside, call `stop` upon each of these signals, but for those that whoever started
    the program wants ignored, as nohup(1) does with SIGHUP. For the main thread."""
    before = {one: signal.getsignal(one) for one in STOPPING}
    handled = [one for one in STOPPING if before[one] is not signal.SIG_IGN]
    for one in handled:
        signal.signal(one, lambda number, _frame: stop(signal.Signals(number)))
    try:
        yield
    finally:
        for one in handled:
            signal.signal(one, before[one])
