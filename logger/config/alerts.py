"""Section `[alerts]`: what Grafana's alert rules fire on, beyond the limits of `[events]`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from logger.config.section import Section
from logger.config.types import Seconds

# Grafana counts in whole seconds, and refuses a rule that looks at none or repeats at once.
AtLeastOne = Annotated[Seconds, Field(ge=1)]


class Alerts(Section):
    """`[alerts]`: limits of voltage, frequency and lost phases are those of `[events]`."""

    # A ten-minute mean this high is an early warning: inverters switch off at 253 V.
    voltage_warning: Annotated[float, Field(gt=0, le=1000)] = 250.0
    # A meter without an answer, or a site without any point, for so long.
    silent_after: AtLeastOne = 600.0
    # The oldest point that waits for delivery is older than this.
    buffer_age: AtLeastOne = 900.0
    # A message is repeated so often while its alert lasts.
    repeat: AtLeastOne = 4 * 3600.0
