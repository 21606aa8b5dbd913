"""Real database engines, started as processes, and a v2 front for InfluxDB 1.x."""

from tests.engines.influx import InfluxServer
from tests.engines.translator import Answer, Translator
from tests.engines.victoria import VictoriaServer

__all__ = ["Answer", "InfluxServer", "Translator", "VictoriaServer"]
