"""What Grafana, or one of its contact points, will not take from the environment. Pure.

Grafana checks the sender of its mails when it starts, whether it is to send any or not,
and it validates every contact point that is provisioned: one bad value and it does not
start at all. So each of them is looked at before Grafana is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import parseaddr
from urllib.parse import urlsplit

from logger.grafana.notify import EMAIL, NTFY, TELEGRAM, WEBHOOK

SENDER, MAIL, MAIL_SERVER = "SMTP_FROM", "SMTP_ENABLED", "SMTP_HOST"
URL = "GRAFANA_URL"
# Grafana's own names for them, which the compose file sets from ours.
_OWN = {
    SENDER: "GF_SMTP_FROM_ADDRESS",
    MAIL: "GF_SMTP_ENABLED",
    MAIL_SERVER: "GF_SMTP_HOST",
}

_ATOM = r"[A-Za-z0-9!#%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_LOCAL = rf"{_ATOM}(?:\.{_ATOM})*"
# The last part of a domain begins with a letter, and something stands before it.
_SENDER = re.compile(rf"{_LOCAL}@(?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_ADDRESS = re.compile(rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})*")
_CHAT = re.compile(r"-?\d+|@\w+")
_BOT = re.compile(r"\d+:[\w-]+")
_YES = {"1", "t", "true", "yes", "y", "on"}
_NO = {"0", "f", "false", "no", "n", "off"}


def mail_addresses(text: str) -> list[str]:
    """Return the addresses of `text`, which Grafana divides at commas, semicolons and ends
    of lines; empty when one of them is none."""
    parts = [part.strip() for part in re.split(r"[,;\n]", text) if part.strip()]
    found = [parseaddr(part)[1] for part in parts]
    return found if all(_ADDRESS.fullmatch(one) for one in found) else []


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = not re.search(r"[\s\x00-\x1f\x7f\"<>\\^`{|}]|%(?![0-9A-Fa-f]{2})", text)
    return plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0


def _is_server(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


# The variable, whether its value may be shown, what is taken, and how it is written.
_DEMANDS: tuple[tuple[str, bool, Callable[[str], object], str], ...] = (
    (SENDER, True, _SENDER.fullmatch, "an address with a dot in its domain: energy@example.org"),
    (MAIL, True, lambda text: text.lower() in _YES | _NO, "true or false"),
    (MAIL_SERVER, True, _is_server, "HOST:PORT: smtp.example.org:587"),
    (URL, True, _is_url, "the address of Grafana: http://raspberrypi.local:3000/"),
    (EMAIL, True, mail_addresses, "mail addresses, divided by commas: me@example.org"),
    (WEBHOOK, False, _is_url, "an address: https://example.org/hook"),
    (NTFY, False, _is_url, "an address: https://ntfy.sh/a-topic-nobody-guesses"),
    (TELEGRAM[0], False, _BOT.fullmatch, "the bot's token: 123456789:AbCd..."),
    (TELEGRAM[1], True, _CHAT.fullmatch, "the chat's number, or @its_name"),
)


def problems(given: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the variables of `given`, one text each.

    Variables that are empty or missing have defaults. No text holds a secret: addresses
    of webhooks are such.
    """
    found = []
    for variable, shown, taken, form in _DEMANDS:
        for name in filter(None, (variable, _OWN.get(variable))):
            value = given.get(name, "")
            if value and not taken(value):
                came = f"is {value!r}" if shown else "is something else"
                found.append(f"{name} {came}, expected {form}")
    for name, other in (TELEGRAM, TELEGRAM[::-1]):
        if given.get(name) and not given.get(other):
            found.append(f"{name} is set and {other} is not: Telegram needs both")
    return found


def remarks(given: Mapping[str, str]) -> list[str]:
    """Return what Grafana takes and nobody wants: messages that will not be sent."""
    sends, sender, server = (
        given.get(name) or given.get(_OWN[name], "") for name in (MAIL, SENDER, MAIL_SERVER)
    )
    found = []
    if given.get(EMAIL) and sends.lower() not in _YES:
        found.append(
            f"{EMAIL} is set, but Grafana sends no mail before {MAIL}=true; without the compose "
            f"file {_OWN[MAIL]}=true in its environment"
        )
    if sends.lower() in _YES and not sender:
        found.append(f"{MAIL} is true without {SENDER}: most mail servers refuse the default one")
    if sends.lower() in _YES and not server:
        found.append(f"{MAIL} is true without {MAIL_SERVER}: mail goes to port 25 of the container")
    return found
