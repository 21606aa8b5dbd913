"""Configuration files for tests."""

from __future__ import annotations

from collections.abc import Mapping

from logger.config.write import keys

NOWHERE = "socket://127.0.0.1:1"  # nobody listens there


def configuration(
    *meters: tuple[str, str],
    site: str = "home",
    zone: str | None = None,
    bus: str = "line",
    port: str = NOWHERE,
    timeout: str | None = None,
    **sections: Mapping[str, str | float | bool],
) -> str:
    """Return the text of a configuration with one bus of PRO380 meters: names and roles, at
    addresses 1, 2 and so on. `sections` are further tables by name.

    Places for `str.format`, such as "{port}", stay as they are.
    """
    parts = [["[site]", *keys(name=site, timezone=zone)]]
    parts += [[f"[{name}]", *keys(**table)] for name, table in sections.items()]
    parts.append(["[[bus]]", *keys(name=bus, port=port, timeout=timeout)])
    for address, (name, role) in enumerate(meters, start=1):
        place = keys(name=name, model="pro380", address=address, role=role)
        parts.append(["[[bus.meter]]", *place])
    return "\n".join("\n".join((*part, "")) for part in parts)
