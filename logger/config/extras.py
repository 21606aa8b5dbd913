"""Which sections need packages that are installed on demand only."""

from __future__ import annotations

from importlib.util import find_spec

from logger.domain.errors import ConfigError

# By section, which is also the name of the extra: module and package.
_PACKAGES = {
    "http": {"starlette": "starlette", "uvicorn": "uvicorn"},
    "metrics": {"prometheus_client": "prometheus-client"},
    "mqtt": {"paho": "paho-mqtt"},
}


def require(section: str) -> None:
    """Raise ConfigError when a package that `section` needs is missing."""
    for module, package in _PACKAGES[section].items():
        if find_spec(module) is None:
            raise ConfigError(
                f"[{section}] needs the package {package}",
                f"pip install '.[{section}]' in the checkout, or remove the section",
            )
