"""Small plots as inline SVG: curves with limits, and bars. Pure; no library, no script."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 960, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 28
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # told apart by everyone (Okabe, Ito)


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line of (x, y) points with x increasing; None in y leaves a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


def curves(
    lines: Sequence[Curve],
    limits: Sequence[tuple[float, str]],
    unit: str,
    x_label: Callable[[float], str],
) -> str:
    """Return a plot of `lines` over the same x, with horizontal `limits` and their names."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points if y is not None]
    if not xs or not ys:
        return "<p>No data.</p>"
    low = min([*ys, *(value for value, _ in limits)])
    high = max([*ys, *(value for value, _ in limits)])
    margin = (high - low) * 0.05 or 1.0
    place = _Place(min(xs), max(xs), low - margin, high + margin)
    parts = [place.frame(unit, x_label)]
    for value, name in limits:
        parts.append(_limit(place.y(value), name))
    for line, colour in zip(lines, _cycle(len(lines)), strict=True):
        parts.append(f'<path d="{place.path(_thinned(line.points))}" stroke="{colour}"/>')
    for index, (line, colour) in enumerate(zip(lines, _cycle(len(lines)), strict=True)):
        x = _LEFT + 10 + 90 * index
        parts.append(
            f'<rect x="{x}" y="{_TOP + 5}" width="12" height="4" fill="{colour}"/>'
            f'<text x="{x + 17}" y="{_TOP + 11}">{escape(line.name)}</text>'
        )
    return _svg(parts)


def bars(values: Sequence[tuple[str, float]], unit: str, limit: float | None = None) -> str:
    """Return a bar for each (label, value >= 0), and a line at `limit`."""
    top = max([limit or 0.0, *(value for _, value in values)])
    if top <= 0:
        return "<p>No data.</p>"
    place = _Place(0, len(values), 0, top * 1.05)
    parts = [place.frame(unit, None)]
    if limit is not None:
        parts.append(_limit(place.y(limit), f"{limit:g} {unit}"))
    every = max(1, len(values) // 12)
    for index, (label, value) in enumerate(values):
        x, y = place.x(index + 0.1), place.y(value)
        width = place.x(index + 0.9) - x
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{place.y(0) - y:.1f}" fill="{_COLOURS[0]}"><title>{escape(label)}: '
            f"{value:g} {escape(unit)}</title></rect>"
        )
        if index % every == 0:
            parts.append(
                f'<text x="{x + width / 2:.1f}" y="{_HEIGHT - 10}" class="middle">'
                f"{escape(label)}</text>"
            )
    return _svg(parts)


def _limit(y: float, name: str) -> str:
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="limit"/>'
        f'<text x="{_WIDTH - _RIGHT - 4}" y="{y - 3:.1f}" class="end">{escape(name)}</text>'
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where data go on the paper."""

    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x0) / ((self.x1 - self.x0) or 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y0) / ((self.y1 - self.y0) or 1)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def path(self, points: Sequence[tuple[float, float | None]]) -> str:
        parts = []
        pen = "M"
        for x, y in points:
            if y is None:
                pen = "M"
                continue
            parts.append(f"{pen}{self.x(x):.1f} {self.y(y):.1f}")
            pen = "L"
        return "".join(parts)

    def frame(self, unit: str, x_label: Callable[[float], str] | None) -> str:
        parts = []
        for value in _ticks(self.y0, self.y1):
            y = self.y(value)
            parts.append(
                f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                f'class="grid"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="end">{value:g}</text>'
            )
        parts.append(f'<text x="4" y="{_TOP + 11}">{escape(unit)}</text>')
        if x_label is not None:
            for step in range(7):
                value = self.x0 + (self.x1 - self.x0) * step / 6
                side = ("start", *["middle"] * 5, "end")[step]
                parts.append(
                    f'<text x="{self.x(value):.1f}" y="{_HEIGHT - 10}" class="{side}">'
                    f"{escape(x_label(value))}</text>"
                )
        return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between `low` and `high`, four to nine of them."""
    step = 10.0 ** math.floor(math.log10((high - low) or 1))
    while (high - low) / step > 8:
        step *= 2
    while (high - low) / step < 4:
        step /= 2
    first = math.ceil(low / step)
    return [round(step * number, 6) for number in range(first, math.floor(high / step) + 1)]


def _thinned(points: Sequence[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """Return at most about two points a pixel: lowest and highest of each stretch."""
    stretch = len(points) // (_WIDTH // 2)
    if stretch < 4:
        return list(points)
    found: list[tuple[float, float | None]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        known = [(x, y) for x, y in part if y is not None]
        if len(known) < len(part):
            found.append((part[0][0], None))
        if known:
            extremes = {min(known, key=lambda p: p[1]), max(known, key=lambda p: p[1])}
            found += sorted(extremes)
    return found


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _svg(parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
