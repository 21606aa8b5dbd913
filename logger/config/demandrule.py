"""Rules of demand: which window, which of the highest, by month or by year. TOML, one a file.

title = "Belgium (Flanders), low voltage"
window = "quarter"          # or "hour"
per = "month"               # or "year"
netted = true
[[when]]                    # none: always
days = "mon-fri"
hours = "07:00-22:00"
months = "11-3"
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from logger.config.section import Section
from logger.domain.errors import ConfigError

BUILT_IN = ("belgium", "norway", "germany")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]?\d|2[0-3]):(00|15|30|45)-([01]?\d|2[0-4]):(00|15|30|45)")


class When(Section):
    """A part of the time: days of the week, hours of the day, months, each by the clock of
    the site; what is left out is all of them. Ranges may go round: "22:00-06:00", "11-3"."""

    days: str = ""
    hours: str = ""
    months: str = ""

    @field_validator("days")
    @classmethod
    def _known_days(cls, value: str) -> str:
        if value:
            _members(value.lower(), _DAYS)
        return value.lower()

    @field_validator("months")
    @classmethod
    def _known_months(cls, value: str) -> str:
        if value:
            _members(value, _MONTHS)
        return value

    @field_validator("hours")
    @classmethod
    def _known_hours(cls, value: str) -> str:
        for part in value.split(",") if value else ():
            _hours(part.strip())
        return value

    def holds(self, at: dt.datetime) -> bool:
        """Whether a window that begins at `at` (local time) is in it."""
        if self.days and at.weekday() not in _members(self.days, _DAYS):
            return False
        if self.months and at.month - 1 not in _members(self.months, _MONTHS):
            return False
        if not self.hours:
            return True
        minute = at.hour * 60 + at.minute
        return any(_inside(minute, *_hours(part.strip())) for part in self.hours.split(","))


_MONTHS = tuple(str(number) for number in range(1, 13))


class DemandRule(Section):
    """What a demand charge is made of."""

    title: Annotated[str, Field(min_length=1)] = "highest quarter hour of each month"
    source: str = ""
    window: Literal["quarter", "hour"] = "quarter"
    per: Literal["month", "year"] = "month"
    netted: bool = True
    # The value is the mean of so many highest windows, on different days if so wanted.
    highest: Annotated[int, Field(ge=1, le=1000)] = 1
    different_days: bool = False
    # A value below this counts as this, kW.
    least: Annotated[float, Field(ge=0)] = 0.0
    # Billed is the mean of the values of so many periods.
    mean_of: Annotated[int, Field(ge=1, le=120)] = 1
    when: list[When] = Field(default_factory=list)


def load_rule(name: str) -> DemandRule:
    """Return the rule in the file `name`, or the bundled one of that name.

    Raises ConfigError when there is none, or it is not one.
    """
    bundled = name in BUILT_IN
    path = Path(__file__).with_name(f"demand_{name}.toml") if bundled else Path(name)
    try:
        return DemandRule.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as err:
        raise ConfigError(
            f"{name}: no rule of demand: {err.strerror}",
            f"give a file, or one of {', '.join(BUILT_IN)}",
        ) from err
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise ConfigError(f"{name}: not TOML: {err}", "the page on reports shows a rule") from err
    except ValidationError as err:
        first = err.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{name}: {place}: {first['msg']}", "the page on reports shows a rule"
        ) from err


def changed(rule: DemandRule, given: Mapping[str, object], title: str) -> DemandRule:
    """Return `rule` with what `given` says, under another title. Raises ValueError, which
    names the key."""
    try:
        return DemandRule.model_validate({**rule.model_dump(), **given, "title": title})
    except ValidationError as err:
        first = err.errors()[0]
        place = " ".join(str(part) for part in first["loc"] if part not in (0, "when"))
        raise ValueError(f"{place}: {first['msg']}") from None


def _members(text: str, names: tuple[str, ...]) -> frozenset[int]:
    """Return the places of `names` in text such as "mon-fri,sun"; ranges may go round."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        last = last or first
        if first not in names or last not in names:
            raise ValueError(f"{part.strip()!r}: expected {names[0]} to {names[-1]}, or a range")
        begin, end = names.index(first), names.index(last)
        count = (end - begin) % len(names) + 1
        found.update((begin + step) % len(names) for step in range(count))
    return frozenset(found)


def _hours(text: str) -> tuple[int, int]:
    """Return the minutes of the day at which "07:00-22:00" begins and ends."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: expected hours such as 07:00-22:00, on whole quarters")
    first, since, last, until = map(int, match.groups())
    return first * 60 + since, last * 60 + until


def _inside(minute: int, begin: int, end: int) -> bool:
    return begin <= minute < end if begin < end else minute >= begin or minute < end
