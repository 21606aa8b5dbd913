"""Questions of `init` and `scan --write`: each answer is checked when it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from logger.config.answers import Meter
    from logger.meter.identify import Found
    from logger.survey.draft import Place
    from logger.survey.roles import Now

T = TypeVar("T")
_LATER = "later"
_USUAL = ("grid", "pv", "load")  # roles of the first meter, the second, and all others


def checked(check: Callable[[str], T], option: str = "") -> Callable[[str], T]:
    """Return `check` as Typer wants it: a wrong answer is asked for again, a wrong option
    ends the command."""

    def answer(text: str) -> T:
        try:
            return check(text)
        except ValueError as err:
            raise typer.BadParameter(str(err), param_hint=option or None) from None

    return answer


def ask(question: str, default: str | None, check: Callable[[str], T]) -> T:
    """Return the answer to `question`, asked until `check` takes it."""
    found: T = typer.prompt(question, default, value_proc=checked(check))
    return found


def port(adapters: Sequence[str], usual: str = "") -> str:
    """Return the port of the meters, empty when it is not known yet; `usual` was said before."""
    from logger.config import asked

    for number, adapter in enumerate(adapters, start=1):
        typer.echo(f"  {number}  {adapter}")
    if not adapters:
        typer.echo("No serial adapter is plugged in.")
    typer.echo(
        "The meters are on "
        + ("an adapter of this list (its number), " if adapters else "a device (/dev/...), ")
        + f"a gateway (tcp://HOST:502, socket://HOST:PORT), or you know {_LATER}."
    )

    def known(text: str) -> str:
        text = text.strip()
        if text == _LATER:
            return ""
        if text.isdecimal():
            if not 1 <= int(text) <= len(adapters):
                raise ValueError(
                    f"{text} is no number of the list" if adapters else f"{text}: no list is here"
                )
            return adapters[int(text) - 1]
        return asked.port(text)

    return ask("Port", usual or ("1" if adapters else _LATER), known)


def meters(models: Sequence[str]) -> list[Meter]:
    """Return the meters that somebody knows by heart."""
    from logger.config import asked
    from logger.config.addresses import MODBUS
    from logger.config.answers import Meter

    def number(text: str) -> int:
        if not text.strip().isdecimal() or int(text) not in MODBUS:
            raise ValueError(f"{text!r}: a line has 1 to {MODBUS[-1]} meters")
        return int(text)

    found: list[Meter] = []
    for count in range(1, ask("How many meters", "1", number) + 1):

        def free(text: str) -> int:
            one = Meter(name="", address=asked.address(text), role="")
            return asked.unlike(found, one).address

        used = {one.address for one in found}
        address = ask(
            f"Meter {count}: Modbus address",
            str(next(one for one in MODBUS if one not in used)),
            free,
        )
        model = ask(
            f"Meter {count}: model",
            found[-1].model if found else "pro380",
            lambda text: asked.one_of(text, models, "model"),
        )
        role, name = _place(f"Meter {count}", _USUAL[min(count, 3) - 1], "", found)
        found.append(Meter(name=name, address=address, role=role, model=model))
    return found


def places(
    found: Sequence[Found],
    guessed: Sequence[Place],
    seen: Mapping[Found, Now],
    taken: Sequence[str] = (),
) -> list[Place]:
    """Return name and role of each meter that a scan found, asked with what was guessed; names
    that are `taken` are others'."""
    from logger.config.answers import Meter
    from logger.survey.draft import Place

    given = [Meter(name=one, address=-number, role="") for number, one in enumerate(taken)]
    for one, guess in zip(found, guessed, strict=True):
        about = (f"address {one.address}", one.sold_as, one.serial, str(seen.get(one, "")))
        typer.echo(", ".join(part for part in about if part))
        role, name = _place("  Its", guess.role, "", given)
        given.append(Meter(name=name, address=-len(given), role=role))
    return [Place(one.name, one.role) for one in given[len(taken) :]]


def _place(whose: str, role: str, name: str, others: Sequence[Meter]) -> tuple[str, str]:
    from logger.config import asked
    from logger.config.answers import Meter
    from logger.domain.datamodel import ROLES

    def free(text: str) -> str:
        one = Meter(name=asked.name(text), address=-len(others) - 1, role="")
        return asked.unlike(others, one).name

    colon = "" if whose.endswith("Its") else ":"
    role = ask(f"{whose}{colon} role ({', '.join(ROLES)})", role, asked.role)
    used = {one.name for one in others}
    usual = name or next(
        one for one in (role, *(f"{role}-{n}" for n in range(2, 300))) if one not in used
    )
    return role, ask(f"{whose}{colon} name", usual, free)
