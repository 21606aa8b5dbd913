"""The wheel, installed: whatever else is called `logger`, and when it was built."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from logger import __version__
from logger.derive.built import built_ms
from tests.engines.process import program
from tests.running import ROOT

DAY_MS = 86_400_000
FOREIGN = 'raise SystemExit("this is the logger of somebody else")\n'


@dataclass(frozen=True)
class Installed:
    """A virtual environment with the wheel in it; what it needs comes from that of the tests."""

    home: Path
    site: Path

    def run(self, *words: str | Path, cwd: Path, **environment: str) -> str:
        """Run a program of the environment; return its output."""
        done = subprocess.run(
            [self.home / "bin" / words[0], *words[1:]],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env={"PATH": os.environ["PATH"], **environment},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


def build(directory: Path, **environment: str) -> Path:
    """Return a wheel of this checkout, built there."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
    )
    (wheel,) = directory.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Installed:
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, with_pip=True, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = home / "lib" / version / "site-packages"
    subprocess.run([home / "bin" / "pip", "install", "-q", "--no-deps", wheel], check=True)
    # A path file of a path that a path file names is not read: the checkout is not on it.
    others = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "others.pth").write_text(f"{others}\n", encoding="utf-8")
    return Installed(home, site)


def test_a_file_of_its_name_where_it_runs_changes_nothing(
    installed: Installed, tmp_path: Path
) -> None:
    beside = installed.home / "bin" / "logger.py"
    for path in (tmp_path / "logger.py", beside):
        path.write_text(FOREIGN, encoding="utf-8")
    for words in (("inepro-logger",), ("python", "-m", "inepro_logger")):
        for more in ({}, {"PYTHONPATH": str(tmp_path)}):
            assert installed.run(*words, "version", cwd=tmp_path, **more) == __version__
            assert "pro380" in installed.run(*words, "models", cwd=tmp_path, **more)
    beside.unlink()


def test_it_knows_the_day_of_its_build(installed: Installed, tmp_path: Path) -> None:
    now = time.time() * 1000
    found = built_ms(installed.site / "inepro_logger" / "lib" / "logger")
    assert found % DAY_MS == 0
    assert now - 3 * DAY_MS < found <= now
    asked = "from logger.derive.built import BUILT_MS; print(BUILT_MS)"
    home = installed.site / "inepro_logger" / "lib"
    assert installed.run("python", "-c", asked, cwd=tmp_path, PYTHONPATH=str(home)) == str(found)


def test_another_distribution_of_its_name_is_left_alone(
    installed: Installed, tmp_path: Path
) -> None:
    foreign = installed.site / "logger" / "__init__.py"
    assert not foreign.exists()
    foreign.parent.mkdir()
    foreign.write_text('"""Of somebody else."""\nname = "other"\n', encoding="utf-8")
    # Loaded before anything of ours.
    (installed.site / "early.pth").write_text("import logger\n", encoding="utf-8")
    assert installed.run("inepro-logger", "version", cwd=tmp_path) == __version__
    assert "of 2 meters" in installed.run("inepro-logger", "demo", "--for", "2s", cwd=tmp_path)
    told = installed.run("python", "-c", "import logger; print(logger.name)", cwd=tmp_path)
    assert told == "other"
    installed.run("pip", "uninstall", "-q", "-y", "inepro-logger", cwd=tmp_path)
    assert foreign.exists()
    assert not (installed.site / "inepro_logger").exists()


def test_a_build_that_is_to_come_out_the_same_twice_does(tmp_path: Path) -> None:
    epoch = 1_700_000_000
    one, two = (
        build(tmp_path / name, SOURCE_DATE_EPOCH=str(epoch)).read_bytes() for name in ("a", "b")
    )
    assert one == two
    assert b"inepro_logger/lib/logger/build-date.txt" in one


def test_without_a_build_the_day_of_the_files_stands_in(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").touch()
    os.utime(tmp_path / "__init__.py", (1_700_000_000, 1_700_000_000))
    assert built_ms(tmp_path) == 1_700_000_000_000 // DAY_MS * DAY_MS
    (tmp_path / "build-date.txt").write_text("2026-02-30\n", encoding="ascii")
    assert built_ms(tmp_path) == 1_700_000_000_000 // DAY_MS * DAY_MS
    (tmp_path / "build-date.txt").write_text("2026-03-01\n", encoding="ascii")
    assert built_ms(tmp_path) == 1_772_323_200_000
    assert built_ms(tmp_path / "nothing") == 0


@pytest.mark.long
@pytest.mark.parametrize("way", ["pip", "uvx", "pipx"])
def test_in_a_clean_environment_with_what_it_needs(way: str, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "logger.py").write_text(FOREIGN, encoding="utf-8")
    start: list[str | Path]
    if way == "pip":
        venv.create(tmp_path / "venv", with_pip=True)
        subprocess.run([tmp_path / "venv" / "bin" / "pip", "install", "-q", wheel], check=True)
        start = [tmp_path / "venv" / "bin" / "inepro-logger"]
    elif way == "uvx":
        start = [program("uvx", "uv"), "--from", wheel, "inepro-logger"]
    else:
        start = [program("uvx", "uv"), "pipx", "run", "--spec", wheel, "inepro-logger"]
    variables = {**os.environ, "PIPX_HOME": str(tmp_path / "pipx")}
    for words in (["version"], ["demo", "--for", "3s"]):
        done = subprocess.run(
            [*start, *words], cwd=tmp_path, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "0 errors" in done.stdout
