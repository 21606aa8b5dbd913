"""The commands on prices, with a configuration and a directory of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from typer.testing import CliRunner, Result

from logger.cli import app, prices
from tests.configs import configuration

CONFIG = configuration(
    ("grid", "grid"), zone="Europe/Vienna", buffer={"path": "{path}/buffer.sqlite"}
)
QUARTER = 900_000
VIENNA = ZoneInfo("Europe/Vienna")


class Shell:
    def __init__(self, directory: Path, extra: str = "") -> None:
        self.directory = directory
        self.config = directory / "logger.toml"
        self.config.write_text(CONFIG.format(path=directory) + extra, encoding="utf-8")
        self.kept = directory / "prices.csv"

    def run(self, *words: str) -> Result:
        # A part of the commands is made in a fraction of the time.
        part, rest = (prices.app, words[1:]) if words[0] == "prices" else (app, words)
        return CliRunner().invoke(
            part, [*rest, "--config", str(self.config)], env={"COLUMNS": "200"}
        )

    def __call__(self, *words: str, code: int = 0) -> str:
        result = self.run(*words)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def take(self, text: str | bytes, *words: str, code: int = 0) -> Any:
        file = self.directory / "market.dat"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return json.loads(self("prices", "import", str(file), *words, "--json", code=code))

    def listed(self, *words: str) -> list[tuple[str, str, float]]:
        found = json.loads(self("prices", "list", "--from", "2020", *words, "--json"))
        return [(one["start"], one["end"], one["spot"]) for one in found["prices"]]


VIENNESE = ("--zone", "Europe/Vienna")
