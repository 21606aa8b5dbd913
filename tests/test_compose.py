"""docker-compose.yml, Dockerfile and scripts, as far as they can be checked unrun."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from logger.cli import grafana, past
from logger.config import load_config
from logger.init import SECRETS, Answers, environment

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


def test_secrets_are_in_no_environment_of_a_container(services: dict[str, Any]) -> None:
    for name, service in services.items():
        text = str(service.get("environment", {}))
        for secret in SECRETS:
            assert secret not in text, name
    assert {s["environment"] for s in yaml.safe_load(COMPOSE)["secrets"].values()} == set(SECRETS)


def test_every_variable_has_a_default_or_is_written_by_init() -> None:
    env = environment(Answers(), "./config/local.toml", 20, lambda size: "x" * size)
    written = dict(re.findall(r"^(\w+)=(.*)$", env, re.M))
    known = written.keys() | set(re.findall(r"^# (\w+)=", env, re.M))
    for name, default in re.findall(r"\$\{(\w+)(:[-?])?", COMPOSE):
        assert default or name in written, name
        assert name in known | {"SMTP_ENABLED"}, name
    assert written["COMPOSE_PROFILES"] == "default"
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
