"""What Grafana does with its environment and provisioning when it starts, and refuses then.

From its sources: pkg/services/notifications (the sender is checked whether mail is enabled
or not), pkg/util/validation.go, pkg/services/provisioning/values (expansion; since 9.4 a
number that came from a variable is a number), pkg/setting/expanders.go, and NewConfig of
the receivers email, webhook and telegram in grafana/alerting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

# The letters of an address beyond ASCII that Grafana takes.
_MORE = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef"
_TEXT = rf"[a-zA-Z\d!#$%&'*+\-/=?^_`{{|}}~{_MORE}]"
_OUTER = rf"[a-zA-Z\d{_MORE}]"
_INNER = rf"[a-zA-Z\d\-._~{_MORE}]"
_LABEL = rf"{_OUTER}(?:{_INNER}*{_OUTER})?"
_LAST = rf"[a-zA-Z{_MORE}](?:{_INNER}*{_OUTER})?"
_SENDER = re.compile(rf"{_TEXT}+(?:\.{_TEXT}+)*@(?:{_LABEL}\.)+{_LAST}\.?")
_NAMED = re.compile(r"\$(|__\w+)\{([^}]+)\}")


def is_sender(text: str) -> bool:
    """Return whether Grafana takes `text` as the address that its mails come from."""
    return _SENDER.fullmatch(text.lower()) is not None


def _braces(text: str, environment: Mapping[str, str]) -> str:
    for kind, name in _NAMED.findall(text):
        if kind in {"", "__env"}:
            text = text.replace(f"${kind}{{{name}}}", environment.get(name, ""), 1)
    return text


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """Return `text` as Grafana reads it from a provisioning file; `$__file` stays."""

    def value(match: re.Match[str]) -> str:
        return environment.get(match[1] or match[2], "")

    parts = []
    for part in text.split("$$"):
        once = _braces(part, environment)
        parts.append(re.sub(r"\$(?:\{(\w+)\}|(?!__file)(\w+))", value, once))
    return "$".join(parts)


def setting(text: str, environment: Mapping[str, str]) -> str | float | bool:
    """Return one setting of a receiver: digits and booleans of a variable lose their quotes."""
    read = expanded(text, environment)
    if read == text:
        return read
    if read in {"true", "false"}:
        return read == "true"
    try:
        return float(read)
    except ValueError:
        return read


def _receiver(receiver: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    read = {
        name: setting(value, environment) if isinstance(value, str) else value
        for name, value in receiver["settings"].items()
    }
    needed = {"email": ("addresses",), "webhook": ("url",), "telegram": ("bottoken", "chatid")}
    found = []
    for name in needed[receiver["type"]]:
        if not isinstance(read.get(name), str):
            found.append(f"{receiver['uid']}: {name} is {read.get(name)!r}, not a text")
        elif not read[name]:
            found.append(f"{receiver['uid']}: no {name}")
    return found


def refusals(environment: Mapping[str, str], notifications: Mapping[str, Any]) -> list[str]:
    """Return why Grafana with this environment and these contact points would not start."""
    found = []
    sender = environment["GF_SMTP_FROM_ADDRESS"]
    if not is_sender(sender):
        found.append(f"invalid email address for SMTP from_address config: {sender!r}")
    root = environment["GF_SERVER_ROOT_URL"]
    try:
        if urlsplit(root).scheme not in {"http", "https"} or " " in root:
            found.append(f"root_url {root!r}")
    except ValueError as err:
        found.append(f"root_url {root!r}: {err}")
    for point in notifications["contactPoints"]:
        for receiver in point["receivers"]:
            found += _receiver(receiver, environment)
    return found
