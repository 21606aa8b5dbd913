"""Dashboards and alert rules for Grafana, made from the logger's configuration."""

from logger.grafana.build import Source, dashboards, files, write
from logger.grafana.options import Settings, settings

__all__ = ["Settings", "Source", "dashboards", "files", "settings", "write"]
