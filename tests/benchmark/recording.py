"""Records the demo for the README: `python -m tests.benchmark.recording`.

Writes docs/demo.cast (asciinema's format, version 2: docs.asciinema.org, "asciicast v2"), as
a terminal showed it, and docs/demo.svg from it: a picture that plays in a browser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

import pyte

from tests.running import COMMAND, ROOT
from tests.terminal import Terminal

CAST, SVG = ROOT / "docs" / "demo.cast", ROOT / "docs" / "demo.svg"
SHOWN = ("demo", "--for", "12s")
COLUMNS, ROWS = 120, 33
# The picture shows a state at least this long, and the last one for a while.
_EVERY_S, _LAST_S = 1.0, 4.0
_IDLE_S = 2.0  # players show no longer pause
_CELL, _LINE, _MARGIN = 8.4, 18, 12  # pixels
_BACK, _INK = "#11151c", "#d7dce4"
_COLOURS = {
    "black": "#3b4252",
    "red": "#f2777a",
    "green": "#8fd694",
    "brown": "#f5d76e",
    "blue": "#7aa7f0",
    "magenta": "#d69bf0",
    "cyan": "#6fd3e0",
    "white": "#ffffff",
}


def record(arguments: Sequence[str], program: Sequence[str] = COMMAND) -> str:
    """Run a command on a terminal to its end and return the recording."""
    typed = f"$ inepro-logger {' '.join(arguments)}\r\n"
    header = {
        "version": 2,
        "width": COLUMNS,
        "height": ROWS,
        "idle_time_limit": _IDLE_S,
        "title": typed[2:].strip(),
        "env": {"TERM": "xterm-256color"},
    }
    with Terminal(*arguments, columns=COLUMNS, rows=ROWS, program=program) as terminal:
        terminal.end()
    events = [(0.0, typed), *terminal.frames]
    rows = [json.dumps(header), *(json.dumps([round(at, 3), "o", text]) for at, text in events)]
    return "\n".join(rows) + "\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """What the screen shows from `at` seconds on, as rows of SVG."""

    at: float
    body: str


def frames(cast: str) -> list[Frame]:
    """Return the states of the screen, one a second at most, and the last."""
    header, *recorded = map(json.loads, cast.splitlines())
    events = list(_without_idling(recorded, header["idle_time_limit"]))
    screen = pyte.Screen(header["width"], header["height"])
    stream = pyte.Stream(screen)
    found: list[Frame] = []
    for number, (at, text) in enumerate(events):
        # The other screen, for a picture that comes and goes, is none of pyte's: it is cleared.
        for part in text.replace("\x1b[?1049", "\x1b[2J\x1b[H\x1b[?1049").split("\x1b[?1049"):
            stream.feed(part[1:] if part[:1] in {"h", "l"} else part)
        last = number == len(events) - 1
        if (last or not found or at - found[-1].at >= _EVERY_S) and any(
            map(str.strip, screen.display)
        ):
            found.append(Frame(at, "".join(_rows(screen))))
    return found


def _without_idling(events: Sequence[Any], most_s: float) -> Iterator[tuple[float, str]]:
    now = before = 0.0
    for at, _, text in events:
        now += min(at - before, most_s)
        before = at
        yield now, text


def _rows(screen: pyte.Screen) -> Iterator[str]:
    for y in range(screen.lines):
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        at = 0
        for (colour, bold), run in groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
            text = "".join(cell.data for cell in run)
            ink = _COLOURS.get(colour, _INK if colour == "default" else f"#{colour}")
            weight = ' font-weight="bold"' if bold else ""
            # Browsers take several blanks for one: words far apart are texts of their own.
            for word in re.finditer(r"\S+(?: \S+)*", text):
                x = _MARGIN + (at + word.start()) * _CELL
                yield (
                    f'<text x="{x:.1f}" y="{_MARGIN + (y + 1) * _LINE - 4}" fill="{ink}"{weight} '
                    f'textLength="{len(word[0]) * _CELL:.1f}">{escape(word[0])}</text>\n'
                )
            at += len(text)


def svg(cast: str) -> str:
    """Return a picture that plays the recording again and again."""
    header = json.loads(cast.splitlines()[0])
    found = frames(cast)
    whole = found[-1].at + _LAST_S
    width = 2 * _MARGIN + header["width"] * _CELL
    height = 2 * _MARGIN + header["height"] * _LINE
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">\n'
        f"<title>{escape(header['title'])}</title>\n"
        f'<rect width="100%" height="100%" rx="8" fill="{_BACK}"/>\n'
    )
    parts = []
    ends = [*(frame.at for frame in found[1:]), whole]
    for frame, end in zip(found, ends, strict=True):
        first, after = frame.at / whole, end / whole
        values, times = ["hidden", "visible", "hidden"], [0.0, first, after]
        if not first:
            values, times = values[1:], times[1:]
            times[0] = 0.0
        if frame is found[-1]:
            values, times = values[:-1], times[:-1]
        shown = "visible" if frame is found[-1] else "hidden"  # where nothing plays
        parts.append(
            f'<g visibility="{shown}"><animate attributeName="visibility" calcMode="discrete" '
            f'values="{";".join(values)}" keyTimes="{";".join(f"{one:.4f}" for one in times)}" '
            f'dur="{whole:.2f}s" repeatCount="indefinite"/>\n{frame.body}</g>\n'
        )
    return "".join([head, *parts, "</svg>\n"])


def main() -> None:
    """Make both files anew."""
    cast = record(SHOWN)
    CAST.write_text(cast, encoding="utf-8")
    SVG.write_text(svg(cast), encoding="utf-8")


if __name__ == "__main__":
    main()
