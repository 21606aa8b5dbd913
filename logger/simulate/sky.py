"""The sun and the clouds over one place. Pure."""

from __future__ import annotations

import math

from logger.simulate.noise import unit

_DAY_S = 86400.0
# J2000.0, 2000-01-01 12:00, in days since 1970-01-01.
_J2000_DAYS = 10957.5


def sun_height(at: float, latitude: float, longitude: float) -> float:
    """Return the sine of the sun's elevation at `at` (epoch seconds).

    `latitude` and `longitude` in degrees, north and east positive. Low-precision
    formulas of the Astronomical Almanac, good to 0.01 degrees between 1950 and 2050.
    """
    days = at / _DAY_S - _J2000_DAYS
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = math.radians(
        280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    tilt = math.radians(23.439 - 0.0000004 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = math.radians((18.697374558 + 24.06570982441908 * days) % 24 * 15 + longitude)
    place = math.radians(latitude)
    return math.sin(place) * math.sin(declination) + math.cos(place) * math.cos(
        declination
    ) * math.cos(sidereal - ascension)


def clear_sky(height: float) -> float:
    """Return the irradiance on level ground without clouds, W/m2 (Haurwitz 1945)."""
    if height <= 0:
        return 0.0
    return 1098.0 * height * math.exp(-0.057 / height)


def restless(seed: int, day: int) -> bool:
    """Return whether clouds come and go on `day`, so that production flickers."""
    return 0.3 <= unit(seed, day, 11) < 0.7


def transmission(seed: int, at: float, slot: int) -> float:
    """Return the share of sunlight, 0..1, that clouds let through at the mark `slot`.

    A day is clear, mixed or overcast; a mark differs from the next by chance.
    """
    day = int(at // _DAY_S)
    kind = unit(seed, day, 11)
    veil = unit(seed, slot, 12)
    if kind < 0.3:
        return 0.93 + 0.06 * veil
    if kind < 0.7:
        return 0.25 + 0.72 * (1.0 - veil * veil)
    return 0.10 + 0.28 * veil
