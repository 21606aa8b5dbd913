"""One line of a check: what was looked at, what it is, what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How good it is. Only `fail` makes the exit code 1."""

    OK = "ok"
    NOTE = "note"  # worth knowing
    WARN = "warn"  # probably not what was meant
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found about `subject` (a bus, a meter, the machine)."""

    subject: str
    about: str
    verdict: Severity
    text: str
    remedy: str = ""


def ok(subject: str, about: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(subject=subject, about=about, verdict=Severity.OK, text=text)


def note(subject: str, about: str, text: str, remedy: str = "") -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(subject=subject, about=about, verdict=Severity.NOTE, text=text, remedy=remedy)


def warn(subject: str, about: str, text: str, remedy: str) -> Finding:
    """Return a finding that something is probably not what was meant."""
    return Finding(subject=subject, about=about, verdict=Severity.WARN, text=text, remedy=remedy)


def fail(subject: str, about: str, text: str, remedy: str) -> Finding:
    """Return a finding that something does not work."""
    return Finding(subject=subject, about=about, verdict=Severity.FAIL, text=text, remedy=remedy)
