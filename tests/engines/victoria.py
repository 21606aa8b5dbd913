"""VictoriaMetrics of Debian: another real engine that takes InfluxDB's v2 writes."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlencode

from tests.engines.process import Server, program


class VictoriaServer(Server):
    """victoria-metrics with a directory of its own on a random port."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._storage = directory / "storage"

    def command(self) -> list[str]:
        return [
            program("victoria-metrics", "victoria-metrics"),
            f"-storageDataPath={self._storage}",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-memory.allowedBytes=64MiB",
            "-search.latencyOffset=0s",
            "-search.disableCache",
        ]

    def ready(self) -> bool:
        return self.http.request("GET", f"{self.url}/health").status == 200

    def samples(self, match: str) -> list[tuple[dict[str, str], int, float]]:
        """Return (labels, milliseconds, value) of every stored sample of a selector."""
        self.http.request("GET", f"{self.url}/internal/force_flush")
        query = urlencode({"match[]": match})
        answer = self.http.request("GET", f"{self.url}/api/v1/export?{query}")
        found = []
        for line in answer.data.decode().splitlines():
            series = json.loads(line)
            found += [
                (series["metric"], stamp, value)
                for stamp, value in zip(series["timestamps"], series["values"], strict=True)
            ]
        return found
