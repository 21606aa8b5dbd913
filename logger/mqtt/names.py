"""Topics, keys and ids: what names of meters and sites become where not every character
may stand. Pure.

Topics: MQTT 3.1.1 (OASIS), 1.5.3 and 4.7. Ids: Home Assistant, "MQTT", discovery topic:
letters, digits, _ and - only.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from logger.domain.quantity import Quantity

_DIGEST = 8
_ID = re.compile(r"[^A-Za-z0-9_-]+")


def level(name: str) -> str:
    """Return `name` as one level of a topic: what may not stand there is percent-encoded,
    everything else, blanks and accents included, stays."""
    return "".join(
        one
        if one not in "/+#%" and unicodedata.category(one)[0] != "C"
        else "".join(f"%{byte:02X}" for byte in one.encode("utf-8", "replace"))
        for one in name
    )


def identifier(name: str) -> str:
    """Return an id that reads like `name`; two names never have one id."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    found = _ID.sub("_", plain).strip("_")
    if found == name:
        return found
    return f"{found}_{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]}".lstrip("_")


def key(quantity: Quantity) -> str:
    """Return what a quantity is called in a message: `active_power`, `voltage_L1_L2`,
    `active_import_T1`; "total" is left out."""
    parts = (quantity.field, *(part for part in quantity[1:] if part not in ("", "total")))
    return "_".join(parts).replace("-", "_")


def client_id(prefix: str, site: str) -> str:
    """Return a client id of at most 23 letters and digits, which every broker takes: the
    same after each start, so that a broker ends what is left of the connection before."""
    return f"inepro{hashlib.sha256(f'{prefix}/{site}'.encode()).hexdigest()[:16]}"


class Topics:
    """Where the messages of one site go, below `prefix`."""

    def __init__(self, prefix: str, site: str) -> None:
        self._base = f"{prefix}/{level(site)}"

    @property
    def logger(self) -> str:
        """Whether the logger is there: online or offline."""
        return f"{self._base}/status"

    @property
    def every_status(self) -> tuple[str, ...]:
        """Where it is said who is there, as patterns: logger, meters, site."""
        return self.logger, f"{self._base}/meter/+/status", f"{self._base}/flows/status"

    @property
    def check(self) -> str:
        """Where `check` tries whether messages come through."""
        return f"{self._base}/check"

    def status(self, meter: str) -> str:
        """Whether a meter gives values; for "" whether the site does."""
        return f"{self._place(meter)}/status"

    def state(self, meter: str) -> str:
        """The newest values of a meter; for "" those of the site."""
        return f"{self._place(meter)}/state"

    def _place(self, meter: str) -> str:
        return f"{self._base}/meter/{level(meter)}" if meter else f"{self._base}/flows"


def discovery_topic(prefix: str, object_id: str) -> str:
    """Return where Home Assistant looks for the description of a device."""
    return f"{prefix}/device/{object_id}/config"
