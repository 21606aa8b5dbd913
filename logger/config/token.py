"""Tokens, of InfluxDB and of readers over HTTP: one line of a file, or a variable. Never part
of a complaint."""

from __future__ import annotations

import os
import re
from pathlib import Path

from logger.domain.errors import ConfigError
from logger.texts import keep

TOKEN_VARIABLE = "INFLUXDB_TOKEN"  # noqa: S105 - the name of a variable, not a secret
# The logger's own token may write only; reports may take another one from here.
READ_TOKEN_VARIABLE = "INFLUXDB_READ_TOKEN"  # noqa: S105 - the name of a variable
_LONGEST = 8192  # bytes; tokens of InfluxDB have 88, signed ones (JWT) some hundred
_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_QUOTES = "\"'`´‘’‚‛“”„‟«»‹›"
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Z][A-Z0-9_]*|token)\s*=\s*(?=[^=\s])")
_ALONE = "put the token alone on one line, as it was shown"


def from_file(file: Path, key: str = "influxdb.token_file") -> str:
    """Return the token in `file`, which `key` of the configuration names.

    Raises ConfigError that names the file and the fault.
    """
    where = f"{key}: {file}"
    try:
        with file.open("rb") as stream:
            raw = stream.read(_LONGEST + 1)
    except OSError as err:
        if not os.path.lexists(file) and re.fullmatch(r"[\w+=-]{30,}", file.name):
            keep(file.name)
            raise ConfigError(
                f"{key}: it is not the name of a file, but looks like a token",
                "put the token into a file, and the name of that file here",
            ) from None
        hint = "put the token into that file, readable for this user"
        if isinstance(err, PermissionError):
            hint = (
                "the same command with sudo if it is the service's; else make it readable for you"
            )
        raise ConfigError(f"{where}: {err.strerror}", hint) from err
    if len(raw) > _LONGEST:
        raise ConfigError(f"{where}: too large to be a token: over {_LONGEST} bytes", _ALONE)
    for mark, coding in _MARKS.items():
        if raw.startswith(mark):
            _keep_parts(raw.decode(coding, "replace").lstrip("\ufeff"))
            raise ConfigError(
                f"{where}: it begins with a byte order mark ({coding})",
                "save it without: as plain text, in ASCII or UTF-8 without BOM",
            )
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        _keep_parts(raw.decode("latin-1"))
        raise ConfigError(f"{where}: not text", _ALONE) from None
    return _checked(where, text, f"{where} is empty")


def from_environment(name: str = TOKEN_VARIABLE) -> str:
    """Return the token in a variable, empty if there is none. Raises ConfigError."""
    text = os.environ.get(name, "")
    return _checked(f"variable {name}", text, "") if text.strip() else ""


def _checked(where: str, text: str, empty: str) -> str:
    token = text.strip()
    _keep_parts(token)
    if not token:
        raise ConfigError(empty, "put the token into that file")
    if fault := _fault(token):
        raise ConfigError(f"{where}: {fault}", _ALONE)
    return token


def _keep_parts(text: str) -> None:
    """Keep what may be the token in a text that is more than a token."""
    keep(text)
    if ":" in text:  # of InfluxDB 1.8: user:password
        password = text.partition(":")[2]
        keep(*([password] if len(password) >= 8 else []))
    lines = text.splitlines()[:20]
    words = [word for line in lines for word in (line.strip(), *line.split())]
    bare = [word.strip(_QUOTES) for word in words]
    keep(*(word for word in (*words, *bare) if word != text and len(word) >= 8))


def _fault(token: str) -> str:
    """Return what is wrong with a token, empty if nothing is; never a part of it."""
    lines = len(token.splitlines())
    if lines > 1:
        return f"it has {lines} lines, a token is one"
    if any(character != "\t" and (character < " " or character == "\x7f") for character in token):
        return "it has a control character in it"
    if token[0] in _QUOTES or token[-1] in _QUOTES:
        straight = token[0] in "\"'" or token[-1] in "\"'"
        return "it stands in quotes" if straight else "it stands in curly quotes"
    if found := _ASSIGNMENT.match(token):
        return f"it begins with a name and an equals sign ({len(found[0])} characters)"
    if any(character.isspace() for character in token):
        return "it has a blank in it"
    for place, character in enumerate(token, start=1):
        if not "!" <= character <= "~":
            return f"character {place} of it is none that a token has"
    return ""
