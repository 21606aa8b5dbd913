"""Who answers at an address: model, serial number, firmware, transformers. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from logger.bus import Bus
from logger.domain.errors import (
    BusError,
    GarbledError,
    ModeError,
    PortError,
    RefusedError,
    SharedLineError,
)
from logger.domain.quantity import (
    CT_RATIO,
    METER_CODE,
    SERIAL,
    SOFTWARE_VERSION,
    TARIFF,
    Quantity,
)
from logger.meter.reading import check_believable
from logger.meter.requester import is_busy
from logger.meter.transformers import ct_problem, ct_ratio, is_ct
from logger.models import Model, Register, Value
from logger.models.decode import value_of
from logger.models.plan import Block, probes
from logger.models.register import AddressSpan

# How often a question is put to somebody who has been heard, and to nobody yet.
_TRIES, _FIRST_TRIES = 6, 2
# What is said of answers that make no sense.
UNREADABLE = (
    "answers that cannot be read: two meters on one address, another parity, or answers that come "
    "too late?"
)
_WHO = (SERIAL, SOFTWARE_VERSION)
_SHOWN = (SERIAL, SOFTWARE_VERSION, CT_RATIO, Quantity("ct_mode"), TARIFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A meter that answered. `model` is empty when no table fits; `note` says more.

    `looks_like` is the table that an unknown code seems to have, to be named by somebody
    who knows better.
    """

    address: int
    baudrate: int
    parity: str
    model: str = ""
    sold_as: str = ""
    meter_code: str = ""
    serial: str = ""
    software_version: str = ""
    ct_ratio: str = ""
    tariff: str = ""
    looks_like: str = ""
    note: str = ""


class Questions:
    """Questions to whoever is at `address`; a refusal or silence is an answer too."""

    def __init__(self, bus: Bus, address: int, models: Iterable[Model]) -> None:
        self.garbled = 0
        self.refused = 0
        self.answered = 0
        self.heard = False
        self._bus = bus
        self._address = address
        found = {block: None for model in models for block in probes(model)}
        self._probes = tuple(found)

    def ask(self, block: Block) -> list[int] | None:
        """Return the words of `block`, None when the meter has no such block.

        Raises PortError, SharedLineError and ModeError.
        """
        tries = 0
        while tries < (_TRIES if self.heard else _FIRST_TRIES):
            tries += 1
            try:
                if self._bus.unsure(self._address):
                    self._bus.resynchronise(self._address, self._probes)
                words = self._bus.read(self._address, block)
            except (PortError, SharedLineError, ModeError):
                raise
            except RefusedError as err:
                self.heard = True
                if is_busy(err):
                    continue
                self.refused += 1
                return None
            except GarbledError:
                if not self._bus.only_others:
                    self.heard = True
                    self.garbled += 1
            except BusError:
                continue
            else:
                self.heard = True
                self.answered += 1
                return words
        return None

    def value(self, register: Register) -> Value | None:
        """Return the value of `register`, None when the meter has none that makes sense."""
        words = self.ask(Block(register.address, register.length))
        try:
            return None if words is None else value_of(register, words)
        except ValueError:
            return None

    def has(self, span: AddressSpan) -> bool:
        """Return whether the meter answers `span`."""
        return self.ask(Block(*span)) is not None


def identify(
    bus: Bus, address: int, models: Sequence[Model], *, heard: bool = False
) -> Found | None:
    """Return who is at `address`; None when nobody there makes sense. Raises PortError.

    Somebody who was `heard` before is asked more often: a gateway that still waits for
    others answers late.

    Raises SharedLineError when the answers cannot be told from another master's, and
    ModeError when the gateway speaks the other way.

    A product code decides, then the meter code where it is known, else what the meter
    answers and refuses.
    """
    models = [model for model in models if model.protocol == "modbus"]
    return bus.sharing.certain(
        address, bus.config.timeout, lambda: _identify(bus, address, models, heard)
    )


def _identify(bus: Bus, address: int, models: Sequence[Model], heard: bool) -> Found | None:
    questions = Questions(bus, address, models)
    questions.heard = heard
    model, code = _model(questions, models)
    about = Found(address=address, baudrate=bus.config.baudrate, parity=bus.config.parity)
    if model is None and code is None:
        if questions.refused and not questions.answered:
            note = "another device: it answers, but refuses all that an Inepro meter has"
            return replace(about, note=note)
        if questions.garbled < _TRIES:
            return None
        return replace(about, note=UNREADABLE)
    code_text = "" if code is None else f"0x{code:04X}"
    if model is None:
        return _unknown(questions, models, replace(about, meter_code=code_text))
    values = _values(questions, model, _SHOWN)
    if code is not None:
        values[METER_CODE] = f"{code:04X}"
    return replace(
        about,
        model=model.name,
        sold_as=_sold_as(model, code),
        meter_code=code_text,
        serial=str(values.get(SERIAL, "")),
        software_version=str(values.get(SOFTWARE_VERSION, "")),
        ct_ratio=ratio_text(model, values),
        tariff=f"T{values[TARIFF]}" if TARIFF in values else "",
        note=_remarks(questions, model, values),
    )


def _values(
    questions: Questions, model: Model, wanted: Iterable[Quantity]
) -> dict[Quantity, Value]:
    """Return those of the values `wanted` that the meter has."""
    values: dict[Quantity, Value] = {}
    for quantity in wanted:
        register = model.by_quantity.get(quantity)
        value = questions.value(register) if register else None
        if value is not None:
            values[quantity] = value
    return values


def _unknown(questions: Questions, models: Sequence[Model], about: Found) -> Found:
    """Say what can be said of a meter whose code is in no table."""
    note = f"meter code {about.meter_code}: there is no table for it"
    product = product_code(questions, models)
    if product.strip("0"):
        return replace(about, note=f"product code {product}, {note}")
    like = next((model for model in models if _looks_like(questions, model)), None)
    if like is None:
        return replace(about, note=note)
    values = _values(questions, like, _WHO)
    return replace(
        about,
        looks_like=like.name,
        serial=str(values.get(SERIAL, "")),
        software_version=str(values.get(SOFTWARE_VERSION, "")),
        note=f'{note}; it looks like a {like.name}: write model = "{like.name}" to read it so, '
        "and compare a few values with its display",
    )


def _looks_like(questions: Questions, model: Model) -> bool:
    """Return whether the meter has the values that `model` is known by, all of them likely."""
    for index, key in enumerate(model.looks):
        register = model.by_key[key]
        value = questions.value(register)
        if value is None or (index == 0 and not value):
            return False
        try:
            check_believable(model, register, value)
        except ValueError:
            return False
    return bool(model.looks)


def product_code(questions: Questions, models: Iterable[Model]) -> str:
    """Return the digits of the product code, empty when the meter has none."""
    for model in models:
        if model.guard is not None and model.guard.prefix:
            value = questions.value(model.by_key[model.guard.field])
            return "" if value is None else str(value)
    return ""


def by_product(product: str, models: Iterable[Model]) -> Model | None:
    """Return the model that `product`, the digits of a product code, stands for."""
    for model in models:
        guard = model.guard
        if product and guard is not None and guard.prefix and guard.fits(product):
            return model
    return None


def _sold_as(model: Model, code: int | None) -> str:
    about = None if code is None else model.codes.get(code)
    return about.sold_as if about else model.title


def ratio_text(model: Model, values: Mapping[Quantity, Value]) -> str:
    """Return the transformer ratio as people write it ("250/5"), empty without one."""
    ratio = ct_ratio(values) if is_ct(model, values) else None
    return f"{ratio[0]}/{ratio[1]}" if ratio else ""


def _remarks(questions: Questions, model: Model, values: Mapping[Quantity, Value]) -> str:
    found = [problem] if (problem := ct_problem(model, values)) else []
    guard = model.guard
    if guard is not None:
        value = questions.value(model.by_key[guard.field])
        if value is not None and not guard.fits(value):
            found.append(guard.reason)
    return "; ".join(found)


def _model(questions: Questions, models: Sequence[Model]) -> tuple[Model | None, int | None]:
    """Return the model that fits, and the meter code that was read."""
    places = sorted({place for model in models if (place := _place(model))}, reverse=True)
    product = ""
    for place in places:  # the new map first: new firmware answers the legacy map too
        words = questions.ask(place)
        if questions.heard and place == places[0]:
            # A product code goes before everything: other tables fit those meters too well.
            product = product_code(questions, models)
            if (grown := by_product(product, models)) is not None:
                return grown, None if words is None else words[0]
        if words is None:
            continue
        code = words[0]
        same = [model for model in models if _place(model) == place]
        knowing = [model for model in same if code in model.codes]
        if len(knowing) == 1:
            return knowing[0], code
        if product.strip("0"):  # a product that no table is for
            return None, code
        return _by_answers(questions, knowing or same), code
    return _by_answers(questions, models) if questions.heard else None, None


def _place(model: Model) -> Block | None:
    register = model.by_key.get("meter_code")
    return Block(register.address, 1) if register else None


def _by_answers(questions: Questions, models: Iterable[Model]) -> Model | None:
    for model in models:
        if (
            (model.answers or model.refuses)
            and all(questions.has(span) for span in model.answers)
            and not any(questions.has(span) for span in model.refuses)
        ):
            return model
    return None
