"""The live page in Chromium: what it shows of a running logger, and of days and sites that are
not like most. The pictures are written when INEPRO_LOGGER_PICTURES names a directory."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser
from tests.running import ROOT, wait_until
from tests.test_web import ODD, running

pytestmark = pytest.mark.long  # Chromium is 113 MB to fetch: not a part of the normal run
WIDTHS = (390, 820, 1440)
PICTURES = os.environ.get("INEPRO_LOGGER_PICTURES", "")
DRAWN = (
    "document.querySelectorAll('#meters tbody tr').length > 0 && "
    "document.querySelectorAll('#hours svg, #hours p').length > 0 && "
    "document.getElementById('state').textContent !== 'connecting'"
)
HOUR_MS = 3_600_000
# Europe/Amsterdam, 25 October 2026: 25 hours, from 22:00 UTC on.
LONG_DAY_MS = 1_792_879_200_000


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as made:
        yield made


def pictured(browser: Browser, name: str, width: int, dark: bool) -> None:
    if PICTURES:
        browser.picture(Path(PICTURES) / f"{name}-{width}-{'dark' if dark else 'light'}.png")


def texts(browser: Browser, selector: str) -> list[str]:
    found = browser.value(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)"
    )
    return [str(one) for one in found]


def fits(browser: Browser) -> bool:
    return bool(browser.value("document.documentElement.scrollWidth <= innerWidth"))


def serious(browser: Browser) -> list[str]:
    """Return what went wrong in the page so far: errors of scripts, and what its policy refused.

    503 of the status is what is said when the logger is not well.
    """
    return [
        one
        for one in browser.errors
        if "/api/status" not in one and '"level": "verbose"' not in one
    ]


def test_the_page_of_a_running_logger(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as (app, url):
        wait_until(lambda: all(app.latest.available(name) for name in ("grid", ODD, "")))
        for width in WIDTHS:
            for dark in (False, True):
                browser.open(f"{url}/", width, dark=dark)
                browser.wait(DRAWN)
                assert fits(browser), width
                pictured(browser, "run", width, dark)
        assert sorted(texts(browser, "#meters td:first-child")) == sorted(["grid", ODD])
        assert texts(browser, "#flow text.soft")[::2] == ["PV", "Grid", "Load"]
        powers = texts(browser, "#flow text[font-weight]")
        assert all(re.fullmatch(r"[\d.]+\u00a0k?W", one) for one in powers), powers
        assert texts(browser, "#phases td:first-child") == ["L1", "L2", "L3"]
        assert not browser.value(
            "document.querySelectorAll('main b, main img, main script').length"
        )
        assert browser.value("document.title") == "home"
        # Somebody says that there is a meter with markup for a name: it stays text.
        assert not serious(browser)


# Sites and days that are told, not run.


# Whether every corner of every text in a circle is clear of its line. The letters take two
# thirds of the height of a box, which has room for accents and tails.
WITHIN = """[...document.querySelectorAll('#flow g:has(> circle.node)')].every((one) => {
  const circle = one.querySelector('circle');
  const [cx, cy, r] = ['cx', 'cy', 'r'].map((name) => circle[name].baseVal.value);
  return [...one.querySelectorAll('text')].filter((text) => text.textContent).every((text) => {
    const box = text.getBBox();
    return [0, 1].every((along) => [1 / 6, 5 / 6].every((down) => Math.hypot(
      box.x + along * box.width - cx, box.y + down * box.height - cy) < r - 2));
  });
})"""


class Told(SimpleHTTPRequestHandler):
    """The page's own files, and answers that a test made."""

    answers: dict[str, Any]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in self.answers:
            found = self.answers[path]
            stream = path == "/api/stream"
            body = f"event: state\ndata: {json.dumps(found)}\n\n" if stream else json.dumps(found)
            self.send_response(200)
            kind = "text/event-stream" if stream else "application/json"
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body.encode())
            return
        if path == "/":
            self.path = "/page.html"
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def meter(name: str, role: str, phases: int = 3, power: float = 1234.5) -> dict[str, Any]:
    values: dict[str, float] = {"active_power/total": power} if phases else {}
    for number in range(1, phases + 1):
        values |= {f"voltage/L{number}": 231.2, f"current/L{number}": 4.5,
                   f"active_power/L{number}": power / phases}  # fmt: skip
    return {"name": name, "role": role, "available": bool(phases), "time": None, "age_s": 1.5,
            "bus": "line", "model": "pro380", "values": values}  # fmt: skip


def iso(at_ms: int) -> str:
    import datetime as dt

    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).isoformat()


SITES: dict[str, tuple[list[dict[str, Any]], dict[str, float], list[str]]] = {
    "one": ([meter("grid", "grid", 1, 640.0)], {}, ["Grid", "Load"]),
    "three": (
        [meter("grid", "grid", 3, -1500.0), meter("roof", "pv", 3, -4000.0),
         meter("cellar <i>", "battery", 3, 800.0)],
        {"grid_power": -1500.0, "pv_power": 4000.0, "battery_power": 800.0, "load_power": 1700.0,
         "demand": 1.254, "demand_forecast": 0.0},
        ["PV", "Grid", "Load", "Battery"],
    ),
    "sixty": (
        [meter(f"Wohnung {n:02} im Hinterhaus, links", "load", 1 if n % 3 else 3, 100.0 * n)
         for n in range(1, 60)] + [meter("never heard", "load", 0)],
        {},
        ["Load"],
    ),
    "no-roles": ([meter("heat", "battery", 0)], {}, ["Battery"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(SITES))
def test_sites_that_are_not_like_most(browser: Browser, kind: str) -> None:
    """And on a day of 25 hours, whose last hour is in the picture, too."""
    own, flows, nodes = SITES[kind]
    troubles = 9 if kind == "sixty" else 0
    now = LONG_DAY_MS + 25 * HOUR_MS - 1
    about = {"available": bool(flows), "time": None, "age_s": None, "values": flows}
    row = {"import_kwh": 1.0, "self_consumed_kwh": 0.5, "export_kwh": 0.25, "pv_kwh": 0.75,
           "load_kwh": 1.5, "self_sufficiency": 0.4, "cost": 0.3, "revenue": None}  # fmt: skip
    starts = [LONG_DAY_MS + hour * HOUR_MS for hour in range(25)]
    answers = {
        "/api/site": {"name": kind, "timezone": "Europe/Amsterdam", "now": iso(now),
                      "currency": "EUR", **about},
        "/api/stream": {"site": about, "meters": own},
        "/api/status": {"healthy": kind != "sixty", "problems": ["too hot"] * troubles},
        "/api/energy": {"rows": [{**row, "start": iso(one)} for one in starts], "total": row},
        "/api/today": {"start": iso(LONG_DAY_MS), "end": iso(LONG_DAY_MS + 25 * HOUR_MS),
                       "step_s": 300, "power": {"load": [500.0] * 300}},
        "/api/events": {"events": []},
    }  # fmt: skip
    handler = type("Told", (Told,), {"answers": answers})
    place = ROOT / "logger" / "web"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(place))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        for width in WIDTHS:
            for dark in (False, True):
                browser.open(f"http://127.0.0.1:{server.server_port}/", width, dark=dark)
                browser.wait(DRAWN + f" && document.title === {json.dumps(kind)}")
                pictured(browser, kind, width, dark)
                assert fits(browser), width
                inside = (
                    "[...document.querySelectorAll('#hours rect')].every((one) => "
                    "one.x.baseVal.value + one.width.baseVal.value "
                    "<= document.querySelector('#hours svg').viewBox.baseVal.width)"
                )
                assert browser.value(inside)
        hours = texts(browser, "#hours title")
        assert len(hours) == 75
        assert [one[:5] for one in hours[6:12:3]] == ["02:00", "02:00"]  # twice that day
        marks = [f"{hour:02}:00" for hour in range(0, 24, 4)]
        assert texts(browser, "#hours text.hour") == marks
        assert texts(browser, "#meters td:first-child") == sorted(
            (one["name"] for one in own), key=lambda name: name != "never heard"
        )
        demand = "Demand of this quarter hour: 1.25\u00a0kW so far, forecast 0.00\u00a0kW"
        assert texts(browser, "#demand:not([hidden])") == ([demand] if kind == "three" else [])
        labels = texts(browser, "#flow text[y]")
        assert [one for one in labels if one in ("PV", "Grid", "Load", "Battery")] == nodes
        told = ["too hot"] * 6 + ["and 3 more: inepro-logger status has all"]
        assert texts(browser, "#problems li") == (told if troubles else [])
        assert ("59 of 60" in labels) == (kind == "sixty")
        assert browser.value(WITHIN)
        assert browser.value("document.getElementById('search-part').hidden") == (len(own) < 12)
        assert texts(browser, "#phases table, #phases p")[0].startswith(
            "No values" if kind == "no-roles" else "voltage"
        )
        server.shutdown()
        thread.join()
