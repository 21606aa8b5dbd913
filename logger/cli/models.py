"""`models`: which meters there are tables for, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logger.cli.options import JsonOption

if TYPE_CHECKING:
    from logger.models import Model, Register


def models(
    model: Annotated[str | None, typer.Argument(help="Show the table of this model.")] = None,
    models_dir: Annotated[
        Path | None, typer.Option(help="Directory with register tables of your own.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models of meters, or print the register table of one."""
    import json

    from logger.domain.errors import ModelError
    from logger.models import available
    from logger.models import load as load_model

    if models_dir is not None and not models_dir.is_dir():
        raise ModelError(f"{models_dir}: no such directory", "name the directory of your tables")
    if model is not None:
        table = load_model(model, models_dir)
        typer.echo(json.dumps(_as_json(table), indent=2)) if as_json else _show(table)
        return
    every = [load_model(name, models_dir) for name in available(models_dir)]
    if as_json:
        typer.echo(json.dumps([_head(one) for one in every], indent=2))
    else:
        _list(every)


def _head(model: Model) -> dict[str, Any]:
    return {
        "model": model.name,
        "title": model.title,
        "manual": model.manual,
        "firmware": model.firmware,
        "protocol": model.protocol,
        "codes": {f"0x{code:04X}": about.sold_as for code, about in model.codes.items()},
        "baudrates": list(model.baudrates),
        "registers": len(model.registers),
        "requests": _requests(model),
    }


def _requests(model: Model) -> dict[str, int]:
    """Return how many requests each job takes; on M-Bus one is enough for all of them."""
    from logger.models import Job
    from logger.models.plan import plans

    if model.protocol == "mbus":
        return {job.value: int(bool(model.of_job(job))) for job in Job}
    return {job.value: len(blocks) for job, blocks in plans(model).items()}


def _as_json(model: Model) -> dict[str, Any]:
    return _head(model) | {"registers": [_row(register) for register in model.registers]}


def _row(register: Register) -> dict[str, Any]:
    from logger.models.record import Record

    write = register.write
    return {
        "address": register.place,
        "length": register.length,
        "type": register.encoding.value,
        "unit": register.unit,
        "job": register.job.value,
        "field": register.field,
        "phase": register.phase,
        "tariff": register.tariff,
        "name": register.name,
        "choices": {str(code): name for code, name in register.choices.items()},
        "write": write.function if write and not register.refuse else None,
        "accepts": write.accepts if write and not register.refuse else "",
        "note": register.note,
        "source": register.source if isinstance(register, Record) else "",
    }


def _list(every: list[Model]) -> None:
    from logger.cli.console import console, fitting
    from logger.cli.table import Table

    table = Table("model", "meters", "firmware", "meter code: sold as", "registers")
    for one in every:
        codes = "\n".join(f"0x{code:04X}: {about.sold_as}" for code, about in one.codes.items())
        table.add_row(
            one.name,
            one.title,
            one.firmware,
            codes or ("M-Bus has none" if one.protocol == "mbus" else "not published"),
            str(len(one.registers)),
        )
    console().print(fitting(table))


def _show(model: Model) -> None:
    from logger.cli.console import console, fitting
    from logger.cli.table import Table

    out = console()
    out.print(f"[bold]{model.title}[/]\nfrom: {model.manual}")
    table = Table(
        "address" if model.protocol == "modbus" else "record",
        "type",
        "unit",
        "job",
        "field",
        "register",
        "write",
    )
    for register in model.registers:
        write = register.write
        accepts = write.accepts if write and not register.refuse else ""
        table.add_row(
            register.place,
            f"{register.encoding}" + (f" x{register.length}" if register.length > 2 else ""),
            register.unit,
            register.job.value,
            register.key,
            register.name,
            accepts,
        )
    out.print(fitting(table))
