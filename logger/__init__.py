"""A data logger for Inepro three-phase energy meters."""

__version__ = "0.1.0"
