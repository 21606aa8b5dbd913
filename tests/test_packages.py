"""What a release is made of: workflows, the Debian package, the app, the manifest, the names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from logger import __version__
from logger.config import load_config
from logger.survey import ports
from tests.engines.process import program
from tests.running import ROOT
from tests.stack.base import source

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DEBIAN = ROOT / "packaging" / "debian"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values():
        yield from job["steps"]


def test_workflows_have_the_form_of_workflows(tmp_path: Path) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    subprocess.run([*check, "vendor.github-workflows", *WORKFLOWS], check=True)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on", "runs"), "utf-8")
    done = subprocess.run([*check, "vendor.github-workflows", wrong], capture_output=True)
    assert done.returncode == 1


def test_what_workflows_run_is_there() -> None:
    run = "\n".join(step.get("run", "") for path in WORKFLOWS for step in steps(path))
    for name in re.findall(r"(?:bash )?([\w.-]+/[\w./-]+)", run):
        if name.startswith((".ci/", "packaging/")):
            assert os.access(ROOT / name, os.X_OK), name
    assert ".ci/run" in run
    assert "packaging/debian/build.sh" in run
    image = next(
        step["with"]
        for path in WORKFLOWS
        for step in steps(path)
        if "build-push" in str(step.get("uses"))
    )
    assert set(image["platforms"].split(",")) == {"linux/amd64", "linux/arm64"}


def test_the_pythons_that_are_promised_are_those_that_are_tested() -> None:
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    tests = yaml.safe_load(text(".github/workflows/tests.yml"))["jobs"]["tests"]
    assert tests["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_the_version_is_said_once() -> None:
    app = yaml.safe_load(text("packaging/home-assistant/config.yaml"))
    assert app["version"] == __version__
    assert f"inepro-logger:{__version__}" in text("docs/kubernetes.md")


def test_the_manifest_is_one_logger_with_a_configuration_that_loads(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text("docs/kubernetes.md"), re.M | re.S)
    settings, workload = yaml.safe_load_all(block)
    path = tmp_path / "logger.toml"
    path.write_text(settings["data"]["logger.toml"], encoding="utf-8")
    config = load_config(path)
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(config.buffer.path.parent) in mounts
    assert config.influxdb is not None
    assert str(config.influxdb.token_file and config.influxdb.token_file.parent) in mounts
    names = {mount["name"] for mount in container["volumeMounts"]}
    claims = workload["spec"]["volumeClaimTemplates"]
    assert names == {one["name"] for one in pod["volumes"]} | {
        one["metadata"]["name"] for one in claims
    }
    assert workload["spec"]["replicas"] == 1
    user = re.search(r"^USER (\d+):(\d+)$", text("Dockerfile"), re.M)
    assert user
    assert pod["securityContext"]["runAsUser"] == int(user[1])


def test_the_service_may_open_every_kind_of_port_that_a_scan_lists(tmp_path: Path) -> None:
    for name in ("ttyUSB0", "ttyACM0", "ttyAMA0", "ttySC0", "ttyXYZ0"):
        (tmp_path / name).touch()
    listed = {Path(one).name[:-1] for one in ports.adapters(tmp_path / "by-id", tmp_path)}
    assert "ttySC" in listed
    unit = (ROOT / "config" / "inepro-logger.service").read_text(encoding="utf-8")
    assert listed <= set(re.findall(r"^DeviceAllow=char-(\w+) rw$", unit, re.MULTILINE))


@pytest.mark.parametrize("name", ["build.sh", "postinst", "prerm", "postrm"])
def test_scripts_of_the_debian_package_can_be_read(name: str) -> None:
    shell = "bash" if name == "build.sh" else "sh"
    subprocess.run([shell, "-n", DEBIAN / name], check=True)
    assert os.access(DEBIAN / name, os.X_OK)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built for the Python of this machine's Debian."""
    directory = tmp_path_factory.mktemp("debian")
    subprocess.run([DEBIAN / "build.sh", directory], check=True)
    (found,) = directory.glob("*.deb")
    return found


def dpkg(root: Path, *words: str | Path) -> str:
    start = [program("dpkg", "dpkg"), f"--root={root}", "--force-depends"]
    done = subprocess.run(
        [*start, "--force-script-chrootless", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_the_package_goes_into_an_empty_root_and_out_of_it(package: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("etc", "var/lib/dpkg", "var/log"):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    assert "systemctl enable --now inepro-logger" in dpkg(root, "-i", package)
    assert re.search(r"^inepro-logger:x:", (root / "etc/passwd").read_text("utf-8"), re.M)
    assert re.search(r"^dialout:.*inepro-logger$", (root / "etc/group").read_text("utf-8"), re.M)
    for name in ("etc/inepro-logger", "var/lib/inepro-logger"):
        assert (root / name).stat().st_mode & 0o777 == 0o750
    unit = (root / "usr/lib/systemd/system/inepro-logger.service").read_text(encoding="utf-8")
    assert "ExecStart=/usr/bin/inepro-logger run --config /etc/inepro-logger/logger.toml" in unit
    assert unit.startswith("[Unit]")
    example = root / "usr/share/doc/inepro-logger/examples/logger.toml"
    start = root / "usr/bin/inepro-logger"
    (tmp_path / "logger.py").write_text("raise SystemExit('not this one')\n", encoding="utf-8")
    for words in (["version"], ["config", "check", "--config", example], ["demo", "--for", "3s"]):
        done = subprocess.run([start, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    waiting = root / "var/lib/inepro-logger/buffer.sqlite"
    waiting.touch()
    assert "is not empty and stays" in dpkg(root, "--purge", "inepro-logger")
    assert waiting.exists()
    assert not (root / "etc/inepro-logger").exists()
    assert not start.exists()


@pytest.mark.long
def test_the_package_works_in_a_debian_with_nothing_else(package: Path, tmp_path: Path) -> None:
    root = tmp_path / "debian"
    mirror, _, _ = source()
    release = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text("utf-8"))
    assert release
    make = [program("debootstrap", "debootstrap"), "--variant=minbase", "--include=python3,systemd"]
    subprocess.run([*make, release[1], root, mirror], check=True, capture_output=True)
    (root / "tmp" / package.name).write_bytes(package.read_bytes())
    unit = "/usr/lib/systemd/system/inepro-logger.service"
    for line in (
        f"dpkg -i /tmp/{package.name}",
        "id inepro-logger | grep -q dialout",
        f"test $(inepro-logger version) = {__version__}",
        "runuser -u inepro-logger -- inepro-logger demo --for 3s",
        f"systemd-analyze verify {unit}",
        "grep -q '^path = ./var/lib/' /usr/share/doc/inepro-logger/examples/logger.toml",
        "dpkg -V inepro-logger",
        "dpkg --purge inepro-logger",
    ):
        done = subprocess.run(["chroot", root, "sh", "-c", line], capture_output=True, text=True)
        assert done.returncode == 0, line + done.stdout + done.stderr
