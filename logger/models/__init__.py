"""Register tables: what each model of meter answers. Data, and the code that reads it."""

from logger.models.load import available, load, load_file, told_by_product
from logger.models.register import (
    MAX_REGISTERS_PER_REQUEST,
    Code,
    Encoding,
    Guard,
    Job,
    Model,
    Register,
    Value,
    Write,
)

__all__ = [
    "MAX_REGISTERS_PER_REQUEST",
    "Code",
    "Encoding",
    "Guard",
    "Job",
    "Model",
    "Register",
    "Value",
    "Write",
    "available",
    "load",
    "load_file",
    "told_by_product",
]
