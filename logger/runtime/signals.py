"""The signals that ask for an orderly end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator

# The service manager, Ctrl-C, a terminal or connection that was closed.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop:
    """What such a signal left behind. A handler may run in the midst of anything that the main
    thread does, a line of the log or another handler: it takes no lock and writes no text."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._ears, self._mouth = os.pipe()

    def ask(self, number: int, _frame: object = None) -> None:
        """Take the first signal; those after it change nothing."""
        if self.by is None:
            self.by = signal.Signals(number)
            os.write(self._mouth, b"\0")

    def wait(self, seconds: float | None) -> bool:
        """Wait for a signal, for so long at most; return whether there was one."""
        poll = select.poll()
        poll.register(self._ears, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def close(self) -> None:
        """Close the pipe; no signal may come after it."""
        os.close(self._ears)
        os.close(self._mouth)


@contextlib.contextmanager
def on_stop() -> Iterator[Stop]:
    """Inside, each of these signals is left in what this yields, but for those that whoever
    started the program wants ignored, as nohup(1) does with SIGHUP. For the main thread."""
    before = {one: signal.getsignal(one) for one in STOPPING}
    handled = [one for one in STOPPING if before[one] is not signal.SIG_IGN]
    with contextlib.closing(Stop()) as stop:
        for one in handled:
            signal.signal(one, stop.ask)
        try:
            yield stop
        finally:
            for one in handled:
                signal.signal(one, before[one])
