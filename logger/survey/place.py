"""Whether the logger's user can keep the buffer and the state where they are to be."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from logger.config import Buffer, Config
from logger.disk.newfiles import nearest
from logger.domain.errors import ConfigError, suggestion
from logger.runtime.configured import state_directory
from logger.store import place
from logger.survey.finding import Finding, fail, ok, warn

# Where a unit of systemd is, the administrator's first.
UNITS = tuple(
    Path(directory, "inepro-logger.service")
    for directory in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
)

# Where the buffer of the service is.
_USUAL = Path("/var/lib/inepro-logger/buffer.sqlite")


def service_user(file: Path) -> str:
    """Return the user of the service that runs with the configuration `file`, empty when
    no unit of systemd names it."""
    for unit in UNITS:
        try:
            text = unit.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        named = re.findall(r"(?:--config[ =]|-c |INEPRO_LOGGER_CONFIG=)([^\s\"']+)", text)
        if any(Path(one).resolve() == file.resolve() for one in named):
            found = re.findall(r"^User=(\S+)", text, re.MULTILINE)
            return found[-1] if found else "root"
        return ""
    return ""


def of_user() -> tuple[Path, Path] | None:
    """Return where who runs this keeps a buffer and a token, None where they are the
    service's: root sets it up, or it is here already."""
    if os.geteuid() == 0 or any(unit.exists() for unit in UNITS):
        return None
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Buffer().path, settings / "inepro-logger" / "influxdb-token"


def closed_to_me(path: Path) -> Path | None:
    """Return what who runs this may not write and a buffer at `path` needs; None if all is well."""
    uid, groups, _ = _user("")
    return place.closed_to(path, state_directory(path), uid, groups)


def buffer(config: Config, user: str) -> Iterator[Finding]:
    """Yield whether `user` (by name; empty for who runs this) can keep the buffer and the
    state. Raises ConfigError for a user that does not exist."""
    path = config.buffer.path
    try:
        fault = place.directory_fault(path)
    except PermissionError:
        yield _unseen(path, user)
        return
    if fault:
        yield fail("machine", "buffer", *fault)
        return
    try:
        mounts = place.MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        mounts = ""
    if kind := place.network_of(path, mounts):
        yield fail(
            "machine",
            "buffer",
            f"{path} is on {kind}, a file system of the network: its locks do not keep the file "
            "whole, and the network would stop the logger",
            "buffer.path on a disk of this machine",
        )
    uid, groups, name = _user(user)
    if (closed := place.closed_to(path, state_directory(path), uid, groups)) is not None:
        yield fail(
            "machine",
            "buffer",
            f"user {name} may not write {closed}, which the buffer {path} needs",
            "mount it for writing, or choose another buffer.path"
            if place.read_only(nearest(closed))
            else _remedy(path, closed, name, mine=not user),
        )
    else:
        yield ok("machine", "buffer", f"{path}: user {name} may write it")


def _unseen(path: Path, user: str) -> Finding:
    """Return the verdict on a buffer whose directory is closed to who runs this."""
    uid, _, name = _user(user)
    if uid == os.geteuid():
        text = f"user {name} may not look into the directory of the buffer {path}"
        return fail(
            "machine",
            "buffer",
            text,
            "the same command with sudo, or with --user the logger's; or another buffer.path",
        )
    text = f"{path}: not looked at: its directory is closed to this user"
    return warn("machine", "buffer", text, "the same command with sudo")


def _remedy(path: Path, closed: Path, name: str, *, mine: bool) -> str:
    """Return what lets user `name` write the buffer `path`, to which `closed` is closed; `mine`
    if that is who runs this.

    No command is told that would give away more than what is the buffer's own.
    """
    directory = nearest(path.parent)
    if mine and path.parent == _USUAL.parent and any(unit.exists() for unit in UNITS):
        return "it is the service's: --user tries it as its user; or another buffer.path"
    if closed in directory.parents:
        return f"a buffer.path that is not below {closed}, such as {_USUAL}"
    if directory != path.parent:
        return f"sudo install -d -o {name} {path.parent}, or another buffer.path"
    if closed == directory and not _only_of(path):
        return f"a buffer.path in a directory of its own, such as {_USUAL}"
    return f"sudo chown -R {name} {closed}, or another buffer.path"


def _only_of(path: Path) -> bool:
    """Whether nothing but the buffer `path` and what belongs to it is in its directory."""
    try:
        return all(one.name.startswith(path.name) for one in path.parent.iterdir())
    except OSError:
        return False


def _user(name: str) -> tuple[int, frozenset[int], str]:
    if not name:
        groups = frozenset((os.getegid(), *os.getgroups()))
        try:
            name = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:  # in a container users have numbers only
            name = str(os.geteuid())
        return os.geteuid(), groups, name
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        names = [one.pw_name for one in pwd.getpwall()]
        raise ConfigError(f"no user is called {name!r}", suggestion(name, names, "")) from None
    return found.pw_uid, frozenset(os.getgrouplist(name, found.pw_gid)), name
