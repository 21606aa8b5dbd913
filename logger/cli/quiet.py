"""Commands that look at meters say what they find themselves: no log lines between."""

from __future__ import annotations

import logging


def quiet() -> None:
    """Keep the log of the package off the terminal."""
    package = logging.getLogger("logger")
    package.addHandler(logging.NullHandler())
    package.propagate = False
