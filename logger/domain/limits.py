"""Nominal values, bands, window lengths and shares: the one place that defines them. Pure.

Bands follow EN 50160:2010, 4.2.1 (frequency) and 4.2.2 (supply voltage), for a grid of
230 V and 50 Hz. What is made of them here is an indication, not a measurement by that
standard.
"""

from __future__ import annotations

NOMINAL_V = 230.0  # to neutral; between two phases times the square root of three
NOMINAL_HZ = 50.0

# Lowest and highest mean, both included; first the normal band, then the wide one.
VOLTAGE_BANDS = ((0.90, 1.10), (0.85, 1.10))  # shares of the nominal voltage
FREQUENCY_BANDS = ((49.5, 50.5), (47.0, 52.0))  # Hz
# Which share of the means of a week (voltage) or year (frequency) has to be within each.
VOLTAGE_SHARES = (0.95, 1.0)
FREQUENCY_SHARES = (0.995, 1.0)

VOLTAGE_WINDOW_MS = 600_000
FREQUENCY_WINDOW_MS = 10_000
QUARTER_MS = 900_000
QUARTER_WINDOWS = QUARTER_MS // FREQUENCY_WINDOW_MS  # of the frequency in a quarter hour
DEMAND_STEP_MS = 10_000  # the demand of the quarter hour that runs is told once in these
# A counter read so soon after a border (of a quarter hour, a day, ...) is the one at it.
BORDER_MS = 90_000
# By how much a counter, kWh, may fall by its last digits alone; large ones by more.
LAST_DIGITS_KWH = 0.02
# The highest value of a counter, kWh: the displays have eight digits (PRO380 manual, 7.4).
HIGHEST_KWH = 99_999_999
# By how much the largest counters may fall: four steps of a float32 near that value. So much
# passes for noise when readings are taken, and so it is in what is stored of a quarter hour.
MOST_NOISE_KWH = 32.0
VALID_SHARE = 0.8  # of the planned samples, for a window to count

NO_MAINS_V = 20.0  # a phase below this is not connected
# The most that counts as a voltage when an upper bound of energy is computed.
MAX_VOLTAGE = round(NOMINAL_V * 1.2, 6)


def voltage_bands(factor: float = 1.0) -> tuple[tuple[float, float], ...]:
    """Return `VOLTAGE_BANDS` in volts, for a nominal voltage times `factor`."""
    return tuple(
        (round(low * NOMINAL_V * factor, 6), round(high * NOMINAL_V * factor, 6))
        for low, high in VOLTAGE_BANDS
    )


# The normal band in volts to neutral: 207 and 253.
VOLTAGE_LOW, VOLTAGE_HIGH = voltage_bands()[0]
FREQUENCY_LOW, FREQUENCY_HIGH = FREQUENCY_BANDS[0]


def _deviation(low: float, high: float) -> str:
    up, down = round(100 * (high - 1)), round(100 * (1 - low))
    return f"\N{PLUS-MINUS SIGN}{up} %" if up == down else f"+{up}/-{down} %"


# The bands as people write them, first the normal one.
VOLTAGE_TEXTS = tuple(_deviation(*band) for band in VOLTAGE_BANDS)
FREQUENCY_TEXTS = tuple(f"{low:g}..{high:g} Hz" for low, high in FREQUENCY_BANDS)
