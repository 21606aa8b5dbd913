"""Where the values of a unit come from that is no meter's own: one meter, or the sum of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from logger.domain.quantity import Quantity
from logger.domain.wiring import Wiring
from logger.models import Value
from logger.share.newest import Newest, completed, summed


@dataclass(frozen=True, slots=True)
class Member:
    """A meter, how it is connected, and its newest values."""

    name: str
    wiring: Wiring
    newest: Newest

    @property
    def one_phase(self) -> bool:
        """Whether it measures one phase."""
        return self.wiring == "1P2W" or self.newest.model.one_phase


@dataclass(frozen=True, slots=True)
class Source:
    """One meter or several; `serial` tells the unit from every other one."""

    members: Sequence[Member]
    serial: str

    @property
    def silent(self) -> bool:
        """Whether a meter does not answer."""
        return any(member.newest.silent for member in self.members)

    @property
    def wiring(self) -> Wiring:
        """How the meters are connected; several that differ have all four wires."""
        kinds: set[Wiring] = {
            "1P2W" if member.one_phase else member.wiring for member in self.members
        }
        return kinds.pop() if len(kinds) == 1 else "3P4W"

    @property
    def title(self) -> str:
        """The model of the meter, or how many there are."""
        if len(self.members) == 1:
            return self.members[0].newest.model.name
        return f"sum of {len(self.members)}"

    def picture(self, now: float) -> dict[Quantity, Value | None]:
        """Return the newest values at `now`, completed."""
        several = len(self.members) > 1
        pictures = [
            completed(member.newest.picture(now), one_phase=member.one_phase)
            for member in self.members
        ]
        return completed(summed(list(pictures)), one_phase=False) if several else pictures[0]


def serial_of(site: str, unit: int) -> str:
    """Return eight digits for a unit that is no meter of its own.

    They begin with 99, as no meter's do so far, and end with the unit; those between tell two
    sites apart. They stay the same over restarts.
    """
    number = 0
    for byte in site.encode():
        number = (number * 31 + byte) % 997
    return f"99{number:03d}{unit:03d}"
