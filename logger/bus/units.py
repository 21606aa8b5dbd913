"""In whose name a gateway answers over Modbus TCP. Pure.

The unit identifier of an answer should be that of the question. Servers that were made for
one device return 0 or 255 for every one, which both mean "not used" (Modbus Messaging on
TCP/IP V1.0b, 4.4.2; FluentModbus returns 0, says its issue 84). The transaction identifier
then tells whose answer it is. A gateway that does so now and then only (pymodbus issue
2762: 0 in place of 19) is not believed: such an answer may be anybody's. Nor is one in the
name of another meter (goburrow/modbus issue 54: 1 in place of 3).
"""

from __future__ import annotations

NOT_USED = (0, 255)
# So many answers to our questions, each in a name that means nothing, make it a habit.
_HABIT = 3


def misnamed(unit: int, asked: int) -> tuple[str, str]:
    """Say that the answer to a question to `asked` is in the name of `unit`, and what to try."""
    text = f"the gateway answers in the name of unit {unit}, asked was {asked}"
    if unit in NOT_USED:
        return text, (
            "all its answers are believed when it always does so; else set it to return the unit "
            "identifier of the question, or to pass RTU frames (socket://)"
        )
    return text, (
        f"is {unit} the address of the meter? address = {unit} then; a gateway that does not keep "
        "the units apart can serve one meter only, unless it can pass RTU frames (socket://)"
    )


class Units:
    """What a gateway puts in the place of the unit identifier; outlasts its connection.

    `other` is in whose name the last question was answered, None if in the right one or
    not at all.
    """

    def __init__(self) -> None:
        self.other: int | None = None
        self._last: int | None = None  # in whose name the last answer was, if a wrong one
        self._seen = 0  # how many answers were in another name
        self._same = 0  # how many of those in a row were in the name `_last`
        self._believed = False  # whether the last one was believed
        self._right = False  # whether an answer ever was in the name of its question

    @property
    def differing(self) -> bool:
        """Whether the last question was answered in another name."""
        return self.other is not None

    @property
    def undecided(self) -> bool:
        """Whether the same question, asked again, may show that it is a habit."""
        return self.other in NOT_USED and not self._right and self._seen < _HABIT

    @property
    def refused(self) -> bool:
        """Whether the last question was answered, and the answer is not believed."""
        return self.differing and not self._believed and not self.undecided

    def asked(self) -> None:
        """Note that something is asked."""
        self.other = None

    def right(self) -> None:
        """Note an answer in the name of the unit that was asked."""
        self.other, self._last, self._same, self._right = None, None, 0, True

    def differs(self, unit: int) -> bool:
        """Note an answer to our question in the name of `unit`; return if it is believed."""
        self._seen += 1
        self._same = self._same + 1 if unit == self._last else 1
        self.other = self._last = unit
        self._believed = unit in NOT_USED and not self._right and self._same >= _HABIT
        return self._believed
