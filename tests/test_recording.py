"""The recording at the top of the README: as a terminal showed it, and a picture of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from tests.benchmark.recording import CAST, COLUMNS, ROWS, SVG, frames, record, svg
from tests.running import ROOT


def test_the_recording_is_asciinemas_and_shows_the_demo() -> None:
    header, *events = map(json.loads, CAST.read_text(encoding="utf-8").splitlines())
    assert (header["version"], header["width"], header["height"]) == (2, COLUMNS, ROWS)
    times = [at for at, _, _ in events]
    assert times == sorted(times)
    assert {kind for _, kind, _ in events} == {"o"}
    shown = "".join(text for _, _, text in events)
    for words in ("$ inepro-logger demo", "grid (grid)", "fed into the grid", "inepro-logger init"):
        assert words in shown
    assert str(ROOT) not in shown


def test_the_picture_is_made_from_the_recording() -> None:
    cast, picture = CAST.read_text(encoding="utf-8"), SVG.read_text(encoding="utf-8")
    assert picture == svg(cast)
    root = ET.fromstring(picture)
    groups = [one for one in root if one.tag.endswith("}g")]
    assert len(groups) == len(frames(cast)) > 5
    assert [one.get("visibility") for one in groups].count("visible") == 1
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/demo.svg)" in readme.split("\n## ")[0]


def test_a_command_is_recorded_through_a_terminal() -> None:
    header, typed, *events = map(json.loads, record(["version"]).splitlines())
    assert header["title"] == "inepro-logger version"
    assert typed == [0.0, "o", "$ inepro-logger version\r\n"]
    assert "".join(text for _, _, text in events).strip()
