"""Which meter it is, and what it does not answer: kept across restarts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from logger.config import Meter as MeterConfig
from logger.domain.quantity import SERIAL, SOFTWARE_VERSION, Quantity
from logger.meter.adapt import AdaptivePlan
from logger.meter.state import MeterState, StateStore
from logger.models import Model, Value

log = logging.getLogger(__name__)


class Remembered:
    """What is known of `meter` on `port`, in `states` if there are any.

    What was found out earlier goes into `plan`, as far as it holds for this meter.
    """

    def __init__(
        self,
        meter: MeterConfig,
        model: Model,
        port: str,
        plan: AdaptivePlan,
        states: StateStore | None,
    ) -> None:
        self._plan = plan
        self._states = states
        self._state = MeterState(
            meter=meter.name, model=model.name, address=meter.address, port=port
        )
        known = states.load(meter.name) if states is not None else None
        if known is None or known.model != model.name:
            return
        same = (known.address, known.port) == (meter.address, port)
        # What a device at another place did not answer says nothing of this one.
        if same and (known.serial or SERIAL not in model.by_quantity):
            plan.restore(known.cuts)
        self._state = replace(known, address=meter.address, port=port)

    def keep(self) -> None:
        """Keep what was found out; that something answers nothing is never kept."""
        cuts = {block: cut for block, cut in self._plan.cuts.items() if cut.parts}
        self._state = replace(self._state, cuts=cuts)
        if self._states is not None:
            self._states.save(self._state)

    def identified(self, values: Mapping[Quantity, Value]) -> None:
        """Take note of who answered the identity job with `values`."""
        known = (self._state.serial, self._state.software_version)
        serial, firmware = (str(values.get(one, "")) for one in (SERIAL, SOFTWARE_VERSION))
        if not serial or (serial, firmware or known[1]) == known:
            return
        if known[0] and serial != known[0]:
            log.warning(
                "meter %s: another meter: serial number %s, it was %s",
                self._state.meter,
                serial,
                known[0],
            )
        if known[0]:
            self._plan.forget()
        self._state = replace(self._state, serial=serial, software_version=firmware or known[1])
        self.keep()
