"""The newest values of every meter and of the site, for outputs that show the present."""

from logger.latest.latest import SITE, Latest, Newest, Planned, planned, too_old_s
from logger.latest.summary import iso, of_all, of_meter, of_site

__all__ = [
    "SITE",
    "Latest",
    "Newest",
    "Planned",
    "iso",
    "of_all",
    "of_meter",
    "of_site",
    "planned",
    "too_old_s",
]
