"""Checks one answer or option at a time, as the whole file would be. Pure.

Every function takes what a person wrote and returns what it means; it raises ValueError
with a text for that person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import TypeAdapter, ValidationError

from logger.config import ports
from logger.config.addresses import MODBUS
from logger.config.answers import Meter
from logger.config.site import Site
from logger.config.types import Name
from logger.domain.datamodel import ROLES
from logger.domain.errors import nearest

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_ROLES = ", ".join(ROLES)


def name(text: str) -> str:
    """Return the name of a site or of a meter."""
    text = text.strip()
    if "://" in text or text.startswith("/dev/"):
        raise ValueError(f"{text!r} looks like a port: a name is wanted here, such as home")
    try:
        return _NAME.validate_python(text, strict=True)
    except ValidationError as err:
        raise ValueError(f"{text!r}: {_words(err)}") from None


def zone(text: str) -> str:
    """Return the name of a time zone."""
    try:
        return Site(name="home", timezone=text.strip()).timezone
    except ValidationError as err:
        raise ValueError(_words(err)) from None


def port(text: str) -> str:
    """Return a port as the configuration takes it."""
    text = text.strip()
    if ports.network(text) is None:
        ports.check_device(text)
    return text


def address(text: str) -> int:
    """Return the address of a meter on Modbus."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and int(text[:9]) in MODBUS):
        raise ValueError(f"{text!r}: an address is a number from {MODBUS[0]} to {MODBUS[-1]}")
    return int(text)


def role(text: str) -> str:
    """Return what a meter measures."""
    text = text.strip().lower()
    if text not in ROLES:
        near = nearest(text, ROLES)
        meant = f"did you mean {near!r}?" if near else f"one of {_ROLES}"
        raise ValueError(f"{text!r} is no role: {meant}")
    return text


def one_of(text: str, known: Sequence[str], what: str) -> str:
    """Return a name that is `known`."""
    text = text.strip()
    if text not in known:
        near = nearest(text, known)
        meant = f"did you mean {near!r}?" if near else f"one of {', '.join(known)}"
        raise ValueError(f"no {what} is called {text!r}: {meant}")
    return text


def meter(text: str, model: str) -> Meter:
    """Return the meter of ADDRESS:ROLE or ADDRESS:ROLE:NAME."""
    number, first, rest = text.partition(":")
    what, _, called = rest.partition(":")
    if not first:
        raise ValueError(f"{text!r}: write ADDRESS:ROLE, such as 1:grid; roles are {_ROLES}")
    try:
        what = role(what)
        return Meter(name=name(called or what), address=address(number), role=what, model=model)
    except ValueError as err:
        raise ValueError(f"{err}; write ADDRESS:ROLE or ADDRESS:ROLE:NAME, as 1:grid") from None


def unlike(meters: Iterable[Meter], one: Meter) -> Meter:
    """Return `one`, whose name and address none of `meters` has."""
    for other in meters:
        if one.address == other.address:
            raise ValueError(f"address {one.address} is that of {other.name!r} already")
        if one.name == other.name:
            raise ValueError(f"a meter is called {one.name!r} already: names must differ")
    return one


def _words(err: ValidationError) -> str:
    text = str(err.errors()[0]["msg"]).removeprefix("Value error, ")
    return text.replace("String should", "it should")
