"""Whether the numbers of a meter mean what its table says. Pure.

Some meters can be told to send numbers in another form, one that no manual defines:
what they then send looks like small floats and must not be logged.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence

from logger.domain.errors import EncodingError
from logger.domain.quantity import Quantity
from logger.meter.reading import INTEGER_BITS, Rejected
from logger.models.decode import decode
from logger.models.plan import Block
from logger.models.register import Encoding, Job, Model, Value


class DataTypeGuard:
    """The setting of one meter that its numbers depend on, where its model has one."""

    def __init__(self, model: Model, meter: str) -> None:
        self.wrong: EncodingError | None = None
        self._model = model
        self._meter = meter
        self._known = model.guard is None
        self._refused = False
        self._register = model.by_key[model.guard.field] if model.guard else None

    @property
    def block(self) -> Block:
        """The register to ask for."""
        assert self._register is not None  # nobody asks a model without a guard
        return Block(self._register.address, self._register.length)

    def to_ask(self, job: Job) -> bool:
        """Return whether the setting has to be read before `job`.

        The identity job reads it anyway; a meter that is set wrong is asked again with
        each job but the fast one, so that it is logged again soon after it is mended.
        """
        if self._register is None or job is Job.IDENTITY:
            return False
        return job is not Job.FAST if self.wrong else not self._known

    def heard(self, words: Sequence[int]) -> None:
        """Take note of the setting as read."""
        assert self._register is not None
        try:
            value = decode(self._register.encoding, words)
        except ValueError as err:
            value = str(err)
        self._judge(value)

    def refused(self) -> None:
        """Note that the meter refused the setting: it has none, or is restarting."""
        self._refused = True
        if self._model.guard is not None and self._model.guard.prefix:
            self._judge("refused")

    def answered(self) -> None:
        """Note that the meter answered another question: it is up, so it has no such setting."""
        if self._refused:
            self._known, self.wrong, self._refused = True, None, False

    def suspicious(self, rejected: Iterable[Rejected]) -> bool:
        """Return whether values that were rejected make the setting doubtful."""
        if self._register is None or not any(INTEGER_BITS in one.reason for one in rejected):
            return False
        self._known = False
        return True

    def identified(self, values: MutableMapping[Quantity, Value]) -> None:
        """Look at the values of an identity job; take out those that mean nothing."""
        if self._register is not None and self._register.quantity in values:
            self._judge(values[self._register.quantity])
        if self.wrong is not None:
            known = self._model.by_quantity
            for one in [one for one in values if known[one].encoding is Encoding.FLOAT32]:
                del values[one]

    def _judge(self, value: Value) -> None:
        guard = self._model.guard
        assert guard is not None
        self._known, self.wrong, self._refused = True, None, False
        if not guard.fits(value):
            self.wrong = EncodingError(
                f"{guard.reason} ({guard.field} is {value}): its numbers are not logged",
                guard.remedy.replace("METER", self._meter),
            )
