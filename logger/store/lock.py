"""One logger a buffer: a lock that the kernel gives back when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from logger.domain.errors import BufferBusyError


class OwnerLock:
    """The right to be the logger of a buffer file. Commands do not need it."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock. Raises BufferBusyError if another process has it, OSError if
        the lock file cannot be made."""
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file), self.path.stat()):
                    return
            self.release()  # its file was deleted: it locks nothing any more
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            # a read-only file system: an existing lock file still locks
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = _owner(file)
            os.close(file)
            raise BufferBusyError(
                f"{self.path.name.removesuffix('.lock')}: {who} is logging to this buffer",
                "stop the other logger, or give this one a buffer.path of its own",
            ) from None
        except OSError:
            os.close(file)
            raise
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def held_elsewhere(self) -> bool:
        """Return whether a running logger has the lock, without taking it."""
        return bool(self.holder())

    def holder(self) -> str:
        """Return which running logger has the lock ("process 12"); empty when none."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _owner(file)
        except OSError:
            return ""
        finally:
            os.close(file)
        return ""

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two owners in."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # it is closed whatever close(2) says
                os.close(file)


def _owner(file: int) -> str:
    """Return who wrote its number into a lock file."""
    with contextlib.suppress(OSError):
        owner = os.read(file, 20).decode(errors="replace").strip()
        if owner.isdigit():
            return f"process {owner}"
    return "another process"
