"""Dashboards and alert rules for Grafana, made from the logger's configuration."""

from logger.grafana.build import Source, dashboards, files, write
from logger.grafana.options import DashboardOptions, dashboard_options

__all__ = ["DashboardOptions", "Source", "dashboard_options", "dashboards", "files", "write"]
