"""What a user sets, or leaves unset, never keeps Grafana from starting without a word."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import logger.cli.grafana
from logger.config.answers import Answers, environment, variables
from logger.domain.errors import ConfigError
from logger.grafana.demands import problems, remarks
from tests.grafana_start import expanded, is_sender, refusals
from tests.running import ROOT, command
from tests.test_compose import checkout, compose

__all__ = ["checkout"]

DEMO = ROOT / "config" / "demo.toml"
# Everything at once, as the comments of `.env` propose it, and with signs that hurt.
FULL = {
    "ALERT_EMAIL": "me@example.org;you@example.org",
    "ALERT_WEBHOOK_URL": "https://example.org/hook?key=a$HOME.b$$c",
    "ALERT_NTFY_URL": "https://ntfy.sh/topic",
    "ALERT_TELEGRAM_TOKEN": "123456789:AAbb-_cc",
    "ALERT_TELEGRAM_CHAT": "-1001234567890",
    "SMTP_ENABLED": "true",
    "SMTP_HOST": "smtp.example.org:587",
    "SMTP_FROM": "energy@example.org",
    "GRAFANA_URL": "https://energy.example.org/grafana/",
}
# What users write there: the value, and whether it may be shown in an error.
WRONG = [
    ("SMTP_FROM", "inepro-logger@localhost"),
    ("SMTP_FROM", "energy"),
    ("SMTP_FROM", "Energy <energy@example.org>"),
    ("SMTP_FROM", "energy@10.0.0.1"),
    ("SMTP_ENABLED", "yes please"),
    ("SMTP_HOST", "smtp.example.org"),
    ("GRAFANA_URL", "raspberrypi:3000"),
    ("GRAFANA_URL", "http://[::1/"),
    ("GRAFANA_URL", "http://my pi:3000/"),
    ("GRAFANA_URL", "http://pi/%zz"),
    ("ALERT_EMAIL", " "),
    ("ALERT_EMAIL", "me"),
    ("ALERT_EMAIL", "me@example.org; you"),
    ("ALERT_WEBHOOK_URL", "hooks.example.net/x"),
    ("ALERT_NTFY_URL", "energy-topic"),
    ("ALERT_TELEGRAM_TOKEN", "AAbbcc"),
    ("ALERT_TELEGRAM_CHAT", "my chat"),
]


def rendered(checkout: Path, service: str) -> dict[str, str]:
    """Return the environment of a service as docker-compose renders it from `.env`."""
    # What `config` prints is a compose file again: a dollar is doubled there.
    services = yaml.safe_load(compose(checkout, "config"))["services"]
    values = services[service]["environment"].items()
    return {name: str(value).replace("$$", "$") for name, value in values}


def grafana(out: Path, environment: Mapping[str, str], config: Path = DEMO) -> Result:
    """Run `grafana` with nothing of this machine's in its environment."""
    app = typer.Typer()
    app.command()(logger.cli.grafana.grafana)
    bare: dict[str, str | None] = dict.fromkeys(FULL)
    arguments = [str(out), "--config", str(config), "--place", "/srv/a$b"]
    return CliRunner().invoke(app, arguments, env={**bare, **environment})


def started(checkout: Path, env: str, tmp_path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return Grafana's environment as docker-compose renders it from `env`, and the
    contact points that the service `provisioning` writes with its own."""
    (checkout / ".env").write_text(env, encoding="utf-8")
    of_grafana, of_files = rendered(checkout, "grafana"), rendered(checkout, "provisioning")
    done = grafana(tmp_path / "made", of_files)
    assert done.exit_code == 0, done.output
    file = tmp_path / "made" / "alerting" / "inepro-notifications.yaml"
    return of_grafana, json.loads(file.read_text(encoding="utf-8"))


def env_of(answers: Answers, *rows: str) -> str:
    made = environment(answers, "./config/local.toml", 20, lambda size: "x" * size)
    return "\n".join([made, *rows, ""])


def uncommented() -> str:
    return re.sub(r"^# (?=[A-Z_]+=.)", "", env_of(Answers()), flags=re.M)


QUOTED = [f"{name}='{value}'" for name, value in FULL.items()]
ENVS = {
    "as init writes it": env_of(Answers()),
    "with an address": env_of(Answers(email="me@example.org")),
    "every example taken": uncommented(),
    "everything set to nothing": env_of(Answers(), *(f"{name}=" for name in FULL)),
    "everything": env_of(Answers(), *QUOTED),
}


@pytest.mark.parametrize("env", ENVS.values(), ids=ENVS)
def test_grafana_starts_with(env: str, checkout: Path, tmp_path: Path) -> None:
    assert refusals(*started(checkout, env, tmp_path)) == []


def test_values_arrive_as_they_were_written(checkout: Path, tmp_path: Path) -> None:
    seen, made = started(checkout, ENVS["everything"], tmp_path)
    found = {
        receiver["uid"]: {
            name: expanded(str(value), seen) for name, value in receiver["settings"].items()
        }
        for receiver in made["contactPoints"][0]["receivers"]
    }
    assert found["inepro-email"]["addresses"] == FULL["ALERT_EMAIL"]
    assert found["inepro-webhook"]["url"] == FULL["ALERT_WEBHOOK_URL"]
    assert found["inepro-ntfy"]["url"] == FULL["ALERT_NTFY_URL"] + "?template=grafana"
    assert found["inepro-telegram"]["bottoken"] == FULL["ALERT_TELEGRAM_TOKEN"]
    assert found["inepro-telegram"]["chatid"] == FULL["ALERT_TELEGRAM_CHAT"]
    text = json.dumps(made)
    for secret in ("ALERT_WEBHOOK_URL", "ALERT_NTFY_URL", "ALERT_TELEGRAM_TOKEN"):
        assert FULL[secret] not in text


def test_names_with_a_dollar_arrive(tmp_path: Path) -> None:
    text = DEMO.read_text(encoding="utf-8")
    config = tmp_path / "logger.toml"
    text = text.replace('bucket = "energy"', 'bucket = "a$HOME$$b"', 1)
    config.write_text(text.replace("http://influxdb:8086", "http://influxdb:8086/$x"), "utf-8")
    assert grafana(tmp_path / "made", {}, config).exit_code == 0
    sources = json.loads((tmp_path / "made/datasources/inepro-logger.yaml").read_text("utf-8"))
    source = sources["datasources"][0]
    boards = json.loads((tmp_path / "made/dashboards/inepro-logger.yaml").read_text("utf-8"))
    seen = {"HOME": "/root", "x": "lost", "b": "lost"}
    assert expanded(source["database"], seen) == "a$HOME$$b"
    assert expanded(source["jsonData"]["dbName"], seen) == "a$HOME$$b"
    assert expanded(source["url"], seen) == "http://influxdb:8086/$x"
    assert expanded(boards["providers"][0]["options"]["path"], seen) == "/srv/a$b/dashboards"


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_named_before_grafana_sees_it(
    name: str, value: str, tmp_path: Path
) -> None:
    done = grafana(tmp_path / "made", {**FULL, name: value})
    assert isinstance(done.exception, ConfigError)
    text = str(done.exception)
    assert f"{name} is " in text
    assert "expected" in text
    assert not (tmp_path / "made").exists()
    if name in {"ALERT_WEBHOOK_URL", "ALERT_NTFY_URL", "ALERT_TELEGRAM_TOKEN"}:
        assert value not in text


@pytest.mark.parametrize("missing", ["ALERT_TELEGRAM_TOKEN", "ALERT_TELEGRAM_CHAT"])
def test_half_of_telegram_is_refused(missing: str) -> None:
    (text,) = problems({**FULL, missing: ""})
    assert f"{missing} is not" in text


def test_init_looks_at_an_env_that_is_there(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(env_of(Answers(), "SMTP_FROM=me@localhost"), "utf-8")
    done = command("init", str(tmp_path), "--yes")
    assert done.returncode != 0
    assert "SMTP_FROM is 'me@localhost'" in done.stderr
    assert str(tmp_path / ".env") in done.stderr


def test_init_refuses_what_grafana_does_not_take(tmp_path: Path) -> None:
    assert "ALERT_EMAIL" in command("init", str(tmp_path), "--yes", "--email", "me").stderr
    assert "GRAFANA_URL" in command("init", str(tmp_path), "--yes", "--url", "pi").stderr
    assert not list(tmp_path.iterdir())


def test_mail_that_will_not_be_sent_is_said(tmp_path: Path) -> None:
    assert remarks(FULL) == []
    done = command("init", str(tmp_path), "--yes", "--email", "me@example.org")
    assert done.returncode == 0
    assert "sends no mail before SMTP_ENABLED=true" in done.stdout
    assert len(remarks({"SMTP_ENABLED": "true"})) == 2


def test_the_mail_server_may_have_the_names_of_grafana(tmp_path: Path) -> None:
    arguments = ("grafana", str(tmp_path), "--config", str(DEMO))
    mail = {"ALERT_EMAIL": "me@example.org"}
    assert "without the compose file GF_SMTP_ENABLED=true" in command(*arguments, env=mail).stdout
    mail |= {"GF_SMTP_ENABLED": "true", "GF_SMTP_HOST": "smtp.example.org:587"}
    mail |= {"GF_SMTP_FROM_ADDRESS": "energy@example.org"}
    assert "note: " not in command(*arguments, env=mail).stdout
    done = command(*arguments, env=mail | {"GF_SMTP_FROM_ADDRESS": "energy@localhost"})
    assert done.returncode == 2
    assert "GF_SMTP_FROM_ADDRESS is 'energy@localhost', expected" in done.stderr


def test_the_file_of_the_documents_for_a_grafana_without_docker_is_taken(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```ini\n(ALERT_EMAIL=.*?)^```$", text, re.MULTILINE | re.DOTALL)
    given = variables(block)
    assert all(given.values())
    assert problems(given) == []
    assert remarks(given) == []
    compose_file = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert set(given) <= set(compose_file["services"]["grafana"]["environment"])
    done = command("grafana", str(tmp_path), "--config", str(DEMO), env=given)
    assert done.returncode == 0
    assert "note: " not in done.stdout
    contact = (tmp_path / "alerting" / "inepro-notifications.yaml").read_text(encoding="utf-8")
    assert "$ALERT_EMAIL" in contact


def test_every_variable_of_the_compose_file_that_matters_is_looked_at() -> None:
    assert problems(FULL) == []
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    passed_on = yaml.safe_load(text)["services"]["provisioning"]["environment"].keys() - {"TZ"}
    assert passed_on == FULL.keys()
    for name in passed_on:
        assert any("expected" in problem for problem in problems({name: "\x01"})), name


@given(st.text(alphabet="aZ9@.-_$'\"!# \u00e9", max_size=12) | st.emails())
def test_a_sender_that_is_let_through_is_one_for_grafana(text: str) -> None:
    if text and not problems({"SMTP_FROM": text}):
        assert is_sender(text)


def test_env_files_are_read_as_docker_compose_reads_them(checkout: Path, tmp_path: Path) -> None:
    rows = [
        "SMTP_FROM='a$b@example.org' # a note",
        'SMTP_HOST="mail.example.org:25"',
        " GRAFANA_URL = http://pi:3000/ # here",
        "export SMTP_ENABLED=true",
        "# ALERT_EMAIL=me@example.org",
    ]
    text = env_of(Answers(), *rows)
    seen = variables(text)
    (checkout / ".env").write_text(text, encoding="utf-8")
    found = rendered(checkout, "provisioning")
    for name in ("SMTP_FROM", "SMTP_HOST", "GRAFANA_URL", "SMTP_ENABLED"):
        assert seen[name] == found[name], name
    assert "ALERT_EMAIL" not in seen


def read(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / name).read_text(encoding="utf-8"))
    return found


def test_what_another_configuration_made_goes(tmp_path: Path) -> None:
    """Grafana keeps rules and receivers that are only not in its files any more, and shows
    dashboards as long as their file is there."""
    out, lone = tmp_path / "made", tmp_path / "lone.toml"
    hooked = {name: FULL[name] for name in ("ALERT_WEBHOOK_URL", "ALERT_NTFY_URL")}
    assert grafana(out, hooked).exit_code == 0
    dashboards = out / "dashboards"
    for name in ("pv", "meters"):
        mine = read(out, f"dashboards/{name}.json") | {"uid": f"mine-{name}", "id": None}
        (dashboards / f"my-{name}.json").write_text(json.dumps(mine), encoding="utf-8")
    # What Grafana reads without a file of ours has to be there, or its log begins with errors.
    assert {path.name for path in out.iterdir()} == {
        "alerting", "dashboards", "datasources", "notifiers", "plugins",
    }  # fmt: skip
    before = read(out, "alerting/inepro-rules.yaml")["groups"][0]["rules"]

    # One meter is left, the grid's, and mail in the place of the hooks.
    text = DEMO.read_text(encoding="utf-8")
    first, _, rest = text.partition('[[bus.meter]]\nname = "roof"')
    lone.write_text(first + rest[rest.index("[influxdb]") :], encoding="utf-8")
    said = grafana(out, {"ALERT_EMAIL": FULL["ALERT_EMAIL"]}, lone)
    assert said.exit_code == 0, said.output
    assert f"{dashboards / 'pv.json'}" in said.output
    there = {path.stem for path in dashboards.glob("*.json")}
    assert there == {"home", "phases", "energy", "quality", "logger", "my-pv", "my-meters"}

    rules = read(out, "alerting/inepro-rules.yaml")
    left = {rule["uid"] for rule in rules["groups"][0]["rules"]}
    removed = {rule["uid"] for rule in rules["deleteRules"]}
    assert {rule["uid"] for rule in before} <= left | removed
    assert "inepro-pv-silent" in removed
    assert not left & removed
    told = read(out, "alerting/inepro-notifications.yaml")
    kept = {one["uid"] for one in told["contactPoints"][0]["receivers"]}
    assert kept == {"inepro-email"}
    # Telegram was never there: Grafana minds no removal of what it does not have.
    gone = {one["uid"] for one in told["deleteContactPoints"]}
    assert gone == {"inepro-webhook", "inepro-ntfy", "inepro-telegram"}

    # A dashboard of one's own under such a name stays, too.
    (dashboards / "centres.json").write_text('{"uid": "mine"}', encoding="utf-8")
    assert grafana(out, {}, lone).exit_code == 0
    assert read(out, "dashboards/centres.json") == {"uid": "mine"}


def test_telegram_takes_messages_as_they_are_written(tmp_path: Path) -> None:
    """Grafana has it read them as HTML otherwise, and it refuses `<`, as in a meter's name."""
    assert grafana(tmp_path / "made", FULL).exit_code == 0
    told = read(tmp_path / "made", "alerting/inepro-notifications.yaml")
    kinds = {one["type"]: one["settings"] for one in told["contactPoints"][0]["receivers"]}
    assert kinds["telegram"]["parse_mode"] == "None"
