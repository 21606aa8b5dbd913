"""Dashboards and alert rules for Grafana, made from the logger's configuration.

It promises: the same configuration gives the same files, byte for byte; every name in a query
is one of the data model; no file holds a secret; the files suit Grafana 9.5 to 13.

    build      all files by path
    frame, panels, ranking, placing, query    what they share: variables, panels, lines, InfluxQL
    home, meters, centres, phases, tariffs, solar, quality, health    one dashboard each
    alerts, rule, notify, demands    alert rules and where messages go
"""

from logger.grafana.build import Source, dashboards, files, write
from logger.grafana.options import DashboardOptions, dashboard_options

__all__ = ["DashboardOptions", "Source", "dashboard_options", "dashboards", "files", "write"]
