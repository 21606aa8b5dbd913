"""What goes wrong with real meters and lines, by name, to be combined at will.

A quirk is seeded: the same requests in the same order meet the same faults.
"""

from __future__ import annotations

from collections.abc import Iterable

from logger.domain.errors import SimulationError
from logger.simulate.line_faults import (
    Babble,
    CopiesAnswers,
    DropBytes,
    Echo,
    EverySecond,
    FlipBits,
    LateAnswer,
    OneWire,
    SplitFrames,
    WrongAddress,
    ZeroBytes,
)
from logger.simulate.meter_faults import (
    Dead,
    DiesAfter,
    GlitchZero,
    IntegerDataType,
    LegacyOnly,
    NoLongBlock502A,
    RefuseGaps,
    RefusePro1,
    ReversedCt,
    Slow,
    UnsetCt,
)
from logger.simulate.quirk import Quirk

QUIRKS: dict[str, type[Quirk]] = {
    kind.name: kind
    for kind in (
        NoLongBlock502A,
        RefuseGaps,
        RefusePro1,
        Echo,
        ZeroBytes,
        DropBytes,
        FlipBits,
        SplitFrames,
        LateAnswer,
        WrongAddress,
        EverySecond,
        CopiesAnswers,
        OneWire,
        Babble,
        Dead,
        Slow,
        DiesAfter,
        GlitchZero,
        IntegerDataType,
        UnsetCt,
        LegacyOnly,
        ReversedCt,
    )
}


def quirks_named(names: Iterable[str], seed: int = 1) -> tuple[Quirk, ...]:
    """Return the quirks of `names`; "dead@2" concerns only the meter at address 2.

    Raises SimulationError naming the known ones.
    """
    found = []
    for text in names:
        name, at, address = text.partition("@")
        if name not in QUIRKS:
            raise SimulationError(f"unknown quirk {name!r}", f"known: {', '.join(QUIRKS)}")
        if at and not (address.isdecimal() and 1 <= int(address) <= 247):
            raise SimulationError(f"quirk {text!r}: {address!r} is no address", "use 1 to 247")
        found.append(QUIRKS[name](seed, int(address) if at else None))
    return tuple(found)
