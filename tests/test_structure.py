"""The rooms of the house: who may import whom, and who owns which library."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "logger"

# One owner for each library: replacing it touches one file.
OWNERS = {
    "minimalmodbus": {"logger/bus/master.py"},
    "serial": {"logger/bus/port.py"},
    "apscheduler": {"logger/schedule.py"},
    "influxdb_client": {"logger/delivery/influx.py"},
    "urllib3": {"logger/influx/http.py"},
    "sqlite3": {"logger/buffer/database.py"},
    "pyarrow": {"logger/export.py"},
    "prometheus_client": {"logger/metrics.py"},
}
# Stages in the order data flows; none imports a later one.
FLOW = [
    "logger.meters",
    "logger.plan",
    "logger.bus",
    "logger.decode",
    "logger.reading",
    "logger.points",
    "logger.buffer",
    "logger.delivery",
]
# Pure: no clock, no port, no file.
PURE = ["plan", "decode", "reading", "points", "lineprotocol", "busload", "datamodel", "health"]
IMPURE_IMPORTS = {"time", "datetime", "socket", "threading", "os", "pathlib", "sqlite3"}


def imports(path: Path) -> set[str]:
    """Return the modules that `path` imports at run time, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def modules() -> dict[str, set[str]]:
    return {
        path.relative_to(PACKAGE.parent).as_posix(): imports(path)
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def test_each_library_has_one_owner() -> None:
    users = defaultdict(set)
    for path, imported in modules().items():
        for name in imported:
            users[name.split(".")[0]].add(path)
    for library, owners in OWNERS.items():
        assert users[library] == owners, library
    for library in ("typer", "rich"):
        assert all(path.startswith("logger/cli/") for path in users[library]), library


def test_no_stage_imports_a_later_one() -> None:
    def stage(name: str) -> int | None:
        for number, prefix in enumerate(FLOW):
            if name == prefix or name.startswith(prefix + "."):
                return number
        return None

    for path, imported in modules().items():
        own = stage(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        if own is None:
            continue
        for name in imported:
            other = stage(name)
            # A reading is decoded from a plan's blocks: both names belong to its making.
            assert other is None or other <= own, f"{path} imports {name}"


def test_pure_modules_stay_pure() -> None:
    for name in PURE:
        assert not imports(PACKAGE / f"{name}.py") & IMPURE_IMPORTS, name


def test_files_stay_small() -> None:
    sizes = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert not {name: size for name, size in sizes.items() if size > 400}
    assert all(name.count("/") <= 1 for name in sizes)
