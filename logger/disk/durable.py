"""Replaces a file so that a power cut leaves the old one or the new one, never a mixture.

The new text is written beside the file and flushed, then takes its name, and the directory
is flushed, since a name is not on the medium before that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path


def replace(path: Path, texts: Iterable[str]) -> None:
    """Put `texts`, one after the other, in place of what `path` holds; for one writer at a
    time. Raises OSError; the file is then as it was."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(texts)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_directory(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """Let the names in `directory` last through a power cut. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
