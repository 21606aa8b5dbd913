"""docker-compose.yml, Dockerfile and scripts, as far as they can be checked unrun."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from logger.cli import grafana, past
from logger.config import load_config
from logger.config.answers import SECRETS, Answers, environment
from tests.engines.process import program

ROOT = Path(__file__).parent.parent
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SCRIPTS = [ROOT / "stack.sh", *sorted((ROOT / "config" / "influxdb").iterdir())]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
    return found


def test_two_profiles(services: dict[str, Any]) -> None:
    profiles = {name: service.get("profiles") for name, service in services.items()}
    assert profiles == {
        "influxdb": None,
        "provisioning": None,
        "grafana": None,
        "logger": ["default"],
        "demo-meters": ["demo"],
        "demo-logger": ["demo"],
    }


def test_images_are_pinned(services: dict[str, Any]) -> None:
    for service in services.values():
        name, _, tag = service["image"].partition(":")
        assert name == "inepro-logger" or re.fullmatch(r"\d+\.\d+\.\d+", tag)
    assert int(services["grafana"]["image"].split(":")[1].split(".")[0]) >= 13
    assert services["influxdb"]["image"].split(":")[1] >= "2.8"


def test_only_grafana_is_open_to_the_network(services: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports.keys() == {"influxdb", "grafana"}
    assert ports["influxdb"] == ["127.0.0.1:8086:8086"]


def test_nothing_runs_privileged(services: dict[str, Any]) -> None:
    assert "privileged" not in COMPOSE
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"], name
        if service["image"].startswith("inepro-logger"):
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
            # Longer than the five seconds that the logger takes to stop.
            assert int(service["stop_grace_period"].removesuffix("s")) > 5


def test_a_restore_that_nobody_confirms_says_that_nothing_was_changed(tmp_path: Path) -> None:
    script = shutil.copy(ROOT / "stack.sh", tmp_path)
    kept = tmp_path / "backups" / "one"
    (kept / "influxdb").mkdir(parents=True)
    (kept / "env").write_text("A=1\n", encoding="utf-8")
    for answer in ("", "n\n"):
        done = subprocess.run(
            ["bash", script, "restore", str(kept)],
            input=answer, capture_output=True, text=True, env={**os.environ, "COMPOSE": "false"},
        )  # fmt: skip
        assert done.returncode == 1
        assert "nothing was changed" in done.stderr
    assert not (tmp_path / ".env").exists()


def test_the_adapter_may_be_replugged(services: dict[str, Any]) -> None:
    logger = services["logger"]
    assert "devices" not in logger  # a mapping of one node dies with the node
    assert "/dev:/host/dev:ro" in logger["volumes"]
    majors = {rule.split()[1] for rule in logger["device_cgroup_rules"]}
    assert majors == {"188:*", "166:*", "204:*"}


def test_tokens_reach_only_whom_they_are_for(services: dict[str, Any]) -> None:
    def volumes(name: str) -> set[str]:
        return {
            one["source"] if isinstance(one, dict) else one.split(":")[0]
            for one in services[name]["volumes"]
        }

    assert "grafana-token" not in volumes("logger") | volumes("demo-logger")
    assert "logger-token" not in volumes("grafana")
    assert not {"logger-token", "grafana-token"} & volumes("provisioning")


def test_each_secret_reaches_one_container_alone(services: dict[str, Any]) -> None:
    users = {
        secret: [name for name, service in services.items() if secret in str(service)]
        for secret in SECRETS
    }
    assert users == {
        "INFLUXDB_ADMIN_PASSWORD": ["influxdb"],
        "INFLUXDB_ADMIN_TOKEN": ["influxdb"],
        "GRAFANA_ADMIN_PASSWORD": ["grafana"],
        "GRAFANA_SECRET_KEY": ["grafana"],
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `docker compose` reads, with the .env that `init` writes."""
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    env = environment(Answers(), "./config/local.toml", 20, lambda size: f"{size}" * size)
    (tmp_path / ".env").write_text(env, encoding="utf-8")
    return tmp_path


def compose(checkout: Path, *arguments: str, code: int = 0) -> str:
    """Run Debian's docker-compose, which needs no engine for this; return what it says."""
    command = [program("docker-compose", "docker-compose"), *arguments]
    done = subprocess.run(
        command,
        cwd=checkout,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.returncode) == bool(code), done.stderr  # 1 or, of newer ones, 15
    return done.stderr if code else done.stdout


@pytest.mark.parametrize("profile", ["default", "demo"])
def test_the_file_is_valid(checkout: Path, profile: str) -> None:
    known = yaml.safe_load(compose(checkout, "--profile", profile, "config"))
    assert known["services"].keys() >= {"influxdb", "grafana", "provisioning"}
    grafana = known["services"]["grafana"]["environment"]
    assert grafana["GF_SECURITY_ADMIN_PASSWORD"] == "18" * 18
    assert grafana["GF_SECURITY_SECRET_KEY"] == "32" * 32
    assert grafana["GF_SMTP_ENABLED"] == "false"


@pytest.mark.parametrize("secret", [*SECRETS, ""])
def test_a_problem_of_the_env_is_named(checkout: Path, secret: str) -> None:
    file = checkout / ".env"
    rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
    if secret:
        file.write_text("".join(r for r in rows if not r.startswith(secret)), encoding="utf-8")
    else:
        file.unlink()
    said = compose(checkout, "config", code=1)
    assert f"{secret or 'INFLUXDB_ADMIN'}" in said
    assert 'is not in .env, run "inepro-logger init" first' in said


def test_every_variable_has_a_default_or_is_written_by_init() -> None:
    env = environment(Answers(), "./config/local.toml", 20, lambda size: "x" * size)
    written = dict(re.findall(r"^(\w+)=(.*)$", env, re.M))
    known = written.keys() | set(re.findall(r"^# (\w+)=", env, re.M))
    for name, default in re.findall(r"\$\{(\w+)(:[-?])?", COMPOSE):
        assert default or name in written, name
        assert name in known | {"SMTP_ENABLED"}, name
    assert written["COMPOSE_PROFILES"] == "default"
    # The volumes keep their names whatever the directory is called.
    assert written["COMPOSE_PROJECT_NAME"] == "inepro-logger"
    assert written.keys() >= set(SECRETS)


def test_grafana_starts_when_tokens_and_dashboards_are_there(services: dict[str, Any]) -> None:
    wanted = services["grafana"]["depends_on"]
    assert wanted["influxdb"]["condition"] == "service_healthy"
    assert wanted["provisioning"]["condition"] == "service_completed_successfully"
    assert services["influxdb"]["healthcheck"]["test"][-1].endswith(":8086/ready")


def test_commands_of_the_containers_exist(services: dict[str, Any]) -> None:
    assert services["provisioning"]["command"][0] == grafana.grafana.__name__
    assert services["demo-meters"]["command"][0].replace("-", "_") == past.simulate_past.__name__


def test_the_demo_configuration_fits_the_stack(services: dict[str, Any]) -> None:
    config = load_config(ROOT / "config" / "demo.toml")
    assert config.influxdb is not None
    init = services["influxdb"]["environment"]
    assert config.influxdb.bucket == init["DOCKER_INFLUXDB_INIT_BUCKET"]
    assert config.influxdb.org == init["DOCKER_INFLUXDB_INIT_ORG"]
    assert config.bus[0].port == "socket://demo-meters:5020"
    assert services["demo-meters"]["command"][-1] == "tcp://0.0.0.0:5020"


def test_the_image_runs_without_root() -> None:
    last = DOCKERFILE.rsplit("FROM ", 1)[1]
    assert re.search(r"^USER 10001:10001$", last, re.M)
    assert last.index("USER") > last.index("RUN")
    assert DOCKERFILE.count("FROM ") == 2
    for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.M):
        assert re.fullmatch(r"python:3\.\d+-slim-\w+", image)
    assert 'CMD ["inepro-logger", "status"]' in last
    assert "--frozen" in DOCKERFILE
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    for path in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M):
        for name in path.split():
            assert f"!{name}" in ignored
            assert (ROOT / name).exists() or name == "README.md"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_run(script: Path) -> None:
    assert script.stat().st_mode & stat.S_IXUSR  # without it, it is skipped without a word
    assert b"\r" not in script.read_bytes()
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in text
    if script.parent.name == "influxdb":
        assert script.suffix == ".sh"
