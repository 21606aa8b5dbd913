"""The suite itself: on a machine without engines nothing fails, in CI nothing is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.running import PATIENCE_S, ROOT

# Where engines are started by a process of its own, by a fixture, and by the test itself.
WITH_ENGINES = [f"tests/test_{name}.py" for name in ("soak", "benchmark", "delivery_engines")]


@pytest.fixture
def path_without_engines(tmp_path: Path) -> str:
    """A PATH on which there is no program but the shell's."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("sh", "env"):
        (place / name).symlink_to(shutil.which(name) or "/bin/sh")
    return str(place)


def outcome(path: str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a part of the suite in a process of its own."""
    variables = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *more],
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE_S,
        check=False,
        cwd=ROOT,
        env={**variables, "PATH": path, **environment},
    )


def test_without_engines_the_tests_that_need_one_are_skipped(path_without_engines: str) -> None:
    done = outcome(path_without_engines, "-m", "engine and not long", *WITH_ENGINES)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " skipped" in done.stdout
    assert " passed" not in done.stdout
    assert "influxd is missing: apt-get install influxdb" in done.stdout


def test_in_ci_a_missing_engine_is_an_error(path_without_engines: str) -> None:
    done = outcome(path_without_engines, "-m", "engine", "tests/test_soak.py", CI="true")
    assert done.returncode == 1
    assert "influxd is missing" in done.stdout


def test_in_ci_a_test_that_is_skipped_has_failed(tmp_path: Path) -> None:
    skips = tmp_path / "test_skips.py"
    skips.write_text(
        "import pytest\n\n"
        "def test_one():\n    pytest.skip('no time')\n\n"
        "@pytest.mark.skipif(True, reason='never')\ndef test_two():\n    pass\n\n"
        "@pytest.mark.xfail\ndef test_three():\n    assert False\n",
        encoding="utf-8",
    )
    words = ["-p", "tests.conftest", str(skips), "--rootdir", str(tmp_path), "-c", os.devnull]
    for environment, code in (({"CI": "true"}, 1), ({}, 0)):
        done = outcome(os.environ["PATH"], *words, **environment)
        assert done.returncode == code, done.stdout
        assert ("1 failed, 1 xfailed, 1 error" if code else "2 skipped, 1 xfailed") in done.stdout


def test_no_example_is_judged_by_the_clock() -> None:
    assert settings().deadline is None
    for file in ROOT.glob("tests/test_*.py"):
        text = file.read_text(encoding="utf-8").replace("deadline=None", "")
        assert "deadline=" not in text or file == Path(__file__), file.name
