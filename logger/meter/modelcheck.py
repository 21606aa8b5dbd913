"""Whether a meter is of the model it is configured as, by its meter code. Reads only."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError, PortError
from logger.meter.identify import Found, identify
from logger.models import Model, Value, available
from logger.models import load as load_model

log = logging.getLogger(__name__)


def wrong_model(found: Found, configured: str) -> tuple[str, str] | None:
    """Return what is wrong with the configured model and what to do, None when it fits."""
    if found.model in ("", configured):
        return None
    return (
        f"it is a {found.sold_as} ({found.model}), configured as {configured}",
        f'model = "{found.model}"',
    )


class ModelCheck:
    """Compares one meter with its table; asks it for more only when its code does not fit."""

    def __init__(self, bus: Bus, meter: MeterConfig, model: Model) -> None:
        self.wrong: BusError | None = None
        self._bus = bus
        self._meter = meter
        self._model = model
        self._judged: tuple[int | None, str] | None = None

    def check(self, values: Mapping[str, Value], lacking: bool) -> None:
        """Judge by the values of a job, and say so when the judgement changes.

        `lacking` tells that the meter does not answer all that its table has. Without a
        meter code among the values the meter is asked once.
        """
        code, serial = values.get("meter_code"), str(values.get("serial", ""))
        if "meter_code" not in self._model.by_key or (
            code is None and (self._judged is not None or not lacking)
        ):
            return
        number = None if code is None else int(code, 16) if isinstance(code, str) else int(code)
        if not self._doubtful(number, lacking):
            self.wrong, self._judged = None, (number, serial)
        elif self._judged != (number, serial):
            self._ask(number, serial)

    def _ask(self, number: int | None, serial: str) -> None:
        models = [load_model(name) for name in available()]
        others = [model for model in models if model.name != self._model.name]
        try:
            found = identify(self._bus, self._meter.address, [*others, self._model])
        except PortError:
            return
        if found is None:
            return
        self._judged = (number, serial)
        differing = wrong_model(found, self._model.name)
        before, self.wrong = str(self.wrong), BusError(*differing) if differing else None
        if self.wrong is not None and str(self.wrong) != before:
            log.error("meter %s: %s", self._meter.name, self.wrong)

    def _doubtful(self, number: int | None, lacking: bool) -> bool:
        """Tell whether the meter may be another: a code of another model, or of none."""
        model = self._model
        if not (model.codes or model.answers) or number in model.codes:
            return False
        known = {code for name in available() for code in load_model(name).codes}
        return lacking or number in known
