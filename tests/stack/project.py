"""The containers of docker-compose.yml, started by docker-compose itself.

What cannot be had from Debian is replaced: the image of Python by a debootstrapped one,
InfluxDB 2 by influxd behind the translator, Grafana by a process that does nothing. All
else is the file's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.engines.process import program
from tests.running import PATIENCE_S, ROOT, wait_until
from tests.stack.base import BASE, IMAGE
from tests.stack.engine import Engine, run
from tests.stack.standin import TOKEN

# A month takes its time on a small machine; two days show the same.
DAYS = 2
PROJECT = "inepro-logger-tests"


def adapted(text: str) -> dict[str, Any]:
    """Return the compose file `text` with the images that there are, and no open port."""
    file: dict[str, Any] = yaml.safe_load(text)
    file.pop("x-logger")
    services = file["services"]
    for service in services.values():
        service.pop("ports", None)
        if service.pop("build", None):
            service["image"] = IMAGE
    influxdb = services["influxdb"]
    influxdb["image"] = BASE
    influxdb["entrypoint"] = ["python3", "-m", "tests.stack.standin"]
    influxdb["working_dir"] = "/srv"
    influxdb["volumes"] += [
        f"{ROOT}/tests:/srv/tests:ro",
        f"{ROOT}/tests/stack/influx:/usr/local/bin/influx:ro",
    ]
    # Its file, its owner, its place in the order of starting; nothing of Grafana itself.
    services["grafana"].update(
        image=BASE,
        user="472:0",
        entrypoint=["sleep", "infinity"],
        stop_signal="SIGKILL",
        healthcheck={"disable": True},
    )
    services["demo-meters"]["command"] += ["--days", str(DAYS)]
    return file


class Project:
    """A directory as a user has it: compose file, config and what `init` writes."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self.directory = directory
        directory.mkdir(parents=True)
        text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
        file = directory / "docker-compose.yml"
        file.write_text(yaml.safe_dump(adapted(text)), encoding="utf-8")
        shutil.copytree(ROOT / "config", directory / "config")
        shutil.copy(ROOT / "stack.sh", directory)

    def compose(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run docker-compose in the directory."""
        command = [program("docker-compose", "docker-compose"), *arguments]
        return run(command, self._environment(), directory=self.directory, code=code)

    def stack(
        self, *arguments: str, answers: str = "", code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run stack.sh in the directory, with Debian's docker-compose."""
        environment = {**self._environment(), "COMPOSE": "docker-compose"}
        command = ["./stack.sh", *arguments]
        return run(command, environment, directory=self.directory, stdin=answers, code=code)

    def _environment(self) -> dict[str, str]:
        known = ("PATH", "HOME", "DOCKER_HOST")
        return {k: v for k, v in self.engine.environment.items() if k in known}

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of the container of a service, {} if there is none."""
        found = self.engine.run(
            "ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}",
            "--filter", f"label=com.docker.compose.service={service}",
        ).stdout.split()  # fmt: skip
        if not found:
            return {}
        known: list[dict[str, Any]] = json.loads(self.engine.run("inspect", found[0]).stdout)
        return known[0]

    def state(self, service: str) -> dict[str, Any]:
        """Return the state of a container: Running, ExitCode, OOMKilled, Health."""
        found: dict[str, Any] = self.container(service).get("State", {})
        return found

    def log(self, service: str) -> str:
        known = self.container(service)
        if not known:
            return "no container"
        said = self.engine.run("logs", "--tail", "40", known["Id"], code=None)
        return said.stdout + said.stderr

    def healthy(self, service: str) -> None:
        """Wait until the health check of a container is content."""

        def well() -> bool:
            return bool(self.state(service)["Health"]["Status"] == "healthy")

        try:
            wait_until(well, 20 * PATIENCE_S)
        except AssertionError:
            raise AssertionError(f"{service}: {self.log(service)}") from None

    def inside(
        self, service: str, *command: str, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the container of a service."""
        return self.engine.run("exec", self.container(service)["Id"], *command, code=code)

    def rows(self, text: str, bucket: str) -> list[dict[str, Any]]:
        """Return the rows of an InfluxQL query, asked in the container of the engine."""
        query = urlencode({"q": text, "db": bucket, "epoch": "ms"})
        said = self.inside(
            "influxdb", "curl", "-fsS", "-H", f"Authorization: Token {TOKEN}",
            f"http://localhost:8086/query?{query}",
        )  # fmt: skip
        (result,) = json.loads(said.stdout)["results"]
        return [
            {**series.get("tags", {}), **dict(zip(series["columns"], row, strict=True))}
            for series in result.get("series", [])
            for row in series["values"]
        ]

    def count(self, measurement: str, field: str, bucket: str) -> int:
        """Return how many values a field has."""
        found = self.rows(f'SELECT count("{field}") AS n FROM "{measurement}"', bucket)
        return int(found[0]["n"]) if found else 0
