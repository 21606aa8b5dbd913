"""Every command of README, CONTRIBUTING and docs/ is run as it stands there, and does what it
says."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from logger.config import load_config
from logger.config.demandrule import load_rule
from logger.models import load_file
from logger.points.line import FieldValue, Point
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests import reference
from tests.engines import InfluxServer, Translator
from tests.engines.process import program
from tests.report_rig import write_influx
from tests.running import (
    PATIENCE_S,
    ROOT,
    RunningLogger,
    command,
    wait_until,
)

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
# What a user reads: where in it a section stands is free.
MANUAL = "\n".join(
    [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))]
)
# Commands that go on until they are told to stop, and what they say when they can be.
ENDLESS = {"run": "started, process", "demo": "meter", "simulate": "port ="}
# What is not ours, and where it is shown to work instead.
NOT_OURS = {
    "export": "the environment of the commands here: INEPRO_LOGGER_CONFIG",
    "ls": "lists the adapters of the reader's machine",
    "cp": "copies the example",
    "tar": "copies the reader's files: test_bills moves points to another buffer",
    "python3": "the installation: test_demo_line runs it",
    ".venv/bin/pytest": "test_documents collects what it selects",
    ".venv/bin/ruff": "a line of .ci/run, as test_documents sees",
    ".venv/bin/mypy": "a line of .ci/run, as test_documents sees",
    ".venv/bin/lint-imports": "a line of .ci/run, as test_documents sees",
    ".venv/bin/pre-commit": "changes the reader's repository: test_documents checks its file",
    "docker": "test_stack runs the image and the containers",
    "sudo": "changes the reader's machine",
    "git": "the reader's checkout",
    "influx": "the reader's InfluxDB: test_stack runs the script it feeds",
    "./stack.sh": "needs an engine: test_stack runs it",
    ".venv/bin/pip": "the installation: test_demo_line runs one",
    ".venv/bin/mkdocs": "test_documents builds the site",
    ".venv/bin/python": "the modules of tests: test_documents names where each is run",
    "vmagent": "test_scaleout",
}
NOON = 1_782_037_800.0
ROOF = '[[bus.meter]]\nname = "roof"\nmodel = "pro380"\naddress = 2\nrole = "pv"\n'


def blocks(language: str, text: str = MANUAL) -> list[str]:
    """Return the code blocks of `text` in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(text: str = MANUAL + CONTRIBUTING) -> list[str]:
    """Return every command line, continuation lines joined, comments cut off."""
    found = []
    for block in blocks("sh", text):
        for line in block.replace("\\\n", " ").splitlines():
            text = re.sub(r"\s+#.*$", "", line).strip()
            if text and not text.startswith("#"):
                found.append(text)
    return found


OURS = list(dict.fromkeys(line for line in lines() if line.startswith("inepro-logger ")))


@dataclass(frozen=True)
class Place:
    """A directory where the README's commands work, and the port that its meters are on."""

    directory: Path
    port: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, influx: InfluxServer) -> Iterator[Place]:
    """The README's first configuration with its InfluxDB section, on a virtual line and a
    real engine; a logger has run on it."""
    directory = tmp_path_factory.mktemp("readme")
    first = next(block for block in blocks("toml") if block.startswith("[site]"))
    section = next(block for block in blocks("toml") if block.startswith("[influxdb]"))
    site = virtual_site(5, start=NOON, meters={1: "grid", 2: "pv"})
    line = VirtualLine(site.meters, clock=VirtualClock(NOON, speed=30), paced=False)
    port = f"socket://127.0.0.1:{line.start_tcp()}"
    with line, Translator(influx.url) as translator:
        for name in ("energy", "live"):
            influx.create_bucket(name)
        (directory / "token").write_text(translator.token, encoding="utf-8")
        text = re.sub(r"/dev/serial/by-id/\S+(?=\")", port, first)
        assert port in text
        section = section.replace("http://localhost:8086", translator.url)
        section = section.replace("/etc/inepro-logger/influxdb-token", "token")
        config = directory / "my.toml"
        config.write_text(f"{text}\n{section}", encoding="utf-8")
        (directory / "old.lp").write_text("garden,meter=well level=1.5 1700000000\n", "utf-8")
        (directory / "market.csv").write_text(
            "time;price (EUR/MWh)\n2026-01-01 00:00;85,12\n2026-01-01 01:00;-3,5\n", "utf-8"
        )
        (building,) = blocks("csv")
        (directory / "building.csv").write_text(building, encoding="utf-8")
        (directory / "names.csv").write_text("address,name,role\n1,mains,grid\n2,sun,pv\n", "utf-8")
        # Nobody waits for the end of a quarter hour here.
        write_influx(influx.url, "energy", [quarter_hour(load_config(config).site.name)])
        with RunningLogger(config) as logger:
            wait_until(lambda: influx.rows("SELECT * FROM power", "live"))
            wait_until(lambda: influx.rows("SELECT * FROM energy", "energy"))
            wait_until(lambda: influx.rows("SELECT * FROM quality_frequency", "energy"))
            assert logger.alive
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "INEPRO_LOGGER_CONFIG": "my.toml",
            "INFLUXDB_READ_TOKEN": translator.token,
            "COLUMNS": "120",
        }
        yield Place(directory, port, environment)


def quarter_hour(site: str) -> Point:
    """Return the quarter hour that runs, of the grid meter: in this month for sure."""
    begin = int(time.time()) // 900 * 900_000
    fields: dict[str, FieldValue] = {
        "import": 0.5, "export": 0.1, "import_netted": 0.45, "export_netted": 0.05,
        "coverage": 1.0, "sure": True,
    }  # fmt: skip
    return Point("energy_15m", {"site": site, "meter": "house", "role": "grid"}, fields, begin)


def start(line: str, place: Place) -> subprocess.Popen[str]:
    there = r"/dev/serial/by-id/.*|^socket://127\.0\.0\.1:5020$"
    words = [re.sub(there, place.port, word) for word in shlex.split(line)[1:]]
    return subprocess.Popen(
        [sys.executable, "-m", "logger", *words],
        cwd=place.directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=place.environment,
    )


def reads(place: Place) -> int:
    """Return how many readings the logger that runs there has made."""
    done = command("status", "--json", "--config", str(place.directory / "my.toml"))
    return int(json.loads(done.stdout)["readings"]) if done.stdout else 0


def needs_logger(line: str) -> bool:
    return shlex.split(line)[1] in {"status", "live"}


def said(process: subprocess.Popen[str], what: str) -> str:
    """Return the output up to the line that holds `what`."""
    assert process.stdout is not None
    output = ""
    while what not in output:
        line = process.stdout.readline()
        assert line, output
        output += line
    return output


@pytest.mark.parametrize("line", OURS)
def test_command(line: str, place: Place) -> None:
    words = shlex.split(line)
    beside = None
    output = ""
    if needs_logger(line):
        beside = RunningLogger(place.directory / "my.toml").start()
        wait_until(lambda: beside and beside.status().get("healthy"))
    with start(line, place) as process:
        try:
            if words[1] in ENDLESS and "--for" not in words:
                output = said(process, ENDLESS[words[1]])
                if words[1] == "run":
                    wait_until(lambda: reads(place) >= 2)
                assert process.poll() is None, process.communicate()[0]
                process.send_signal(signal.SIGINT)
            # whatever adapter this machine may have, its port is given later
            typed = "y\n\nlater\n" if words[1] == "init" else "y\n"
            output += process.communicate(typed + 20 * "\n", timeout=PATIENCE_S)[0]
        finally:
            process.kill()
            if beside is not None:
                beside.stop()
    assert "Traceback" not in output, output
    assert process.returncode == 0, output


def test_every_other_command_is_accounted_for() -> None:
    for line in lines():
        if line.startswith("inepro-logger "):
            continue
        word = shlex.split(line)[0]
        assert word in NOT_OURS, line


def test_every_command_of_the_program_is_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "logger", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
        cwd=ROOT,
    )
    names = re.findall(r"^  ([a-z][a-z-]+)  +\S", done.stdout, re.MULTILINE)
    assert {"demo", "run", "read", "buffer"} <= set(names)
    missing = [name for name in names if f"| `inepro-logger {name}" not in MANUAL]
    assert not missing


def section(heading: str, text: str = MANUAL) -> str:
    """Return what stands below the first heading of this name, up to the next of its level."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, heading
    rest = text[found.end() :]
    inside = ""
    for line in rest.splitlines(keepends=True):
        code = inside.count("```") % 2
        if not code and re.match(rf"#{{1,{len(found[1])}}} ", line):
            break
        inside += line
    return inside


def test_every_key_of_the_configuration_is_explained() -> None:
    text = section("Configuration").partition(reference.MARK)[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    missing = [
        f"{above}{key}"
        for above, key, _ in reference.every_key()
        if not any(f"`{above}" in cell and re.search(rf"[`.]{key}`", cell) for cell in cells)
    ]
    assert not missing, "a line of a table in docs/configuration.md, above what is made from code"


def test_configurations_load(tmp_path: Path) -> None:
    for number, block in enumerate(blocks("toml")):
        path = tmp_path / f"{number}.toml"
        if block.startswith("model = "):
            path = tmp_path / "mine.toml"
            path.write_text(block, encoding="utf-8")
            assert load_file(path).registers
            continue
        if block.startswith("title = "):
            path.write_text(block, encoding="utf-8")
            assert load_rule(str(path)).when
            continue
        text = block
        if "[site]" not in block:  # a section to be added to the first one
            text = next(b for b in blocks("toml") if b.startswith("[site]")) + "\n" + block
            if '"roof"' in block:  # it speaks of two meters
                text = text.replace("[buffer]", ROOF + "\n[buffer]", 1)
        path.write_text(text, encoding="utf-8")
        load_config(path)


def test_demo_line(tmp_path: Path) -> None:
    """The two-minute start: a fresh directory, a fresh environment, one line."""
    (line,) = re.findall(r"<!-- the demo -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    tracked = subprocess.run(
        [program("git", "git"), "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        ["bash", "-c", f"{line} --for 6s"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "readings of 2 meters, 0 errors" in done.stdout


def test_ci_runs_the_line_of_the_readme() -> None:
    (line,) = re.findall(r"<!-- the tests -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (cut,) = re.findall(r"\$\((sed -n .*? README\.md)\)", script)
    found = subprocess.run(
        ["bash", "-c", cut], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == line
