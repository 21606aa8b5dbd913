"""Small changes to good input, drawn from a source of chance."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz.seeds import WORDS

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**63, 1e308, -0.0, "", "x", [], {}, [[]], {"a": 1}),
    *(float("nan"), float("inf"), "1e999", [None], "L1", 1e-9, 2**31),
)


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Return `data` with up to eight changes: as JSON where it is some, else as bytes."""
    if data[:1] in (b"{", b"[") and len(data) < 40_000 and dice.random() < 0.8:
        try:
            tree = json.loads(data)
        except (ValueError, RecursionError):
            return _bytes(data, dice)
        for _ in range(dice.randint(1, 4)):
            tree = _tree(tree, dice)
        return json.dumps(tree).encode()
    return _bytes(data, dice)


def _bytes(data: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(data) + 1)
        size = dice.choice((0, 1, 1, 2, 5, 20))
        match dice.randrange(6):
            case 0:
                piece = bytes([dice.randrange(256)])
            case 1:
                piece = dice.choice(WORDS)
            case 2:
                piece = b""
            case 3:
                start = dice.randrange(len(data) + 1)
                piece = data[start : start + dice.choice((1, 8, 40))]
            case 4:
                piece = bytes(dice.randrange(256) for _ in range(dice.randint(1, 8)))
            case _:
                piece = data[at : at + size] * 2
        data = data[:at] + piece + data[at + size :]
    return data


def _tree(tree: Any, dice: random.Random) -> Any:
    """Return `tree` with one value changed, removed, moved or added somewhere in it."""
    if isinstance(tree, dict) and tree and dice.random() < 0.9:
        key = dice.choice(list(tree))
        changed = dict(tree)
        match dice.randrange(12):
            case 0:
                del changed[key]
            case 1:
                changed[dice.choice(("", "house", "x", "L4"))] = changed[key]
            case 2:
                changed[key] = dice.choice(list(tree.values()))
            case _:
                changed[key] = _tree(tree[key], dice)
        return changed
    if isinstance(tree, list) and tree and dice.random() < 0.9:
        at = dice.randrange(len(tree))
        match dice.randrange(8):
            case 0:
                return tree[:at] + tree[at + 1 :]
            case 1:
                return [*tree, tree[at]]
            case _:
                return [*tree[:at], _tree(tree[at], dice), *tree[at + 1 :]]
    if isinstance(tree, int | float) and not isinstance(tree, bool) and dice.random() < 0.4:
        return dice.choice((-tree, tree + 1, tree * 1000, float(tree), str(tree)))
    return dice.choice(_VALUES)
