"""The shipped unit's filter of system calls around a real process, without systemd.

`python -m tests.sandbox UNIT COMMAND...` becomes COMMAND under the filter that UNIT asks
for: the sets of names come from `systemd-analyze syscall-filter`, the filter is made by
libseccomp, as systemd makes its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

UNIT = Path(__file__).parent.parent / "config" / "inepro-logger.service"

# Other settings of a unit that refuse system calls; what they refuse is an EPERM.
REFUSING = {
    "ProtectClock": "@clock",
    "ProtectKernelModules": "@module",
    "ProtectKernelLogs": "syslog",
}

# seccomp.h of libseccomp
_KILL_PROCESS, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_ALREADY = {-errno.EACCES, -errno.EFAULT, -errno.EDOM}  # the default, or not of this machine


@dataclass
class Filter:
    """What a unit says of system calls: the names allowed, and what the rest gets."""

    allowed: set[str] = field(default_factory=set)
    error: int | None = None  # None: the end of the process, by SIGSYS
    refused: set[str] = field(default_factory=set)  # with EPERM, whatever else is said


@cache
def names(of: str) -> frozenset[str]:
    """Return the system calls of a set such as `@clock`, or the one that is named."""
    if not of.startswith("@"):
        return frozenset({of})
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", of],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    inside = [line.strip() for line in told[1:]]
    found = (names(name) for name in inside if name and not name.startswith("#"))
    return frozenset().union(*found)


def settings(unit: Path) -> dict[str, list[str]]:
    """Return every value of every setting of the section Service, in their order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            found.setdefault(name.strip(), []).append(value.strip())
    return found


def filter_of(unit: Path) -> Filter:
    """Read the filter of a unit (systemd.exec(5)): the first line allows, `~` takes away."""
    found = settings(unit)
    result = Filter(allowed=set(names("@default")))
    for value in found["SystemCallFilter"]:
        words = value.removeprefix("~").split()
        told = set().union(*(names(word) for word in words))
        result.allowed = result.allowed - told if value.startswith("~") else result.allowed | told
    for name in found.get("SystemCallErrorNumber", []):
        result.error = getattr(errno, name)
    for setting, refused in REFUSING.items():
        if found.get(setting, ["no"])[-1] == "yes":
            result.refused |= names(refused)
    return result


def apply(wanted: Filter) -> None:
    """Put this process and what it starts under the filter, for good."""
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    otherwise = _KILL_PROCESS if wanted.error is None else _ERRNO | wanted.error
    if wanted.refused:
        _load(seccomp, _ALLOW, dict.fromkeys(wanted.refused, _ERRNO | errno.EPERM))
    # What systemd does not know by name does not exist for the process.
    rules = dict.fromkeys(names("@known") - wanted.allowed, otherwise)
    rules |= dict.fromkeys(wanted.allowed, _ALLOW)
    _load(seccomp, _ERRNO | errno.ENOSYS, rules)  # last: it may refuse further filters


def _load(seccomp: ctypes.CDLL, default: int, rules: dict[str, int]) -> None:
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(default)))
    assert context, "libseccomp makes no filter"
    for name, action in rules.items():
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # of another machine
        done = seccomp.seccomp_rule_add(
            context, ctypes.c_uint32(action), ctypes.c_int(number), ctypes.c_uint(0)
        )
        assert done == 0 or done in _ALREADY, f"{name}: {os.strerror(-done)}"
    done = seccomp.seccomp_load(context)
    assert done == 0, f"the kernel takes no filter: {os.strerror(-done)}"
    seccomp.seccomp_release(context)


if __name__ == "__main__":
    apply(filter_of(Path(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])
