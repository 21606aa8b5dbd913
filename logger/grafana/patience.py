"""How long dashboards wait for the next reading, at sites that are rarely read. Pure."""

from __future__ import annotations

import json
import math
import re

from logger.grafana.panels import GAP_MS, Json
from logger.grafana.query import LATELY, REPORTED

# Both are made longer where three readings, or three reports of the logger, take longer.
_READING_MIN, _REPORT_MIN = 5, 15
_MISSED = 3


def _minutes(least: int, every_s: float) -> int:
    return max(least, math.ceil(_MISSED * every_s / 60))


def patient(board: Json, fast_s: float, slow_s: float) -> Json:
    """Return a dashboard of meters read `fast_s` seconds and a logger that reports each `slow_s`:
    up to two missed ones are no gap of a curve, and the newest value is shown until then.

    It is told in the texts, too: "no reading for 15 minutes" with a reading every five.
    """
    reading, report = _minutes(_READING_MIN, fast_s), _minutes(_REPORT_MIN, slow_s)
    longer = {
        LATELY: f"time > now() - {reading}m",
        REPORTED: f"time > now() - {report}m",
        f"for {_READING_MIN} minutes": f"for {reading} minutes",
        f"last {_READING_MIN} minutes": f"last {reading} minutes",
        f"for {_REPORT_MIN} minutes": f"for {report} minutes",
    }
    known = "|".join(map(re.escape, longer))
    text = re.sub(known, lambda found: longer[found[0]], json.dumps(board))
    made: Json = json.loads(text)
    rows = made["panels"]
    for panel in [*rows, *(one for row in rows for one in row.get("panels", []))]:
        custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {})
        if custom.get("spanNulls") == GAP_MS:
            asked = " ".join(target.get("query", "") for target in panel["targets"])
            every_s = max(slow_s, fast_s) if 'FROM "logger"' in asked else fast_s
            custom["spanNulls"] = max(GAP_MS, round(1000 * _MISSED * every_s))
    return made
