"""What all sections of the configuration file have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class MisplacedError(ValueError):
    """A mistake that shows at one place in the file, though several are involved."""

    def __init__(self, location: tuple[str | int, ...], message: str, hint: str) -> None:
        super().__init__(message)
        self.location = location
        self.hint = hint


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, text is no number, nothing
    changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
