"""The orderly end of parts: what fails or hangs keeps nothing else from ending."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


def end(name: str, how: Callable[[], object]) -> None:
    """End the part called `name`; that it cannot be ended is logged."""
    try:
        how()
    except Exception:  # whatever it is: the other parts are to end, too, and all to be saved
        log.exception("%s: stopping it failed; it is left behind", name)


def end_all(parts: Mapping[str, Callable[[], object]], within_s: float) -> None:
    """End all `parts` at once; those that take longer than `within_s` are left behind."""
    until = time.monotonic() + within_s
    threads = [
        threading.Thread(target=end, args=one, name=f"end of {one[0]}", daemon=True)
        for one in parts.items()
    ]
    for thread in threads:
        thread.start()
    for name, thread in zip(parts, threads, strict=True):
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            log.warning("%s: it does not end; it is left behind", name)
