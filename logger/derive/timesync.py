"""Whether this machine's clock is kept by NTP, asked so that the question does no harm.

The kernel knows (adjtimex(2)), but a sandbox may answer that system call with the death
of the process (systemd's SystemCallFilter without SystemCallErrorNumber). So where a
filter is at work, a process that may die asks first, once.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

# systemd-timesyncd makes this file when it has set the clock; it goes with the service and
# with the boot (systemd-timesyncd.service(8)).
_TIMESYNCD = Path("/run/systemd/timesync/synchronized")
_UNSYNCHRONISED = 0x0040  # STA_UNSYNC of linux/timex.h
_TRIAL_S = 20.0  # for starting a Python on a slow machine
_TRIAL = "import ctypes; ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024))"


def synchronised() -> bool:
    """Return whether the clock is kept by NTP; False where nobody can say."""
    return _TIMESYNCD.exists() or (_may_ask() and _kernel_says())


@functools.cache
def _may_ask() -> bool:
    """Return whether asking the kernel leaves a process of this sandbox alive."""
    return not _filtered() or _survived()


def _filtered() -> bool:
    """Return whether system calls of this process are filtered (proc(5): Seccomp)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return "\nSeccomp:\t0\n" not in status


def _survived() -> bool:
    """Ask in a process of its own, under the same filter, and tell how that ended."""
    if not sys.executable:
        return False
    try:
        trial = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _TRIAL],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TRIAL_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return trial.returncode == 0


def _kernel_says() -> bool:
    """Ask the kernel."""
    import ctypes  # where memory may not be executable, importing it can fail

    class Timex(ctypes.Structure):
        """The head of `struct timex` (adjtimex(2)); the padding is larger than its rest."""

        _fields_ = (
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 256),
        )

    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:  # another system than Linux
        return False
    state = Timex()  # modes = 0: ask, change nothing
    return adjtimex(ctypes.byref(state)) >= 0 and not state.status & _UNSYNCHRONISED
