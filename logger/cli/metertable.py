"""`config meters` and `config import`: the meters as a table for a spreadsheet, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from logger.cli.options import DEFAULT_CONFIG, ConfigOption, ForceOption, not_there_yet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logger.config.merge import Merged


def meters(
    config: ConfigOption = DEFAULT_CONFIG,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write it to this file, else print it.")
    ] = None,
    decimal_comma: Annotated[
        bool, typer.Option("--decimal-comma", help="Part cells by ;, as where 1,5 is a number.")
    ] = False,
    force: ForceOption = False,
) -> None:
    """Print the meters as a table (CSV) for a spreadsheet; `config import` takes it back.

    A line for each meter, a column for each key that one of them has.
    """
    import tomllib

    from logger.config import load_config
    from logger.config.load import read
    from logger.config.metertable import csv_text
    from logger.disk.newfiles import writing

    if out is not None:
        not_there_yet(out, force)
    load_config(config)
    text = csv_text(tomllib.loads(read(config)), ";" if decimal_comma else ",")
    if out is None:
        typer.echo(text, nl=False)
        return
    with writing(out):
        out.write_text(text, encoding="utf-8-sig")  # with a mark: Excel knows the letters by it
    typer.echo(f"{out}: written", err=True)


def import_(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE.CSV", help="Meters, as `config meters` prints them.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    write: Annotated[
        Path | None,
        typer.Option("--write", help="Write the configuration to this file; else only tell."),
    ] = None,
) -> None:
    """Put the meters of a table (CSV) into a configuration, and write that to another file.

    A row is the meter that has its address on its line, or its name; else it is added. An
    empty cell takes a key out. Keys without a column, meters without a row, comments and all other
    sections stay. With a mistake nothing is written, and all mistakes are told.
    """
    from logger.config import load_config
    from logger.config.fromtable import changed, load_table
    from logger.config.load import checked
    from logger.disk.newfiles import NewFile, may_be_made, write_new
    from logger.domain.errors import ConfigError

    if write is not None:
        may_be_made(write)
    load_config(config)
    text, found = changed(config, load_table(table))
    for line in _told(found):
        typer.echo(line)
    if write is None:
        typer.echo("nothing is written: --write FILE does that", err=True)
        return
    if checked(write, text) != checked(config, text):
        raise ConfigError(
            f"{write}: relative paths of a configuration start beside it, and it lies elsewhere",
            f"--write {config.parent / write.name}",
        )
    write_new([NewFile(write, text)])
    typer.echo(f"{write}: written; next: inepro-logger config check --config {write}", err=True)


def _told(found: Merged) -> Iterator[str]:
    """Yield what is other than before, a line for each meter and line."""
    from logger.config.write import keys

    for (_, *place), changes in found.changes.items():
        section = found.data["bus"][place[0]]
        kind = "bus"
        if len(place) > 1:
            kind, section = "meter", section["meter"][place[2]]
        set_ = keys(**changes) + [f"no {key}" for key, one in changes.items() if one is None]
        yield f"{kind} {section['name']}: {', '.join(set_)}"
    for b, added in found.added.items():
        for meter in added:
            yield f"meter {meter['name']}: added to bus {found.data['bus'][b]['name']}"
    for bus in found.buses:
        count = len(bus["meter"])
        yield f"bus {bus['name']}: added, with {count} meter{'s' * (count != 1)}"
    if not (found.changes or found.added or found.buses):
        yield "all is in the configuration already"
    if found.untouched:
        yield f"without a row, as they were: {', '.join(found.untouched)}"
