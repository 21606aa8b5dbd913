"""The structure of the package: the contracts of `.importlinter`, and what they cannot say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from logger.domain import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "logger"


def test_the_contracts_between_rooms_are_kept() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as main; main()",
    ]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_private_name_is_imported_across_files() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {node.module}.{alias.name}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("logger")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert not found


def test_files_stay_small_and_two_levels_deep() -> None:
    sizes = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    long = {name: size for name, size in sizes.items() if size > 300}
    assert not long, "move what stands together into a file of its own, of one purpose"
    assert all(name.count("/") == 1 for name in sizes if name not in ("__init__.py", "__main__.py"))


def test_only_the_store_speaks_sql_to_the_file() -> None:
    """Grafana's room writes InfluxQL, which is text for a server."""
    words = re.compile(
        r"\b(SELECT .* FROM rows|INSERT INTO|DELETE FROM|UPDATE rows|PRAGMA)\b", re.S
    )
    found = [
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "store" and words.search(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_every_error_stands_in_the_drawing_of_the_tree_below_its_base() -> None:
    above = ["LoggerError"]
    for indent, name in re.findall(r"^([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        above[len(indent) // 4 + 1 :] = [name]
        assert getattr(errors, name).__base__.__name__ == above[-2], name
    raised = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    lacking = {name for name in raised if name.endswith("Error")} - set(
        re.findall(r"\w+Error", errors.__doc__ or "")
    )
    assert not lacking
