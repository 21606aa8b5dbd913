"""The secrets this process has met, and the one function that masks them by value.

A secret is found as it is and in every form in which a library, a server or a log shows
it: escaped by Python or JSON, percent-encoded, as an HTML entity, in base64 (also inside
a longer text, as in "Basic dXNlcjpwYXNz"), in hexadecimal, and in mixtures of these.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from urllib.parse import unquote

MASK = "***"
# Shorter ones keep nobody out, and would mask half of every text.
_SHORTEST = 4
_SHORTEST_CODED = 6  # of base64 characters that depend on the secret alone
_MOST = 200  # so many are remembered, the latest
_NAMED = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|SECRET_KEY|WEBHOOK_URL|NTFY_URL)$")
# User and password in an address. What the parser makes of it does not matter: everything
# up to the last @ may belong to a password.
_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/{1,2})[^\s\"<>]*@")
_ESCAPING = re.compile(r"[%\\&+]")


class _Form:
    """One way to write a secret; every character of it may be escaped."""

    def __init__(self, plain: str) -> None:
        self.plain = plain

    @cached_property
    def escaped(self) -> re.Pattern[str]:
        return re.compile("".join(map(_any_of, self.plain)))

    def mask(self, text: str, escaping: bool) -> str:
        if self.plain in text:
            text = text.replace(self.plain, MASK)
        return self.escaped.sub(MASK, text) if escaping else text


_lock = threading.Lock()
_known: dict[str, tuple[_Form, ...]] = {}
_forms: tuple[_Form, ...] = ()


def keep(*secrets: str) -> None:
    """Mask these texts from now on, wherever they are shown."""
    global _forms
    with _lock:
        for secret in secrets:
            if len(secret) < _SHORTEST or secret in _known:
                continue
            _known[secret] = tuple(map(_Form, dict.fromkeys((secret, *_coded(secret)))))
            if len(_known) > _MOST:
                del _known[next(iter(_known))]
        # The longest first: a secret may be a part of another one.
        every = {form.plain: form for forms in _known.values() for form in forms}
        _forms = tuple(sorted(every.values(), key=lambda form: -len(form.plain)))


def keep_login(text: str) -> None:
    """Mask what stands between `://` and `@` in the addresses in `text`, as it is there
    and decoded: a password, and `user:password`."""
    for found in re.finditer(r"//([^\s\"]*)@", text):
        for login in (found[1], unquote(found[1])):
            keep(login, login.partition(":")[2])


def keep_environment(environment: Mapping[str, str]) -> None:
    """Mask the values of all variables that are called a token, a password or a secret."""
    keep(*(value.strip() for name, value in environment.items() if _NAMED.search(name)))


def mask(text: str) -> str:
    """Return `text` without any secret in any form."""
    if _forms:
        escaping = _ESCAPING.search(text) is not None
        for form in _forms:
            text = form.mask(text, escaping)
    if "@" in text and ":/" in text:
        text = _LOGIN.sub(rf"\1{MASK}@", text)
    return text


def _coded(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogateescape")
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):  # where it begins in the three bytes that make four characters
        code = base64.b64encode(bytes(shift) + raw).decode()
        inner = code[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]
        if len(inner) >= _SHORTEST_CODED:
            yield inner
            yield inner.translate(str.maketrans("+/", "-_"))


def _any_of(character: str) -> str:
    """Return a pattern for all ways to write one character."""
    from html.entities import codepoint2name  # when something has to be masked

    number, raw = ord(character), character.encode("utf-8", "surrogateescape")
    ways = [re.escape(character)]
    if character in "\"'/\\`":
        ways.append(rf"\\+{re.escape(character)}")
    if character == " ":
        ways.append(r"\+")
    ways.append("".join(rf"%(?:25)*{_hex(byte, 2)}" for byte in raw))
    ways.append("".join(rf"\\+x{_hex(byte, 2)}" for byte in raw))
    ways += [rf"\\+x{_hex(number, 2)}"] if number < 0x100 else []
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    ways.append("".join(rf"\\+u{_hex(pair, 4)}" for pair in pairs))
    ways.append(rf"\\+U{_hex(number, 8)}")
    ways.append(rf"&(?:amp;)*#(?:0*{number}|[xX]0*{_hex(number, 1)});")
    if (name := codepoint2name.get(number)) is not None:
        ways.append(rf"&(?:amp;)*{name};")
    return f"(?:{'|'.join(ways)})"


def _hex(number: int, digits: int) -> str:
    """Return a pattern for a hexadecimal number in small or capital letters."""
    return "".join(
        f"[{digit}{digit.upper()}]" if digit.isalpha() else digit
        for digit in f"{number:0{digits}x}"
    )
