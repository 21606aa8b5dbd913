"""Take pictures of every dashboard of a running Grafana, for the documentation and to be looked at.

`python -m tests.grafana_pictures URL --out DIRECTORY` writes one PNG for each dashboard, width
and theme, whole pages. The login is taken from GRAFANA_USER and GRAFANA_PASSWORD; without a
password Grafana must let anybody look. Set TZ to the zone of the site: Grafana takes the day of
tiles from the browser, the range from the dashboard. Needs Debian's chromium; `pngquant`, where
it is installed, makes the files a third as large.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from tests.browser import Browser
from tests.running import wait_until

TAG = "inepro-logger"
DESK, PHONE = 1600, 390
THEMES = ("light", "dark")
_STEADY = 3  # looks in a row, each so many milliseconds after the last, that find the same
_PAUSE_MS = 500
_HIGHER = 4  # times a page may change its height when its window does
# What a page still has to do: 0 once every panel that is there has its data. The class is that
# of Grafana 9, the labels are those of 10 and later.
_BUSY = """(() => {
  const one = (text) => document.querySelectorAll(text).length;
  if (!one('.react-grid-layout')) return 1e6;
  const work = ['.panel-loading', '[aria-label="Panel loading bar"]', '[data-testid="Spinner"]'];
  return work.map(one).reduce((a, b) => a + b);
})()"""
# Where the content ends: the page itself never scrolls, a box in it does. On a phone panels stand
# below each other, while the grid around them keeps the height that they have on a desk.
_END = """(() => {
  const grid = document.querySelector('.react-grid-layout');
  const top = grid.closest('.scrollbar-view, main, body').scrollTop;
  const all = [grid, ...grid.querySelectorAll('.react-grid-item')];
  const end = Math.max(...all.map((one) => one.getBoundingClientRect().bottom));
  return Math.ceil(end + top) + 16;
})()"""
# Panels that show that their query failed: the class is that of Grafana 9, the label of later ones.
_FAILED = """document.querySelectorAll(
  '.panel-info-corner--error, [data-testid="data-testid Panel status error"]').length"""
_AGAIN = 5  # times a page is opened while panels of it fail: a proxy may have lost an answer
_SHOWN = f"""new Promise((done) => setTimeout(done, {_PAUSE_MS})).then(() => [
  document.body.innerText.length, document.querySelectorAll('canvas, svg').length,
  performance.getEntriesByType('resource').length].join(' '))"""


def ask(browser: Browser, path: str, body: object = None) -> object:
    """Return what Grafana's interface answers, asked from the page that is open."""
    given: dict[str, object] = {"headers": {"Content-Type": "application/json"}}
    if body is not None:
        given |= {"method": "POST", "body": json.dumps(body)}
    found = browser.value(
        f"fetch({json.dumps(path)}, {json.dumps(given)})"
        ".then(async (one) => ({status: one.status, text: await one.text()}))"
    )
    if found["status"] != 200:
        raise SystemExit(f"{path}: Grafana says {found['status']}: {found['text'][:200]}")
    return json.loads(found["text"])


def log_in(browser: Browser, url: str) -> None:
    """Open Grafana's page, with the login of the environment if it has one."""
    browser.open(f"{url}/login")
    browser.wait("document.readyState === 'complete'")
    if password := os.environ.get("GRAFANA_PASSWORD"):
        user = os.environ.get("GRAFANA_USER", "admin")
        ask(browser, f"{url}/login", {"user": user, "password": password})


def boards(browser: Browser, url: str) -> dict[str, str]:
    """Return the titles of this project's dashboards by uid."""
    found = ask(browser, f"{url}/api/search?tag={TAG}")
    assert isinstance(found, list)
    return {one["uid"]: one["title"] for one in found}


def _settled(browser: Browser) -> None:
    """Return once every panel has its data and nothing changes any more."""
    seen: list[str] = []

    def steady() -> bool:
        if browser.value(_BUSY):
            seen.clear()
            return False
        seen.append(str(browser.value(_SHOWN)))
        return len(seen) >= _STEADY and len(set(seen[-_STEADY:])) == 1

    wait_until(steady)


def _show(browser: Browser, url: str, width: int) -> None:
    """Show a whole dashboard: panels below the window would not be filled, so the window is
    made as high as the page."""
    browser.open(url, width, 1000)
    _settled(browser)
    height = 0
    for _ in range(_HIGHER):
        if (found := int(browser.value(_END))) == height:
            break
        height = found
        browser.resize(width, height)
        _settled(browser)


def take(browser: Browser, url: str, width: int, path: Path) -> None:
    """Write a picture of a whole dashboard. Raises SystemExit if panels of it keep failing."""
    for _ in range(_AGAIN):
        _show(browser, url, width)
        if not (failed := int(browser.value(_FAILED))):
            break
    else:
        raise SystemExit(f"{url}: {failed} panels say that their query failed")
    browser.picture(path)
    if shutil.which("pngquant"):
        subprocess.run(
            ["pngquant", "--force", "--skip-if-larger", "--ext", ".png", "128", str(path)],
            check=False,  # 98: it would be no smaller
        )


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("url", help="of Grafana, such as http://localhost:3000")
    parser.add_argument("--out", type=Path, default=Path("grafana/screenshots"))
    parser.add_argument("--only", action="append", help="the uid of a dashboard; repeat it")
    parser.add_argument("--width", type=int, action="append", help="in pixels; 1600 and 390")
    parser.add_argument("--theme", action="append", choices=THEMES, help="both")
    parser.add_argument("--bars", action="store_true", help="with menu, variables and range")
    parser.add_argument("--range", nargs=2, metavar=("FROM", "TO"), help="as in Grafana's URL")
    parser.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(given)
    url = options.url.rstrip("/")
    options.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        Browser(Path(profile)) as browser,
    ):
        log_in(browser, url)
        for uid in boards(browser, url):
            if options.only and uid not in options.only:
                continue
            for width in options.width or (DESK, PHONE):
                for theme in options.theme or THEMES:
                    asked = [("theme", theme)]
                    asked += [(f"var-{k}", v) for k, _, v in
                              (one.partition("=") for one in options.variable)]  # fmt: skip
                    asked += zip(("from", "to"), options.range or (), strict=False)
                    tail = urlencode(asked) + ("" if options.bars else "&kiosk")
                    path = options.out / f"{uid.removeprefix('inepro-')}-{width}-{theme}.png"
                    take(browser, f"{url}/d/{uid}?{tail}", width, path)
                    print(path, flush=True)


if __name__ == "__main__":
    main()
