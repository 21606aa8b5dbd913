"""The parts of docs/ that are made from the code: `python -m tests.reference` writes them anew.

Each page may have text of its own before the line `<!-- generated -->`; what follows that
line is made here, from the models of the configuration, from Typer's commands, and from the
data model.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from logger.cli import app
from logger.config.mistakes import section_in
from logger.config.types import Seconds, Size
from logger.config.whole import Config
from logger.domain.datamodel import MEASUREMENTS, Lane

DOCS = Path(__file__).parent.parent / "docs"
MARK = "<!-- generated -->\n"


def _of(alias: Any) -> object:
    """Return what tells a field of this annotated type: its last validator."""
    return typing.get_args(alias)[1]


_KINDS = {_of(Seconds): "duration", _of(Size): "size"}


def _cell(text: object) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def _table(*rows: tuple[object, ...]) -> str:
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _kind(annotation: Any, metadata: tuple[object, ...] = ()) -> str:
    """Return the type of a key in the words of the configuration."""
    for piece in metadata:
        try:
            if piece in _KINDS:
                return _KINDS[piece]
        except TypeError:
            continue
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _kind(arguments[0], arguments[1:])
    if origin is typing.Literal:
        return ", ".join(f"`{_toml(value)}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(
            dict.fromkeys(_kind(part) for part in arguments if part is not type(None))
        )
    if origin in (list, tuple):
        return f"list of {_kind(arguments[0])}"
    names = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value)


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f'"{seconds / size:g}{unit}"'
    return f'"{seconds:g}s"' if seconds >= 1 or not seconds else f'"{seconds * 1000:g}ms"'


def _default(field: FieldInfo, kind: str) -> str:
    if field.is_required():
        return "required"
    value = field.get_default() if _needs_data(field) else _made(field)
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return "–"
    if isinstance(value, Path):
        return "in the state directory"  # another place for each user
    if kind == "duration" and isinstance(value, (int, float)):
        return f"`{_duration(value)}`"
    if kind == "size" and isinstance(value, int):
        unit, size = ("GiB", 1 << 30) if value % (1 << 30) == 0 else ("MiB", 1 << 20)
        return f'`"{value // size}{unit}"`'
    return f"`{_toml(value)}`" if value not in ((), []) else "`[]`"


def _made(field: FieldInfo) -> object:
    return field.get_default(call_default_factory=True, validated_data={})


def _needs_data(field: FieldInfo) -> bool:
    factory = field.default_factory
    return factory is not None and bool(
        inspect.isfunction(factory) and inspect.signature(factory).parameters
    )


def _inside(annotation: Any) -> Iterator[object]:
    """Yield what stands beside the types inside of `annotation`, such as `Fuse | None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        yield from annotation.__metadata__
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _inside(part)


def _bounds(metadata: list[Any]) -> str:
    words = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}",
             "min_length": "at least {} long", "max_length": "at most {} long"}  # fmt: skip
    found = []
    for piece in metadata:
        for inner in (*getattr(piece, "metadata", ()), piece):
            for name, text in words.items():
                if (value := getattr(inner, name, None)) is not None:
                    found.append(text.format(f"{value:g}" if name[0] in "gl" else value))
    return ", ".join(dict.fromkeys(found))


def every_key(
    section: type[BaseModel] = Config, above: str = ""
) -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield every key of the configuration: the sections above it, its name, the field."""
    for name, field in section.model_fields.items():
        inner = section_in(field.annotation)
        if inner is not None:
            yield from every_key(inner, f"{above}{name}.")
        else:
            yield above, name, field


def configuration() -> str:
    """Return every key with its type, bounds and default."""
    rows: list[tuple[object, ...]] = [("key", "type", "default", "bounds")]
    for above, name, field in every_key():
        kind = _kind(field.annotation, tuple(field.metadata))
        key = f"`{above}{field.alias or name}`"
        rows.append(
            (
                key,
                kind,
                _default(field, kind),
                _bounds([*field.metadata, *_inside(field.annotation)]) or "–",
            )
        )
    return (
        "## Types and defaults\n\nMade from the models that read the file. A duration is written"
        " as\n[times and durations](times.md) say; a size as `500MiB` or `2GiB`; a dash says that"
        " there is\nnone, or that the key follows another one.\n\n" + _table(*rows)
    )


# Typer's parts are taken by what they have: the classes behind them differ between its versions.
def _usage(command: Any, words: str) -> str:
    return " ".join([words, *(_name(one) for one in command.params if _is_argument(one))])


def _is_argument(one: Any) -> bool:
    return bool(one.param_type_name == "argument")


def _name(argument: Any) -> str:
    name = str(argument.metavar or argument.name).upper()
    return name if argument.required else f"[{name}]"


def _commands(command: Any, words: str = "inepro-logger") -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None or (command.invoke_without_command and words != "inepro-logger"):
        yield words, command
    for name, one in (inner or {}).items():
        yield from _commands(one, f"{words} {name}")


def commands() -> str:
    """Return every command with its text, arguments and options."""
    parts = ["## Every command and option\n\nThe same as `--help` says.\n"]
    for words, command in _commands(typer.main.get_command(app)):
        if command.hidden:
            continue
        parts.append(f"\n### {words.removeprefix('inepro-logger ')}\n\n")
        parts.append(f"```\n{_usage(command, words)}\n```\n")
        text = inspect.cleandoc(command.help or "").replace("\f", "\n")
        if text:
            parts.append(f"\n{text.strip()}\n")
        rows = [row for one in command.params if (row := _option(one))]
        if rows:
            parts.append("\n" + _table(("argument or option", "default", "meaning"), *rows))
    return "".join(parts)


def _option(one: Any) -> tuple[object, ...] | None:
    if getattr(one, "hidden", False) or "--help" in one.opts:
        return None
    text = getattr(one, "help", None) or ""
    names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
    if _is_argument(one):
        names = f"`{_name(one)}`"
    shown = one.default
    if one.required:
        return names, "required", text
    if shown is None or isinstance(shown, bool) or shown in ("", (), []) or callable(shown):
        return names, "–", text
    return names, f"`{getattr(shown, 'value', shown)}`", text


def data_model() -> str:
    """Return every measurement with its tags and fields."""
    parts = ["## Every field\n\nMade from the code. Every point also has the tag `site`.\n"]
    for name, measurement in MEASUREMENTS.items():
        bucket = "fast_bucket" if measurement.lane is Lane.FAST else "bucket"
        tags = ", ".join(f"`{tag}`" for tag in measurement.tags) or "none"
        text = measurement.text[0].upper() + measurement.text[1:]
        parts.append(f"\n### {name}\n\n{text}. In `{bucket}`; further tags: {tags}.\n\n")
        rows = [(f"`{key}`", one.kind, one.unit or "–", one.text)
                for key, one in measurement.fields.items()]  # fmt: skip
        parts.append(_table(("field", "type", "unit", "meaning"), *rows))
    return "".join(parts)


PAGES = {
    "configuration.md": ("Configuration", configuration),
    "commands.md": ("Commands", commands),
    "data-model.md": ("Data model", data_model),
}


def page(name: str) -> str:
    """Return the page as it should be: its own text as it is, the rest anew."""
    title, make = PAGES[name]
    path = DOCS / name
    own = path.read_text(encoding="utf-8").partition(MARK)[0] if path.exists() else f"# {title}\n\n"
    return f"{own}{MARK}\n{make()}"


def write() -> None:
    """Write all pages."""
    for name in PAGES:
        (DOCS / name).write_text(page(name), encoding="utf-8")


if __name__ == "__main__":
    write()
