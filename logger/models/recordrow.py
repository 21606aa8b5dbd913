"""One line of a table of M-Bus records as it stands in a file, and its checks."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from logger.mbus.records import SIZES
from logger.models.record import HEADER_FIELDS, Kind, Record
from logger.models.register import Encoding
from logger.models.row import checked_job, checked_names, choices_of

_HEX = re.compile(r"(?:[0-9A-F]{2})+")


class RecordRow(BaseModel):
    """One line of a table as it stands in the file."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    dif: str = ""
    vif: str = ""
    header: str = ""
    type: Literal["number", "ratio"] = "number"
    scale: Annotated[float, Field(gt=0)] | None = None
    unit: str = ""
    job: str
    field: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    phase: str = ""
    tariff: str = ""
    name: str
    source: Annotated[str, Field(min_length=1)]
    choices: dict[str, str] = {}
    option: Literal["", "phase_values"] = ""
    quantity: Literal["", "energy", "power", "voltage", "current"] = ""
    storage: Annotated[int, Field(ge=1)] | None = None
    note: str = ""

    def record(self, number: int) -> Record:
        """Return the checked record, the `number`th; ValueError says what is wrong with it."""
        checked_names(self.field, self.phase, self.tariff, self.unit)
        found = Record(
            address=number,
            length=2 if self.type == "ratio" else 1,
            encoding=Encoding.RECORD,
            unit=self.unit,
            job=checked_job(self.job),
            field=self.field,
            phase=self.phase,
            tariff=self.tariff,
            name=self.name,
            choices=choices_of(self.choices),
            note=self.note,
            header=self._place(),
            source=self.source,
            kind=Kind(self.type),
            scale=None if self.scale is None else Decimal(str(self.scale)),
            option=self.option,
            physical=self.quantity,
            storage=self.storage or 0,
        )
        if found.value_unit != found.unit:  # `scale` leads to the unit of the data model
            raise ValueError(
                f"unit {self.unit!r}: field {self.field} is sent in {found.value_unit} here"
            )
        return found

    def _place(self) -> str:
        """Return what tells this record from the others of a telegram."""
        ways = bool(self.dif or self.vif), bool(self.header), bool(self.quantity)
        if sum(ways) != 1:
            raise ValueError("expected either dif and vif, or header, or quantity and storage")
        if self.header:
            if self.header not in HEADER_FIELDS:
                raise ValueError(
                    f"header {self.header!r}: expected one of {', '.join(HEADER_FIELDS)}"
                )
            return self.header
        if self.quantity:
            if not self.option or self.storage is None:
                raise ValueError("quantity: a row without dif and vif needs option and storage")
            return f"{self.quantity} {self.storage}"
        for name, text in (("dif", self.dif), ("vif", self.vif)):
            if not _HEX.fullmatch(text):
                raise ValueError(f"{name} {text!r}: expected hexadecimal bytes such as 8C10")
        field = int(self.dif[:2], 16) & 0x0F
        if not SIZES.get(field):
            raise ValueError(f"dif {self.dif!r}: no number of a fixed length")
        return f"{self.dif} {self.vif}"
