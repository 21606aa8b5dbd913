"""The newest values of every meter and of the site, for outputs that show the present."""

from logger.latest.latest import SITE, Latest, Newest, Planned, planned, too_old_s

__all__ = ["SITE", "Latest", "Newest", "Planned", "planned", "too_old_s"]
