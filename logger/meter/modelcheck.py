"""Whether a meter is of the model it is configured as, by its meter code. Reads only."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from logger.bus import Bus
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError, ModeError, PortError, SharedLineError
from logger.domain.quantity import METER_CODE, SERIAL, Quantity
from logger.meter.identify import Found, Questions, by_product, identify, product_code
from logger.models import Model, Value, available, told_by_product
from logger.models import load as load_model

log = logging.getLogger(__name__)


def wrong_model(found: Found, configured: str) -> tuple[str, str] | None:
    """Return what is wrong with the configured model and what to do, None when it fits."""
    if found.model in ("", configured):
        return None
    return (
        f"it is a {found.sold_as} ({found.model}), configured as {configured}",
        f'model = "{found.model}", or accept_model = true to read it like this all the same',
    )


class ModelCheck:
    """Compares one meter with its table; asks it for more only when its code does not fit."""

    def __init__(self, bus: Bus, meter: MeterConfig, model: Model) -> None:
        self.wrong: BusError | None = None
        # Whether its counters are of another kind: accepting the model would not help.
        self.another_kind = False
        self._bus = bus
        self._meter = meter
        self._model = model
        self._judged: tuple[int | None, str] | None = None
        self._unknown: int | None = None
        self._product_of: str | None = None  # the serial number that has no product code

    def check(self, values: Mapping[Quantity, Value], lacking: bool) -> None:
        """Judge by the values of a job, and say so when the judgement changes.

        `lacking` tells that the meter does not answer all that its table has. Without a
        meter code among the values the meter is asked once.
        """
        code, serial = values.get(METER_CODE), str(values.get(SERIAL, ""))
        if METER_CODE not in self._model.by_quantity or (
            code is None and (self._judged is not None or not lacking)
        ):
            return
        product = self._has_another_product(serial)
        if product and self._bus.sharing.watch.outlast():  # it may have been said by others
            product = self._has_another_product(serial)
        self.another_kind = product
        number = None if code is None else int(code, 16) if isinstance(code, str) else int(code)
        if not (product or self._uncertain(number, lacking)):
            self.wrong, self._judged = None, (number, serial)
        elif self._judged != (number, serial):
            self._ask(number, serial, lacking or product)

    def _ask(self, number: int | None, serial: str, lacking: bool) -> None:
        models = [load_model(name) for name in available()]
        others = [model for model in models if model.name != self._model.name]
        self._bus.sharing.watch.outlast()
        try:
            found = identify(self._bus, self._meter.address, [*others, self._model])
        except (PortError, SharedLineError, ModeError):
            return
        if found is None or not (found.model or found.meter_code):
            return
        self._judged = (number, serial)
        # What a meter answers tells less than its code: a rebranded one may answer the same.
        sure = lacking or (found.model and _knows(load_model(found.model), found.meter_code))
        differing = wrong_model(found, self._model.name) if sure else None
        if differing and self.another_kind:
            differing = (differing[0], f'model = "{found.model}"')
        before, self.wrong = str(self.wrong), BusError(*differing) if differing else None
        if self.wrong is None:
            self._tell_unknown(number)
        elif str(self.wrong) != before:
            then = "" if self._accepted else "; until then nothing of it is logged"
            log.error("meter %s: %s%s", self._meter.name, self.wrong, then)

    @property
    def _accepted(self) -> bool:
        return self._meter.accept_model and not self.another_kind

    def _has_another_product(self, serial: str) -> bool:
        """Return whether the meter has the product code of another model; asked once a meter.

        Such a meter has counters of another kind at the same addresses.
        """
        guard = self._model.guard
        if serial == self._product_of or (guard is not None and guard.prefix):
            return False
        names = told_by_product()  # one is enough to ask, and none else is loaded
        questions = Questions(self._bus, self._meter.address, [self._model])
        address = self._meter.address
        try:
            product = self._bus.sharing.certain(
                address,
                self._bus.config.timeout,
                lambda: product_code(questions, map(load_model, names)),
            )
        except (PortError, SharedLineError, ModeError):
            return False
        if product and by_product(product, map(load_model, names)) is not None:
            return True
        self._product_of = serial
        return False

    def _tell_unknown(self, number: int | None) -> None:
        """Say once that the meter has a code that no table here knows."""
        if number is None or number == self._unknown:
            return
        if any(number in load_model(name).codes for name in available()):
            return
        self._unknown = number
        log.warning(
            "meter %s: its meter code 0x%04X is in no table here: it is read as a %s; "
            "compare a few values with its display",
            self._meter.name,
            number,
            self._model.name,
        )

    def _uncertain(self, number: int | None, lacking: bool) -> bool:
        """Return whether the meter may be another: by its code, or by what it lacks."""
        model = self._model
        if not (model.codes or model.answers) or number in model.codes:
            return False
        return lacking or (number is not None and bool(model.codes))


def _knows(model: Model, meter_code: str) -> bool:
    return meter_code != "" and int(meter_code, 16) in model.codes
