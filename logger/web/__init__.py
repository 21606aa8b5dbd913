"""HTTP: the newest values and the reports as JSON, and a live page that shows them."""

from logger.web.parts import Parts
from logger.web.server import WebServer

__all__ = ["Parts", "WebServer"]
