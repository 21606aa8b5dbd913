"""Go's text/template, as far as our alert texts use it: what a message reads like."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

_ACTION = re.compile(r"(\s*)\{\{(-?) *(.*?) *(-?)\}\}(\s*)", re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()]+')
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "not": lambda value: not value,
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "eq": lambda first, *others: first in others,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "len": len,
    "index": lambda values, number: values[number],
    "match": lambda pattern, text: re.search(pattern, text) is not None,
    "urlquery": quote_plus,
    "printf": lambda form, *values: form % values,
}

Node = tuple[Any, ...]


def _nodes(text: str) -> list[str | list[str]]:
    """Split into texts and the words of actions, with the space that an action trims gone."""
    found: list[str | list[str]] = []
    at, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()] + match[1]
        if trim:
            before = before.lstrip()
        found.append(before.rstrip() if match[2] else before)
        found.append(_TOKEN.findall(match[3]))
        at, trim = match.end(4) + 2, bool(match[4])
    rest = text[at:]
    return [*found, rest.lstrip() if trim else rest]


class Templates:
    """The templates of one file."""

    def __init__(self, text: str) -> None:
        self._named: dict[str, list[Node]] = {}
        self._parts = iter(_nodes(text))
        self._main, _ = self._block()

    def _block(self) -> tuple[list[Node], list[str]]:
        """Read up to `end` or `else`; return what was read, and what ended it."""
        made: list[Node] = []
        for part in self._parts:
            if isinstance(part, str):
                made.append(("text", part))
            elif part[0] in {"end", "else"}:
                return made, part
            elif part[0] == "define":
                self._named[part[1].strip('"')], _ = self._block()
            elif part[0] == "range":
                body, _ = self._block()
                made.append(("range", part[1:], body))
            elif part[0] == "if":
                made.append(self._choice(part[1:]))
            else:
                made.append(("value", part))
        return made, []

    def _choice(self, condition: list[str]) -> Node:
        yes, ended = self._block()
        if ended == ["end"]:
            return "if", condition, yes, []
        if ended == ["else"]:
            no, _ = self._block()
            return "if", condition, yes, no
        return "if", condition, yes, [self._choice(ended[2:])]

    def text(self, name: str | None, of: Any, variables: Mapping[str, Any] | None = None) -> str:
        """Return the template `name`, or what stands outside of all, applied to `of`."""
        nodes = self._main if name is None else self._named[name]
        return "".join(self._one(node, of, variables or {}) for node in nodes)

    def _one(self, node: Node, of: Any, variables: Mapping[str, Any]) -> str:
        kind, what, *blocks = node
        if kind == "text":
            return str(what)
        if kind == "value":
            if what[0] == "template":
                return self.text(what[1].strip('"'), _value(what[2:], of, variables), variables)
            return str(_value(what, of, variables))
        value = _value(what, of, variables)
        if kind == "range":
            return "".join(self._one(n, one, variables) for one in value for n in blocks[0])
        return "".join(self._one(n, of, variables) for n in blocks[0 if value else 1])


def _value(words: list[str], of: Any, variables: Mapping[str, Any]) -> Any:
    """Return the value of an expression."""
    values: list[Any] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "(":
            depth, inner = 1, []
            while depth:
                word = left.pop(0)
                depth += {"(": 1, ")": -1}.get(word, 0)
                inner.append(word)
            values.append(_value(inner[:-1], of, variables))
        elif word[0] == '"':
            values.append(word[1:-1])
        elif word[0] in ".$":
            values.append(_field(word, of, variables))
        elif word in _FUNCTIONS:
            values.append(_FUNCTIONS[word])
        else:
            values.append(float(word))
    first, *rest = values
    return first(*rest) if callable(first) else first


def _field(path: str, of: Any, variables: Mapping[str, Any]) -> Any:
    root, *names = path.split(".")
    value = variables[root[1:]] if root else of
    for name in filter(None, names):
        # A Go map of texts has an empty one for what it lacks.
        value = value.get(name, "") if isinstance(value, Mapping) else getattr(value, name)
    return value
