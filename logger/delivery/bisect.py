"""Sends lines and finds the bad ones among them. Pure but for the `write` it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from logger.influx.outcome import UNPARSED, Outcome, OutcomeKind

# Refusals in a row, without one line taken, after which the request is at fault and not
# the lines: more than it takes to halve 10,000 lines down to one, twice.
MAX_FRUITLESS = 40

Write = Callable[[Sequence[str]], Outcome]


@dataclass(slots=True)
class SendResult:
    """What became of lines, by index. Lines in neither set wait. `stopped` is the answer
    that ended it early; `too_large` the smallest request that was too large, in lines, for
    their number: one with a line that is too large by itself says nothing about that."""

    accepted: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    stopped: Outcome | None = None
    too_large: int | None = None


def send(
    lines: Sequence[str],
    write: Write,
    stopping: Callable[[], bool],
    known: str = "",
    first: Outcome | None = None,
) -> SendResult:
    """Write all lines; halve what is refused until the bad lines are alone.

    A line that is refused alone, for what it says or for its size, is set aside if the
    server names a fault of lines, or if it took others at that time: a server or proxy that
    refuses everything is a wrong target. `known` is a line that this target took before,
    "" if there is none: to write it again is harmless, and tells the one from the other
    where all others are refused. `first` is what became of all of them in one request, if
    that was tried.
    """
    verdict = SendResult()
    suspects: dict[int, Outcome] = {}
    large: list[list[int]] = []
    # A quote that is not closed would swallow the lines after it, up to the next quote, and
    # the server might call that a text: such a line only ever goes alone.
    odd = {index for index, line in enumerate(lines) if '"' in line and not closed(line)}
    todo = [[index] for index in sorted(odd, reverse=True)]
    if not odd:
        todo.append(list(range(len(lines))))
    elif len(odd) < len(lines):
        todo.append([index for index in range(len(lines)) if index not in odd])
    fruitless = 0
    while todo:
        if stopping() and first is None:
            break
        part = todo.pop()
        whole = len(part) == len(lines)
        if first is not None:
            outcome, first = first, None
        else:
            outcome = write(lines if whole else [lines[index] for index in part])
        if outcome.kind is OutcomeKind.DELIVERED:
            verdict.accepted.update(part)
            continue
        if outcome.kind is OutcomeKind.TOO_LARGE:
            large.append(part)
        elif outcome.kind is not OutcomeKind.REJECTED:
            verdict.stopped = outcome
            break
        fruitless += 1
        if outcome.dropped == len(part) or (len(part) == 1 and outcome.sure):
            verdict.refused.update(dict.fromkeys(part, outcome.text))
        elif len(part) == 1:
            suspects[part[0]] = outcome
        elif not outcome.sure and not verdict.accepted and fruitless > MAX_FRUITLESS:
            if not _takes(known, write):
                verdict.stopped = replace(outcome, kind=OutcomeKind.WRONG_TARGET)
                break
            fruitless = 0
            todo += _split(part, lines, outcome)
        else:
            # the last one pushed goes first: what is likely good, to learn the rest sooner
            todo += _split(part, lines, outcome)
    if verdict.stopped is None and suspects and not stopping():
        if verdict.accepted or _takes(known, write):
            _ask_again(verdict, suspects, lines, write, stopping)
        else:
            outcome = next(iter(suspects.values()))
            verdict.stopped = replace(outcome, kind=OutcomeKind.WRONG_TARGET)
    verdict.too_large = min(
        (len(part) for part in large if verdict.refused.keys().isdisjoint(part)), default=None
    )
    return verdict


def _takes(known: str, write: Write) -> bool:
    """Return whether the target takes a line now that it took before."""
    return bool(known) and write([known]).kind is OutcomeKind.DELIVERED


def _ask_again(
    verdict: SendResult,
    suspects: Mapping[int, Outcome],
    lines: Sequence[str],
    write: Write,
    stopping: Callable[[], bool],
) -> None:
    """Send each suspect alone once more: a proxy that refused everything for a while may
    have begun to work again between a suspect and the lines that it took."""
    for index in suspects:
        if verdict.stopped is not None or stopping():
            return
        outcome = write([lines[index]])
        if outcome.kind is OutcomeKind.DELIVERED:
            verdict.accepted.add(index)
        elif outcome.kind is OutcomeKind.REJECTED:
            verdict.refused[index] = outcome.text
        elif outcome.kind is OutcomeKind.TOO_LARGE:
            size = len(lines[index].encode("utf-8", "surrogateescape"))
            verdict.refused[index] = f"{outcome.text}: a line of {size} bytes is too large alone"
        else:
            verdict.stopped = outcome


def _split(part: list[int], lines: Sequence[str], outcome: Outcome) -> list[list[int]]:
    """Return the parts to try next: the lines that the server quotes and the others, or
    two halves."""
    if UNPARSED in outcome.text:
        quoted = [index for index in part if f"'{lines[index]}'" in outcome.text]
        if 0 < len(quoted) < len(part):
            apart = set(quoted)
            return [*([index] for index in quoted), [i for i in part if i not in apart]]
    middle = len(part) // 2
    return [part[middle:], part[:middle]]


def closed(line: str) -> bool:
    """Return whether every quote in a line has its counterpart."""
    if '"' not in line:
        return True
    bare = line.replace("\\\\", "").replace('\\"', "")
    return bare.count('"') % 2 == 0
