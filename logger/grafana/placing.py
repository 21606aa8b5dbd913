"""Where the panels of a dashboard stand: line by line, without a hole. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from logger.grafana.panels import WIDTH, Json


def placed(panels: Sequence[Json]) -> list[Json]:
    """Return the panels with numbers and places: left to right, a new line when full.

    Raises ValueError for a line that leaves a hole, and says how to close it.
    """
    found: list[Json] = []
    y = 0
    for line in _lines(panels):
        if line[0]["type"] == "row":
            sizes = [{"h": 1, "w": WIDTH}]
        else:
            sizes = [one["gridPos"] for one in line]
            _check_line(line)
        x = 0
        for one, size in zip(line, sizes, strict=True):
            made = {key: value for key, value in one.items() if key != "height"}
            place = {"h": size["h"], "w": size["w"], "x": x, "y": y}
            found.append({**made, "id": len(found) + 1, "gridPos": place})
            x += size["w"]
        y += sizes[0]["h"]
    return found


def spread(panels: Sequence[Json], most: int) -> list[Json]:
    """Return the panels with widths that fill lines of at most `most` panels each."""
    found: list[Json] = []
    left = len(panels)
    while left:
        lines = -(-left // most)
        count = -(-left // lines)
        for place in range(count):
            one = panels[len(found)]
            width = WIDTH * (place + 1) // count - WIDTH * place // count
            found.append({**one, "gridPos": {**one["gridPos"], "w": width}})
        left -= count
    return found


def _lines(panels: Sequence[Json]) -> list[list[Json]]:
    """Return the panels line by line; a heading is a line of its own."""
    lines: list[list[Json]] = []
    room = 0
    for one in panels:
        width = WIDTH if one["type"] == "row" else one["gridPos"]["w"]
        if width > room:
            lines.append([])
            room = WIDTH
        lines[-1].append(one)
        room -= width
    return lines


def _check_line(line: Sequence[Json]) -> None:
    """Raise ValueError when the panels of a line do not fill it, or differ in height."""
    widths = [one["gridPos"]["w"] for one in line]
    if sum(widths) == WIDTH and len({one["gridPos"]["h"] for one in line}) == 1:
        return
    sizes = ", ".join(
        f"{one['title']!r} {one['gridPos']['w']} wide and {one['gridPos']['h']} high"
        for one in line
    )
    raise ValueError(
        f"a line of panels has to be {WIDTH} wide in all and of one height, but this one is "
        f"{sum(widths)} wide: {sizes}. Panels fill a line from the left, and what does not fit "
        "begins the next one: choose `width` and `height` of these, or of the panels before them"
    )
