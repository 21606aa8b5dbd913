"""The image and the containers, run by a real engine: nothing here is only read.

Needs root (or sudo), docker.io, docker-compose and debootstrap. Where no engine can be
had the tests are skipped, except in CI: there it is an error.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from logger import __version__
from tests.engines.process import program
from tests.grafana_start import refusals
from tests.running import PATIENCE_S, ROOT, wait_until
from tests.stack.base import IMAGE, make_base, make_image
from tests.stack.engine import Engine, NoEngineError, as_root
from tests.stack.project import DAYS, PROJECT, Project

# As the compose file starts the logger.
CONFINED = (
    "--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges:true", "--network", "none",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has the project's image."""
    for name, package in (("docker", "docker.io"), ("debootstrap", "debootstrap")):
        program(name, package)
    directory = tmp_path_factory.mktemp("docker")
    try:
        with Engine(directory / "engine") as found:
            make_base(found, directory)
            make_image(found, directory, ROOT)
            yield found
    except NoEngineError as err:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(err))


def init(made: Project) -> None:
    """Write what `init` in the image writes: its own random secrets each time."""
    owner = f"{os.getuid()}:{os.getgid()}"
    made.engine.run(
        "run", *CONFINED, "--hostname", "energy-pi", "-u", owner, "-v", f"{made.directory}:/site",
        IMAGE, "init", "/site", "--yes", "--port", "socket://demo-meters:5020",
        "--meter", "1:grid:house", "--meter", "2:pv:roof", "--zone", "Europe/Vienna",
    )  # fmt: skip
    # As a user names a second stack: below the line that is there, with quotes.
    with (made.directory / ".env").open("a", encoding="utf-8") as file:
        file.write(f"COMPOSE_PROJECT_NAME='{PROJECT}'\n")


@pytest.fixture(scope="module")
def project(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The compose file beside what `init` in the image wrote; the demo runs."""
    made = Project(engine, tmp_path_factory.mktemp("stack") / "checkout")
    init(made)
    try:
        made.compose("--profile", "demo", "up", "-d")
        made.healthy("demo-logger")
        yield made
    finally:
        made.compose("--profile", "demo", "--profile", "default", "down", "-v", code=None)


def test_the_image_is_its_user_s_and_reads_only(engine: Engine) -> None:
    (known,) = json.loads(engine.run("inspect", IMAGE).stdout)
    assert known["Config"]["User"] == "10001:10001"
    assert known["Config"]["Healthcheck"]["Retries"] == 1  # `status` waits long enough by itself
    probe = "import os, sys; print(os.getuid(), os.access('/opt', os.W_OK), sys.version_info[:2])"
    said = engine.run("run", *CONFINED, "--entrypoint", "python", IMAGE, "-c", probe).stdout
    assert said.startswith("10001 False")
    assert engine.run("run", *CONFINED, IMAGE, "--version").stdout.strip() == __version__


def test_the_demo_runs_in_it(engine: Engine) -> None:
    said = engine.run("run", *CONFINED, IMAGE, "demo", "--for", "5s").stdout
    assert "readings of 2 meters, 0 errors" in said


def test_init_in_the_image_knows_the_machine(project: Project) -> None:
    env = (project.directory / ".env").read_text(encoding="utf-8")
    assert "GRAFANA_URL=http://energy-pi:3000/" in env
    assert (project.directory / ".env").stat().st_uid == os.getuid()


def test_init_as_documented_may_open_an_adapter(engine: Engine, tmp_path: Path) -> None:
    """By the command of the README; nothing is plugged in, so what it opens answers nothing."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^docker run (.* init /site)$", text.replace("\\\n", ""), re.M)
    options = shlex.split(line)
    options = options[: options.index("inepro-logger:local")]
    options.remove("-it")
    # A driver's node without the driver; the highest number, so that none is behind it.
    devices = tmp_path / "dev"
    devices.mkdir()
    devices.chmod(0o755)
    node = devices / "ttyUSB1048575"
    subprocess.run([*as_root(), "mknod", "-m", "660", node, "c", "188", "1048575"], check=True)
    subprocess.run([*as_root(), "chown", "0:20", node], check=True)
    documented = [
        "1234:1234" if before == "-u" else f"{devices}:/host/dev:ro" if "/host/dev" in one else one
        for before, one in itertools.pairwise(["", *options])
    ]
    documented[documented.index("$PWD:/site")] = f"{tmp_path}:/site"
    documented[documented.index("$(hostname)")] = "energy-pi"
    scan = [IMAGE, "scan", "--port", f"/host/dev/{node.name}", "--range", "1"]
    allowed = engine.run("run", *documented, *scan, code=None)
    assert "cannot be opened" in allowed.stderr, allowed.stderr
    assert "no permission" not in allowed.stderr
    volume = ("-v", f"{devices}:/host/dev:ro")
    refused = engine.run("run", "--rm", "-u", "1234:1234", *volume, *scan, code=None)
    assert "Traceback" not in refused.stderr
    hint = " ".join(refused.stderr.split())
    assert "--group-add 20 --device-cgroup-rule 'c 188:* rw'" in hint


def test_only_the_services_of_the_profile_run(project: Project) -> None:
    for service in ("influxdb", "demo-meters", "demo-logger"):
        assert project.state(service)["Running"], project.log(service)
        assert project.container(service)["RestartCount"] == 0
    assert project.container("logger") == {}


def test_influxdb_logs_no_error_on_its_first_start(project: Project) -> None:
    assert "lvl=error" not in project.log("influxdb")
    assert "token for grafana: made" in project.log("influxdb")


def test_the_past_of_the_demo_is_delivered(project: Project) -> None:
    def status() -> dict[str, object]:
        said = project.inside("demo-logger", "inepro-logger", "status", "--json", code=None)
        found: dict[str, object] = json.loads(said.stdout) if said.stdout else {}
        return found if said.returncode == 0 else {}

    def delivered() -> bool:
        return project.count("site", "grid_import", "energy") >= DAYS * 24 * 6

    wait_until(delivered, 20 * PATIENCE_S)
    state = wait_until(status, 20 * PATIENCE_S)
    assert state["site"] == "demo"
    first = project.rows('SELECT first("active_import") AS kwh FROM "energy"', "energy")[0]
    assert time.time() - first["time"] / 1000 > (DAYS - 0.5) * 86400
    roles = {row["value"] for row in project.rows('SHOW TAG VALUES WITH KEY = "role"', "energy")}
    assert {"grid", "pv"} <= roles
    assert project.count("power", "voltage", "live") > 0


def test_health_tells_that_the_meters_are_gone_and_back(project: Project) -> None:
    def unhealthy() -> bool:
        return bool(project.state("demo-logger")["Health"]["Status"] == "unhealthy")

    project.compose("--profile", "demo", "stop", "demo-meters")
    wait_until(unhealthy, 20 * PATIENCE_S)
    project.compose("--profile", "demo", "start", "demo-meters")
    project.healthy("demo-logger")
    assert project.container("demo-logger")["RestartCount"] == 0


def test_a_logger_that_was_killed_goes_on(project: Project) -> None:
    def newest() -> int:
        rows = project.rows('SELECT last("voltage") FROM "power"', "live")
        return max(int(row["time"]) for row in rows)

    project.engine.run("kill", project.container("demo-logger")["Id"])
    project.compose("--profile", "demo", "up", "-d", "--no-deps", "demo-logger")
    before = newest()
    wait_until(lambda: newest() > before, 10 * PATIENCE_S)


def test_grafana_s_files_are_written_and_taken(project: Project) -> None:
    wait_until(lambda: project.state("provisioning")["Status"] == "exited", 10 * PATIENCE_S)
    assert project.state("provisioning")["ExitCode"] == 0, project.log("provisioning")
    mounted = {
        mount["Destination"]: mount["Name"]
        for mount in project.container("provisioning")["Mounts"]
        if mount["Type"] == "volume"
    }
    # As the user and group of Grafana's image.
    said = project.engine.run(
        "run", *CONFINED, "-u", "472:0", "-v", f"{mounted['/provisioning']}:/p:ro",
        "--entrypoint", "cat", IMAGE, "/p/alerting/inepro-notifications.yaml",
    ).stdout  # fmt: skip
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    default = compose["services"]["grafana"]["environment"]["GF_SMTP_FROM_ADDRESS"]
    environment = {
        "GF_SMTP_FROM_ADDRESS": default.partition(":-")[2].removesuffix("}"),
        "GF_SERVER_ROOT_URL": "http://energy-pi:3000/",
    }
    assert refusals(environment, json.loads(said)) == []


def test_a_bad_sender_is_named_before_grafana_starts(project: Project) -> None:
    said = project.compose(
        "run", "--rm", "-e", "SMTP_FROM=me@localhost", "provisioning",
        "grafana", "/tmp/made", code=None,
    )  # fmt: skip
    assert said.returncode != 0
    assert "SMTP_FROM is 'me@localhost'" in said.stdout + said.stderr


def test_a_demo_is_backed_up_and_comes_back_as_a_demo(project: Project) -> None:
    """stack.sh with the docker-compose that is there, the oldest that it is to work with."""
    # A backup that fails leaves nothing standing still.
    said = project.stack("backup", "backups/none", code=1)
    assert "backups/none is no backup" in said.stderr
    assert project.state("grafana")["Running"]
    script = (
        "import sqlite3; "
        "sqlite3.connect('/var/lib/grafana/grafana.db').execute('create table mine (n)')"
    )
    grafana = project.container("grafana")["Id"]
    project.engine.run("exec", "-u", "0", grafana, "python3", "-c", script)
    energy = project.count("energy", "active_import", "energy")
    assert "backups/one holds" in project.stack("backup", "backups/one").stdout
    assert project.state("grafana")["Running"]
    backup = project.directory / "backups" / "one"
    assert (backup / "profiles").read_text() == "demo\n"
    assert (backup / "grafana.db").read_bytes().startswith(b"SQLite format 3")

    # Another machine, where the stack was tried before there was the backup: other secrets.
    project.compose("--profile", "demo", "down", "-v")
    secrets = (project.directory / ".env").read_text(encoding="utf-8")
    (project.directory / ".env").unlink()
    init(project)
    assert (project.directory / ".env").read_text(encoding="utf-8") != secrets
    project.compose("up", "-d", "influxdb")
    project.healthy("influxdb")
    project.stack("restore", "backups/one", answers="y\n")
    project.healthy("demo-logger")
    assert (project.directory / ".env").read_text(encoding="utf-8") == secrets
    assert project.container("logger") == {}
    assert project.count("energy", "active_import", "energy") >= energy
    ask = "import os; print(os.stat('/var/lib/grafana/grafana.db').st_uid)"
    assert project.inside("grafana", "python3", "-c", ask).stdout == "472\n"
    assert project.stack("tokens").stdout.count("kept") == 2
    wait_until(lambda: project.state("demo-logger")["Running"], PATIENCE_S)


def test_the_stack_stops_in_time_and_well(project: Project) -> None:
    project.healthy("demo-logger")
    project.compose("--profile", "demo", "stop", "demo-logger")
    state = project.state("demo-logger")
    assert (state["Running"], state["ExitCode"]) == (False, 0), project.log("demo-logger")


def test_a_logger_that_is_still_starting_stops_too(project: Project) -> None:
    project.compose("--profile", "demo", "start", "demo-logger")
    project.compose("--profile", "demo", "stop", "demo-logger")
    # By the signal or by itself; 137 is a container that was killed in the end.
    assert project.state("demo-logger")["ExitCode"] in {0, 128 + signal.SIGTERM}


def test_the_configuration_of_init_runs(project: Project, tmp_path: Path) -> None:
    """The profile of one's own meters: a gateway on TCP, which here is the demo's."""
    project.compose("--profile", "demo", "stop", "demo-logger")
    project.compose("--profile", "demo", "up", "-d", "demo-meters")
    project.compose("up", "-d", "--no-deps", "logger")
    project.healthy("logger")
    said = project.inside("logger", "inepro-logger", "status")
    assert "house" in said.stdout
    assert "roof" in said.stdout

    def read() -> bool:
        rows = project.rows('SELECT last("voltage") FROM "power" WHERE site = \'home\'', "live")
        return bool(rows)

    wait_until(read, 10 * PATIENCE_S)
    assert "error" not in project.inside("logger", "inepro-logger", "config", "check").stdout


def test_influxdb_ends_well(project: Project) -> None:
    """It closes its files at SIGINT; SIGTERM, as any container is stopped with, cuts it off."""
    project.healthy("influxdb")
    project.compose("stop", "influxdb")
    state = project.state("influxdb")
    assert (state["Running"], state["ExitCode"]) == (False, 0), project.log("influxdb")
