"""Chromium of Debian without a window: loads pages, is asked what they show, takes pictures.

It is spoken to over a pair of pipes (Chrome DevTools Protocol).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.engines.process import program
from tests.running import wait_until

_THEIRS = (3, 4)  # where Chromium reads and writes


class Browser:
    """A browser with one page. `directory` keeps its profile."""

    def __init__(self, directory: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        for mine in (self._write, self._read):
            os.set_inheritable(mine, False)

        def place() -> None:
            first, second = os.dup(to_read), os.dup(to_write)
            os.dup2(first, _THEIRS[0])
            os.dup2(second, _THEIRS[1])

        self._process = subprocess.Popen(
            [program("chromium", "chromium"), "--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
             f"--user-data-dir={directory}", "--remote-debugging-pipe"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=_THEIRS,
            preexec_fn=place,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._came = b""
        self._number = 0
        self.errors: list[str] = []  # of scripts, and what the page's policy refused
        self._session = ""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def open(self, url: str, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Load a page in a window of that size."""
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask("Emulation.setScrollbarsHidden", hidden=True)
        self._ask("Page.navigate", url=url)

    def resize(self, width: int, height: int) -> None:
        """Give the window that size; one of a phone's width is a phone's."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip

    def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript gives, once it does if it is a promise."""
        found = self._ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Wait until an expression is true, and return it."""
        return wait_until(lambda: self.value(expression))

    def picture(self, path: Path) -> None:
        """Write the whole page as a PNG."""
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self._ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _ask(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._receive()
            if found.get("id") == self._number:
                assert "error" not in found, (method, found)
                result: Mapping[str, Any] = found["result"]
                return result
            if found.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(found["params"]))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._came:
            part = os.read(self._read, 1 << 20)
            assert part, "Chromium ended"
            self._came += part
        text, _, self._came = self._came.partition(b"\0")
        return dict(json.loads(text))
