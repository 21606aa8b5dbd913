"""Several gateways that connect to one place of this machine and end each other's connection.

Pure: time is an argument, seconds of `elapsed`.

Only one connection can be read, and the newest counts: a gateway that lost its connection
without a word comes again. Where good connections go on ending for newer ones there is more
than one gateway, and the meters behind one pass for those behind the other.
"""

from __future__ import annotations

REMEDY = "give each gateway a port and a [[bus]] of its own"

# So many good connections that ended for newer ones, in so many seconds, are no gateway
# that comes again; from addresses that come back, in more seconds.
_TURNS, _TURNS_S, _COME_BACK_S = 4, 60.0, 600.0


class Rivals:
    """The good connections that ended, as another one had come."""

    def __init__(self) -> None:
        self._turns: list[tuple[float, str]] = []
        self.count = 0

    def ended(self, host: str, now: float) -> None:
        """Note that a good connection from `host` ends, as another one has come."""
        self.count += 1
        self._turns = [*self._turns, (now, host)][-_TURNS:]

    def _text(self, now: float) -> str:
        """Return what there is to say about it, "" while all is well."""
        hosts = {host for _, host in self._turns}
        within_s = _COME_BACK_S if 1 < len(hosts) < len(self._turns) else _TURNS_S
        if len(self._turns) < _TURNS or now - self._turns[0][0] > within_s:
            return ""
        return (
            f"more than one gateway seems to connect to it (from {', '.join(sorted(hosts))}), and "
            "each ends the connection of the other"
        )

    def problems(self, now: float) -> list[str]:
        """Return a sentence with the remedy, none while all is well."""
        return [f"{text}: {REMEDY}"] if (text := self._text(now)) else []

    @property
    def hosts(self) -> str:
        """The addresses of the last ones."""
        return ", ".join(sorted({host for _, host in self._turns}))
