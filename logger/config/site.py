"""Sections `[site]` and `[intervals]`: the installation, and how often its meters are read."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from pydantic import field_validator

from logger.config.clashes import SLOW_S
from logger.config.section import Section
from logger.config.types import Name, Seconds
from logger.domain.errors import nearest


class Site(Section):
    """The installation."""

    name: Name
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            near = nearest(value, available_timezones())
            meant = f"did you mean {near!r}?" if near else 'expected one such as "Europe/Vienna"'
            raise ValueError(f"unknown time zone {value!r}: {meant}") from None
        return value


class Intervals(Section):
    """How often each job reads, in seconds."""

    fast: Seconds = 5.0
    slow: Seconds = SLOW_S
    identity: Seconds = 3600.0
