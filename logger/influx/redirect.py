"""Where a redirect wants the logger to go. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

# Paths that clients add to the address of InfluxDB: the longest first.
_PATHS = ("/api/v2/write", "/write", "/query")


def base_address(location: str) -> str:
    """Return the address of the server out of that of one of its interfaces, "" if
    `location` leads to none of them."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    for path in _PATHS:
        if parts.netloc and parts.path.rstrip("/").endswith(path):
            base = parts.path.rstrip("/").removesuffix(path)
            return urlunsplit((parts.scheme, parts.netloc, base, "", ""))
    return ""


def advice(location: str) -> str:
    """Return what to try when a server redirects to `location`."""
    base = base_address(location)
    if base:
        return f"set influxdb.url to {base}"
    return "something else than InfluxDB answers at influxdb.url: set it to InfluxDB's own address"
