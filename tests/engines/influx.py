"""InfluxDB 1.x of Debian, a real engine for writes and InfluxQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.engines.process import Server, free_port, program

CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{directory}/meta"
[data]
dir = "{directory}/data"
wal-dir = "{directory}/wal"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
max-body-size = 0
"""


class QueryError(Exception):
    """The engine refused a query."""


class InfluxServer(Server):
    """influxd with a directory of its own, without authentication, on a random port."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._config = directory / "influxdb.conf"
        self._config.write_text(
            CONFIG.format(rpc=free_port(), port=self.port, directory=directory), encoding="utf-8"
        )

    def command(self) -> list[str]:
        return [program("influxd", "influxdb"), "-config", str(self._config)]

    def ready(self) -> bool:
        return self.http.request("GET", f"{self.url}/ping").status == 204

    def query(self, text: str, bucket: str = "") -> list[dict[str, Any]]:
        """Return the series of an InfluxQL query; times are in milliseconds.

        A series is a dictionary with `name`, `tags` and `rows`, a list of dictionaries.
        """
        fields = urlencode({"q": text, "db": bucket, "epoch": "ms"})
        answer = self.http.request(
            "POST",
            f"{self.url}/query",
            body=fields,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        result = json.loads(answer.data)
        if "error" in result or any("error" in part for part in result["results"]):
            raise QueryError(f"{text}: {result}")
        return [
            {
                "name": series["name"],
                "tags": series.get("tags", {}),
                "rows": [
                    dict(zip(series["columns"], row, strict=True))
                    for row in series.get("values", [])
                ],
            }
            for part in result["results"]
            for series in part.get("series", [])
        ]

    def rows(self, text: str, bucket: str) -> list[dict[str, Any]]:
        """Return the rows of all series of a query, tags included."""
        return [
            {**series["tags"], **row}
            for series in self.query(text, bucket)
            for row in series["rows"]
        ]

    def count(self, measurement: str, field: str, bucket: str) -> int:
        """Return how many values `field` of `measurement` has."""
        found = self.rows(f'SELECT count("{field}") AS n FROM "{measurement}"', bucket)
        return int(found[0]["n"]) if found else 0

    def buckets(self) -> set[str]:
        """Return the names of the databases that a user made."""
        names = {row["name"] for row in self.rows("SHOW DATABASES", "")}
        return names - {"_internal"}

    def create_bucket(self, name: str, retention: str = "") -> None:
        """Create a database; `retention` such as "1h" makes it forget older points."""
        tail = f" WITH DURATION {retention}" if retention else ""
        self.query(f'CREATE DATABASE "{name}"{tail}')

    def drop_bucket(self, name: str) -> None:
        """Drop a database and all that is in it."""
        self.query(f'DROP DATABASE "{name}"')
