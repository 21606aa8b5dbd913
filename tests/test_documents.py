"""What README, CONTRIBUTING and docs/ say of the code is so: rooms, owners, paths, commands."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from logger.domain.datamodel import MEASUREMENTS
from tests import reference
from tests.conftest import FAST
from tests.running import ROOT, command
from tests.test_readme import CONTRIBUTING, MANUAL, README, blocks, lines

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
# Modules of the tests that the documents tell to run, and where they are shown to work.
SHOWN = {
    "tests.benchmark": "test_benchmark",
    "tests.benchmark.peers": "test_benchmark",
    "tests.benchmark.soak": "test_soak",
    "tests.fuzz": "test_fuzz",
    "tests.reference": "test_what_is_made_from_the_code_is_as_the_code_says",
}


def rows(heading: str, text: str = ARCHITECTURE) -> list[list[str]]:
    """Return the cells of the first table below `heading`, without its head."""
    part = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
    table = re.search(r"(?:^\|.*\|\n)+", part, re.MULTILINE)
    assert table, heading
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[0].splitlines()[2:]]


def contracts() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / ".importlinter", encoding="utf-8")
    return found


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_are_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        path = document.parent / target if target else document
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_architecture_and_contributing_are_linked_from_the_readme() -> None:
    assert "](docs/architecture.md)" in README
    assert "](CONTRIBUTING.md)" in README


def test_rooms_are_those_of_the_package_and_of_the_contract() -> None:
    packages = {path.parent.name for path in (ROOT / "logger").glob("*/__init__.py")}
    told = {cells[0].strip("`") for cells in rows("Rooms")}
    assert told == packages, "a line of the table of rooms in docs/architecture.md for each"
    layers = contracts()["importlinter:contract:rooms"]["layers"].split("\n")
    drawn = re.search(r"```\n(cli\n.*?)```", ARCHITECTURE, re.DOTALL)
    assert drawn
    here = [line for line in layers if line]
    assert drawn[1].split("\n")[:-1] == here, "layers in .importlinter and in docs/architecture.md"


def test_owners_of_libraries_are_those_of_the_contracts() -> None:
    known = contracts()
    owners = {}
    for name in known.sections():
        section = known[name]
        ignored = section.get("ignore_imports", "").split("->")
        if section.get("type") == "forbidden" and len(ignored) == 2:
            owners[section["forbidden_modules"].strip()] = ignored[0].strip()
    told = {}
    for library, owner in rows("Who owns an outside library"):
        name = library.split(" (")[0].lower().replace("-", "_")
        told[{"pyserial": "serial"}.get(name, name)] = owner.strip("`")
    ignored = known["importlinter:contract:pydantic"]["ignore_imports"].split("\n")
    owning = [line.split(" ->")[0] for line in ignored if line]
    assert set(re.findall(r"[\w./]+/(?:[\w.]+)?", told["pydantic"])) == {
        name.removeprefix("logger.").replace(".*", "/").replace(".", "/")
        + ("" if name.endswith("*") else ".py")
        for name in owning
    }
    for library, module in owners.items():
        assert told[library] == module.removeprefix("logger.").replace(".", "/") + ".py"


@pytest.mark.parametrize("text", [ARCHITECTURE, CONTRIBUTING], ids=["architecture", "contributing"])
def test_files_that_are_named_exist(text: str) -> None:
    named = set(re.findall(r"`([\w./-]+\.(?:py|toml|csv|yaml))`", text))
    named = {name for name in named if "NAME" not in name}
    assert len(named) > 5
    places = (ROOT, ROOT / "logger", ROOT / "logger" / "grafana", ROOT / "logger" / "derive")
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert not missing


def test_the_data_model_that_is_told_is_that_of_the_code() -> None:
    (lines_of,) = re.findall(r"^\| measurement \|.*\n(?:^\|.*\|\n)+", MANUAL, re.MULTILINE)
    cut = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines_of.splitlines()[2:]]
    table = {cells[0].strip("`"): cells for cells in cut}
    assert set(table) == set(MEASUREMENTS)
    for name, measurement in MEASUREMENTS.items():
        told = set(re.findall(r"`(\w+)`", table[name][-1]))
        for field in measurement.fields:
            first = re.sub(r"\d$", "1", field)  # `reactive_q1` to `reactive_q4`
            base = re.sub(r"_(min|max)$", "", field)
            of_power = name == "power_1m" and base in MEASUREMENTS["power"].fields
            assert told & {field, first} or of_power, f"{name}.{field} is not in the table"


def test_modules_that_are_to_be_run_are_accounted_for() -> None:
    for line in lines(MANUAL + CONTRIBUTING):
        if line.startswith(".venv/bin/python "):
            assert shlex.split(line)[1:3] == ["-m", shlex.split(line)[2]]
            assert shlex.split(line)[2] in SHOWN, line


@pytest.mark.parametrize("name", reference.PAGES)
def test_what_is_made_from_the_code_is_as_the_code_says(name: str) -> None:
    found = (reference.DOCS / name).read_text(encoding="utf-8")
    assert found == reference.page(name), "run: .venv/bin/python -m tests.reference"


def test_the_reference_has_the_types_and_defaults_of_the_file() -> None:
    made = reference.configuration()
    for row in (
        '| `intervals.fast` | duration | `"5s"` | above 0 |',
        '| `buffer.max_size` | size | `"2GiB"` | above 0 |',
        '| `bus.meter.role` | `"grid"`, `"pv"`, `"battery"`, `"load"` | required | – |',
        "| `metrics.port` | whole number | `9469` | at least 1, at most 65535 |",
    ):
        assert row in made


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert not {name for name in pages if not (tmp_path / name / "index.html").exists()}
    assert "mkdocs build --strict" in CI


def test_checks_are_those_of_ci_here_and_before_a_commit() -> None:
    found = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook["entry"] for repo in found["repos"] for hook in repo["hooks"]]
    checks = [line for line in CI.splitlines() if line.startswith(".venv/bin/")]
    checks = [line for line in checks if "mkdocs" not in line]  # too long for each commit
    assert hooks == checks
    told = "\n".join(blocks("sh", CONTRIBUTING))
    assert all(f"{check}\n" in told for check in checks)
    validate = [sys.executable, "-m", "pre_commit", "validate-config"]
    subprocess.run([*validate, ".pre-commit-config.yaml"], cwd=ROOT, check=True)


def test_the_fast_subset_names_files_that_exist() -> None:
    assert not {name for name in FAST if not (ROOT / "tests" / name).exists()}


def selected(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    "line", [line for line in lines(CONTRIBUTING) if line.startswith(".venv/bin/pytest")]
)
def test_what_contributing_asks_pytest_for_is_there(line: str) -> None:
    found = selected(*shlex.split(line)[1:])
    files = set(re.findall(r"^tests/(test_\w+\.py)", found, re.MULTILINE))
    asked = set(re.findall(r"tests/(test_\w+\.py)", line))
    assert files == (asked or FAST)


def test_the_comparison_counts_what_is_there() -> None:
    text = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    told = command("simulate", "--list-quirks").stdout
    assert f"`simulate` with {len(told.splitlines())} faults by name" in text
    dashboards = len(list((ROOT / "grafana" / "dashboards").glob("*.json")))
    assert dashboards == 7, "say the new number in docs/comparison.md"
    assert "seven dashboards" in text
