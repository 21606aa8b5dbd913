"""Virtual meters on a virtual line: a household that any master can read.

site = virtual_site(seed=7, start=clock())
with VirtualLine(site.meters, clock=clock) as line:
    port = line.start_tcp()

It promises: meters answer as their manuals say, at the pace of the line; they agree with each
other (what the PV system exports, the grid meter sees); the same seed and start give the same
day on every machine; a quirk does what it says and nothing else.
"""

from logger.simulate.incidents import Incident, Trouble
from logger.simulate.layout import WORLDS, places, usual_model
from logger.simulate.line import VirtualLine
from logger.simulate.mbusline import MbusLine
from logger.simulate.mbusmeter import VirtualMbusMeter
from logger.simulate.meter import VirtualMeter
from logger.simulate.quirk import Quirk
from logger.simulate.quirks import QUIRKS, quirks_named
from logger.simulate.served import Served
from logger.simulate.site import DEFAULT_METERS, VirtualClock, VirtualSite, virtual_site
from logger.simulate.writing import Refusal

__all__ = [
    "DEFAULT_METERS",
    "QUIRKS",
    "WORLDS",
    "Incident",
    "MbusLine",
    "Quirk",
    "Refusal",
    "Served",
    "Trouble",
    "VirtualClock",
    "VirtualLine",
    "VirtualMbusMeter",
    "VirtualMeter",
    "VirtualSite",
    "places",
    "quirks_named",
    "usual_model",
    "virtual_site",
]
