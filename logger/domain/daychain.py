"""The chain of days: a digest of what a meter counted each day, over that of the day before.

    running   SHA-256(running, "\\n", text of a quarter hour), from the digest before on
    digest    SHA-256(running, "\\n", text of the day's closing counters)

Whoever changes, drops or moves a stored quarter hour or closing counter makes the digest of
its day wrong, and with a new one that of the day after. Without a key the chain proves nothing
by itself: what proves is a digest that was written down elsewhere, on a printed statement.

Texts are those of the values as stored: numbers as float64 in their shortest form. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from logger.domain.limits import QUARTER_MS
from logger.domain.quantity import EXPORT_TOTAL, IMPORT_TOTAL, Quantity

# The counters that close a day, by field of `day_digest`.
COUNTERS: Mapping[str, Quantity] = {
    "import": IMPORT_TOTAL,
    "export": EXPORT_TOTAL,
    **{f"import_t{n}": Quantity("active_import", "total", f"T{n}") for n in (1, 2, 3, 4)},
}
_MOST = 100_000  # quarter hours of one digest; a day has 100 at most, but for steps of the clock


def extended(running: str, text: str) -> str:
    """Return the running digest after one more `text`, 64 hexadecimal digits."""
    return hashlib.sha256(f"{running}\n{text}".encode()).hexdigest()


def quarter_text(tags: Mapping[str, str], fields: Mapping[str, float | str], at_ms: int) -> str:
    """Return the text of a quarter hour as it is stored: meter, role, time (ms), all fields."""
    values = ",".join(f"{name}={_text(value)}" for name, value in sorted(fields.items()))
    return f"{tags.get('meter', '')}|{tags.get('role', '')}|{at_ms}|{values}"


def closing_text(fields: Mapping[str, float | str], at_ms: int) -> str:
    """Return the text of a day's end: the fields of its point but for the digest, its time."""
    kept = ((name, value) for name, value in sorted(fields.items()) if name != "digest")
    return f"{at_ms}|" + "|".join(f"{name}={_text(value)}" for name, value in kept)


def with_time(runs: list[list[int]], at_ms: int) -> None:
    """Add the time of a quarter hour to `runs`: lists of a beginning (ms) and how many follow
    one another."""
    if runs and at_ms == runs[-1][0] + runs[-1][1] * QUARTER_MS:
        runs[-1][1] += 1
    else:
        runs.append([at_ms, 1])


def runs_text(runs: Iterable[Iterable[int]]) -> str:
    """Return runs as text: "1781733600000*96 ..."."""
    return " ".join("*".join(map(str, run)) for run in runs)


def times(text: str) -> list[int]:
    """Return the times (ms) that `runs_text` wrote, in order; ValueError for other text."""
    found: list[int] = []
    for run in text.split():
        begin, _, count = run.partition("*")
        if len(found) + int(count) > _MOST:
            raise ValueError(f"more quarter hours than a day can have: {run}")
        found += [int(begin) + place * QUARTER_MS for place in range(int(count))]
    return found


def _text(value: float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value + 0.0)  # -0.0 is 0.0
    return str(value)
