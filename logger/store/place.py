"""Whether a buffer file can lie where it is to lie: permissions and file systems."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from logger.disk.newfiles import nearest
from logger.domain.errors import ConfigError

MOUNTS = Path("/proc/self/mountinfo")
# The log of SQLite needs memory that all its users share, and locks that hold: both end at
# the machine (sqlite.org, "Write-Ahead Logging").
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|coda|davfs|glusterfs|lustre|ncpfs|"
    r"fuse\.(sshfs|rclone|s3fs|davfs\d?|glusterfs|cephfs|curlftpfs)"
)
_READ_ONLY = "is read-only"
_BESIDE = ("-wal", "-shm", ".journal", ".lock", ".reserve")


def check_first(path: Path) -> None:
    """Raise ConfigError if this user may not look there, or if there is no buffer at `path`
    yet and none can be made.

    One that is there is another matter: a disk that fails now may work again later.
    """
    try:
        directory = path.is_dir()
    except PermissionError:
        raise ConfigError(
            f"buffer.path: {path} is closed to this user",
            "the service's is for the service: sudo systemctl start inepro-logger, and sudo before "
            "every other command; a logger of your own has another buffer.path",
        ) from None
    if directory:
        raise ConfigError(f"buffer.path: {path} is a directory", _file_in(path))
    if not os.path.lexists(path):
        _check_made(path)


def _check_made(path: Path) -> None:
    directory = nearest(path.parent)
    if not directory.is_dir():
        raise ConfigError(
            f"buffer.path: {path} cannot be made: {directory} is no directory", "choose another one"
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        why = _READ_ONLY if read_only(directory) else "is closed to this user"
        raise ConfigError(
            f"buffer.path: {path} cannot be made: {directory} {why}",
            f'sudo install -d -o "$USER" {path.parent} makes it for you; or another buffer.path'
            if directory != path.parent and why != _READ_ONLY
            else f"another buffer.path; or ls -ld {directory} shows who may write there",
        )


def _file_in(path: Path) -> str:
    return f'name a file in it: path = "{path / "buffer.sqlite"}"'


def directory_fault(path: Path) -> tuple[str, str] | None:
    """Return what is wrong and a remedy if `path` is a directory."""
    return (f"{path} is a directory", _file_in(path)) if path.is_dir() else None


def read_only(directory: Path) -> bool:
    """Return whether the file system of `directory` is mounted read-only."""
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def closed_to(path: Path, state: Path, uid: int, groups: frozenset[int]) -> Path | None:
    """Return the first file or directory that a user with this number and these groups has
    to write for a buffer at `path` with its `state`, and may not; None when all is well."""
    for one, searched in _needed(path, state):
        try:
            if uid == os.geteuid():
                may = os.access(one, os.X_OK if searched else _wanted(one))
            else:
                may = _may(one.stat(), uid, groups, 1 if searched else _wanted(one))
                may = may and (searched or not read_only(one))
        except OSError:
            may = False
        if not may:
            return one
    return None


def _wanted(path: Path) -> int:
    return os.W_OK | os.X_OK if path.is_dir() else os.R_OK | os.W_OK


def _needed(path: Path, state: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what is needed, and whether it is only passed through."""
    directory = nearest(path.parent)
    for one in reversed(directory.parents):
        yield one, True
    yield directory, False
    if directory != path.parent:
        return
    beside = (path, *(path.with_name(path.name + end) for end in _BESIDE))
    for one in (*beside, state, *sorted(state.rglob("*"))):
        if os.path.lexists(one):
            yield one, False


def _may(status: os.stat_result, uid: int, groups: frozenset[int], wanted: int) -> bool:
    if uid == 0:
        return True
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
    return (status.st_mode >> shift) & wanted == wanted


def network_of(path: Path, mounts: str) -> str:
    """Return the type of the network file system that `path` is on, empty if it is on none;
    `mounts` is the text of /proc/self/mountinfo."""
    place = str(path.resolve())
    best, found = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, found = point, after.split()[0]
    return found if _NETWORK.fullmatch(found) else ""
