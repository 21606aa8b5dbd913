"""Who sent an M-Bus telegram: the model, by the records in it. Pure but for the tables."""

from __future__ import annotations

from collections.abc import Iterable

from logger.mbus.records import Telegram
from logger.models import Model, available, load
from logger.models.record import share

# Such a share of the records of a table has to be in a telegram; versions of a meter
# lack some (the CT ratio on a direct meter).
_ENOUGH = 0.5


def tables() -> list[Model]:
    """Return the bundled tables of M-Bus meters."""
    return [model for name in available() if (model := load(name)).protocol == "mbus"]


def by_records(telegram: Telegram, models: Iterable[Model] | None = None) -> Model | None:
    """Return the model of `models` whose records `telegram` holds, None for none."""
    fitting = [
        (share(model, telegram), model.name, model)
        for model in (tables() if models is None else models)
        if model.protocol == "mbus"
        and "+" not in model.name
        and model.manufacturer in ("", telegram.manufacturer)
    ]
    best = max(fitting, default=None, key=lambda one: one[:2])
    return best[2] if best is not None and best[0] >= _ENOUGH else None
