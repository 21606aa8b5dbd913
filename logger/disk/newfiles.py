"""Writes what a person will read and edit: whole files or none, and never over another."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from logger.domain.errors import ExportError


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be made: its text, and its mode whatever the umask."""

    path: Path
    text: str
    mode: int = 0o644


def write_new(files: Sequence[NewFile]) -> None:
    """Make all `files` and the directories they need; if one cannot be made, or is there
    already, make none. Raises ExportError."""
    drafts: list[Path] = []
    made: list[Path] = []
    directories: list[Path] = []
    try:
        for file in files:
            with writing(file.path):
                directories += _make_directory(file.path.parent)
                drafts.append(_draft(file))
        for file, draft in zip(files, drafts, strict=True):
            with writing(file.path):
                _place(draft, file.path)
            made.append(file.path)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        for path in drafts:
            path.unlink(missing_ok=True)
        for path in reversed(directories):
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
    for path in drafts:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into an ExportError that says what to try."""
    try:
        yield
    except FileExistsError:
        raise ExportError(
            f"{path} exists already", "choose another name, or move it away"
        ) from None
    except OSError as err:
        if isinstance(err, PermissionError):
            hint = f"this user may not write there; ls -ld {nearest(path.parent)} shows who may"
        else:
            hint = "choose another place"
        raise ExportError(f"{path}: cannot be written: {err.strerror}", hint) from err


def may_be_made(path: Path) -> None:
    """Raise ExportError if `path` exists, or cannot be made by this user: for before a long
    scan or many questions."""
    with writing(path):
        if path.exists() or path.is_symlink():
            raise FileExistsError
        directory = nearest(path.parent)
        if not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{directory} is no directory")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def nearest(directory: Path) -> Path:
    """Return `directory`, or what is nearest to it and exists."""
    while not os.path.lexists(directory) and directory != directory.parent:
        directory = directory.parent
    return directory


def _make_directory(directory: Path) -> list[Path]:
    """Make `directory`; return the directories that were made, the outermost first."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _draft(file: NewFile) -> Path:
    draft = file.path.with_name(f".{file.path.name}.{os.getpid()}.part")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, file.mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            os.fchmod(handle, file.mode)
            stream.write(file.text)
            stream.flush()
            os.fsync(handle)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _place(draft: Path, path: Path) -> None:
    """Give `draft` its name, unless something has it."""
    try:
        os.link(draft, path)
    except PermissionError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError from None
        draft.rename(path)
