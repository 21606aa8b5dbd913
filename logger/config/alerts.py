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
    # What the grid meter, or without one each load meter, may draw in a day, kWh; none: no alert.
    day_energy: Annotated[float, Field(gt=0)] | None = None
    # The fuse of each phase at the grid meter, A, and from which share of it on a mean of ten
    # minutes is near it; none: no alert.
    fuse: Annotated[float, Field(gt=0, le=10_000)] | None = None
    fuse_share: Annotated[float, Field(gt=0, le=2)] = 0.9
    # The power factor over an hour that is too low, and above how many W on average it counts;
    # none: no alert.
    power_factor: Annotated[float, Field(gt=0, lt=1)] | None = None
    power_factor_above: Annotated[float, Field(ge=0)] = 1000.0
    # A PV meter gives nothing for two hours that gave this many W on average on the best of the
    # last three days; 0: no alert.
    pv_silent_above: Annotated[float, Field(ge=0)] = 500.0
    # A message is repeated so often while its alert lasts.
    repeat: AtLeastOne = 4 * 3600.0

    @property
    def power_factor_limit(self) -> float:
        """The power factor below which dashboards show red, with an alert or without."""
        return self.power_factor or 0.9
