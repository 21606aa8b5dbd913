"""What all sections of the configuration file have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class MisplacedError(ValueError):
    """A mistake that shows at one place in the file, though several are involved."""

    def __init__(self, location: tuple[str | int, ...], message: str, hint: str) -> None:
        super().__init__(message)
        self.location = location
        self.hint = hint


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, text is no number, nothing
    changes after loading.

    The check of a section is built with that of the whole file, when one is first read. So a
    section that a file may leave out has `model_construct` as its default: all defaults,
    without a check of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    def plain(self, *, given: bool = False) -> dict[str, Any]:
        """Return the section as a file has it, in dictionaries and lists; only what was `given`."""
        names = self.model_fields_set if given else type(self).model_fields
        return {name: _plain(getattr(self, name), given=given) for name in names}


def _plain(value: Any, *, given: bool) -> Any:
    if isinstance(value, Section):
        return value.plain(given=given)
    return [_plain(one, given=given) for one in value] if isinstance(value, list) else value
