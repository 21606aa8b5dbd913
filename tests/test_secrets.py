"""No secret gets out: every command, with every way to be wrong, in every encoding."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import typer

from logger.buffer import Buffer
from logger.cli import app
from logger.points.parse import decode
from logger.runtime.status import socket_path
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests import forks
from tests.engines.process import free_port
from tests.running import RunningLogger, command, wait_until
from tests.talker import Talker

# A token with everything in it that some encoding writes in another way.
SECRET = "Zq7%tV\"k\\n&<w>'Xf9+L/mP=Rs3$Uy=="
USER, PASSWORD = "Zelda-admin", "Hv8%25kQ-xT4"
NOON = 1_782_037_800.0
ESCAPES = "\x1b[31mred\x1b[0m \0 \x07 \x9b [/api/v2/write] [bold"
LINES = "".join(
    f"power,meter=grid,site=home,role=grid,phase=L1 active_power={n}.5 178203780{n}000\n"
    for n in range(5)
)
CONFIG = """\
[site]
name = "home"
[intervals]
fast = "500ms"
slow = "1s"
[[bus]]
name = "a"
port = "{port}"
timeout = "200ms"
baudrate = 9600
[[bus.meter]]
name = "grid"
model = "pro380"
address = 1
role = "grid"
[buffer]
path = "state/buffer.sqlite"
commit_interval = "100ms"
{more}
[influxdb]
url = "{url}"
org = "home"
bucket = "energy"
fast_bucket = "live"
timeout = "2s"
"""
FILE = 'token_file = "token"\n'


def encodings(secret: str) -> set[str]:
    """Return the ways in which a library, a server or a log may write a secret."""
    raw = secret.encode()
    percent = quote(secret, safe="")
    found = {
        secret,
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        repr(repr(raw))[3:-2],
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        secret.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        quote(secret),
        percent,
        re.sub("%..", lambda found: found[0].lower(), percent),
        quote(percent),
        quote_plus(secret),
        html.escape(secret),
        html.escape(secret, quote=False),
        raw.hex(),
        raw.hex().upper(),
    }
    for before in ("", "x", "xy", "Token ", f"{USER}:"):
        text = before.encode() + raw
        found |= {base64.b64encode(text).decode(), base64.urlsafe_b64encode(text).decode()}
    return found


def forms(secret: str) -> set[str]:
    """Return what of those ways belongs to the secret alone, and parts of it."""
    raw = secret.encode()
    found = {form for form in encodings(secret) if not form.endswith("=") or form == secret}
    found |= {secret[at : at + 8] for at in range(len(secret) - 7)}
    for shift in range(3):
        for coded in (base64.b64encode, base64.urlsafe_b64encode):
            text = coded(bytes(shift) + raw).decode().rstrip("=")
            found |= {text[at : at + 12] for at in range(shift + 2, len(text) - 14)}
    return found


def leaks(secret: str, text: str) -> list[str]:
    """Return the forms of a secret, and the parts of it, that are in a text."""
    return sorted(form for form in forms(secret) if form in text)


def commands() -> Iterator[tuple[list[str], Any]]:
    """Yield the words and the definition of every command there is."""

    def leaves(found: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
        below: Mapping[str, Any] = getattr(found, "commands", {})
        for name, one in below.items():
            yield from leaves(one, [*words, name])
        if not below:
            yield words, found

    return leaves(typer.main.get_command(app), [])


# Values for what a command has to be given; a new one gets "1".
GIVEN = {
    "meter": "grid",
    "name": "modbus_id",
    "value": "2",
    "start": "2026-06-01",
    "out": "-",
    "source": "points.lp",
}
OPTIONS = {
    "scan": ["--range", "1-2"],
    "buffer backfill": ["--patience", "0"],
    "buffer replay": ["--patience", "0"],
}
ENDLESS = {"run", "simulate", "demo"}


def arguments(words: list[str], definition: Any, port: str) -> list[str]:
    """Return the command line of a command with all that it needs."""
    made = [*words, *OPTIONS.get(" ".join(words), [])]
    for parameter in definition.params:
        value = port if parameter.name == "port" else GIVEN.get(parameter.name, "1")
        if parameter.required:
            made += [value] if parameter.param_type_name == "argument" else []
            made += [parameter.opts[0], value] if parameter.param_type_name == "option" else []
    return made


@dataclass(frozen=True)
class Wrong:
    """A way to be wrong: what stands in the token file, in the configuration, in the
    environment; what the server answers when it has seen the token; what has to be said."""

    token: bytes = SECRET.encode()
    change: Callable[[str], str] = str
    environment: Mapping[str, str] = field(default_factory=dict)
    answer: Callable[[bytes], bytes] | None = None
    secrets: tuple[str, ...] = (SECRET,)
    says: str = ""
    token_file: bool = True


def address(url: str) -> Callable[[str], str]:
    """Return a change of the configuration that puts another address in."""
    return lambda text: "\n".join(
        f"url = {url}" if line.startswith("url = ") else line for line in text.splitlines()
    )


def said(token: bytes) -> bytes:
    """Return the words of a server that repeats a token in every form, and more."""
    text = token.decode("latin-1")
    return "\n".join([ESCAPES, text, f"b'Token {text}'", *sorted(encodings(text))]).encode()


def answered(status: str, *headers: bytes, page: bool = False) -> Callable[[bytes], bytes]:
    """Return a server's answer with the token in it, as InfluxDB's error or as a page."""

    def answer(token: bytes) -> bytes:
        body = said(token)
        if not page:
            body = json.dumps({"code": "invalid", "message": body.decode()}).encode()
        lines = [b"HTTP/1.1 " + status.encode(), b"Content-Length: %d" % len(body), *headers]
        return b"\r\n".join(lines).replace(b"TOKEN", token) + b"\r\n\r\n" + body

    return answer


def signed(url: str) -> Wrong:
    """Return the mistake of a user and a password in the address."""
    known = (USER, PASSWORD, "Hv8%kQ-xT4")
    return Wrong(change=address(url), secrets=known, says="user and a password")


WRONG = {
    "two lines": Wrong(SECRET.encode() + b"\nanything", says="token: it has 2 lines"),
    "many lines": Wrong(b"# for the logger\r\n" + SECRET.encode() + b"\r\n\r\nx", says="4 lines"),
    "byte order mark": Wrong(b"\xef\xbb\xbf" + SECRET.encode(), says="byte order mark (UTF-8)"),
    "UTF-16": Wrong(SECRET.encode("utf-16"), says="byte order mark (UTF-16)"),
    "quotes": Wrong(f'"{SECRET}"'.encode(), says="token: it stands in quotes"),
    "curly quotes": Wrong(f"“{SECRET}”".encode(), says="it stands in curly quotes"),
    "one quote": Wrong(f"{SECRET}'".encode(), says="it stands in quotes"),
    "blank": Wrong(f"Token {SECRET}".encode(), says="it has a blank in it"),
    "control": Wrong(SECRET.encode() + b"\x1b\0x", says="control character"),
    "not ASCII": Wrong(SECRET.encode() + "ü".encode(), says="none that a token has"),
    "not text": Wrong(SECRET.encode() + b"\xfc", says="token: not text"),
    "assignment": Wrong(f"INFLUXDB_TOKEN={SECRET}".encode(), says="a name and an equals sign"),
    "too large": Wrong(f"{SECRET}\n".encode() * 1000, says="too large to be a token"),
    "two lines in the variable": Wrong(
        environment={"INFLUXDB_TOKEN": f"{SECRET}\nanything"},
        token_file=False,
        says="variable INFLUXDB_TOKEN: it has 2 lines",
    ),
    "quotes in the variable for reading": Wrong(
        environment={"INFLUXDB_READ_TOKEN": f"'{SECRET}'"},
        says="variable INFLUXDB_READ_TOKEN: it stands in quotes",
    ),
    "token as the file's name": Wrong(
        change=lambda text: text.replace('"token"', f'"{"Zq7tVkn" * 6}=="'),
        secrets=("Zq7tVkn" * 6,),
        says="looks like a token",
    ),
    "token in the configuration": Wrong(
        change=lambda text: text + f"token = '''{SECRET}'''\n", says="influxdb.token: unknown key"
    ),
    "token without quotes": Wrong(
        change=lambda text: text + "token = Zq7tVknWxRs3Uy\n",
        secrets=("Zq7tVknWxRs3Uy",),
        says="text needs quotes",
    ),
    "login in the address": signed(f'"http://{USER}:{PASSWORD}@localhost:8086"'),
    "login without a scheme": signed(f'"{USER}:{PASSWORD}@localhost:8086"'),
    "login with a blank": signed(f'"http://{USER}:{PASSWORD} /x@localhost"'),
    "login without quotes": Wrong(
        change=address(f"http://{USER}:{PASSWORD}@localhost"), secrets=(USER, PASSWORD)
    ),
    "login in a query": Wrong(
        change=address(f'"http://localhost:8086/?u=x&p={PASSWORD}"'),
        secrets=(PASSWORD,),
        says="base address",
    ),
    "401 that repeats it": Wrong(answer=answered("401 No"), says="token is not accepted"),
    "400 that repeats it": Wrong(answer=answered("400 Bad")),
    "422 that repeats it": Wrong(answer=answered("422 Bad")),
    "page that repeats it": Wrong(answer=answered("503 Busy", page=True)),
    "200 that repeats it": Wrong(answer=answered("200 OK", page=True)),
    "redirect with it": Wrong(
        answer=answered("301 Moved", b"Location: http://TOKEN:TOKEN@h/\x1b[1m/?t=TOKEN")
    ),
    "cut off": Wrong(answer=lambda token: answered("401 No", page=True)(token)[:-20]),
    "cut off in a chunk": Wrong(
        answer=lambda token: b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + token
    ),
    "no chunk": Wrong(
        answer=lambda token: (
            b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n" + token + b"\r\n"
        )
    ),
    "no status": Wrong(answer=lambda token: b"\x1b[2J" + token + b"\r\n\r\n"),
    "no headers": Wrong(
        answer=lambda token: b"HTTP/1.1 401 No\r\n" + token + b" x\r\n y\r\nA\r\n\r\n" + token
    ),
    "no length": Wrong(
        answer=lambda token: b"HTTP/1.1 401 No\r\nContent-Length: " + token + b"\r\n\r\n"
    ),
    "no answer": Wrong(answer=lambda token: b""),
}


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """A line with one meter; gives its port for the configuration."""
    site = virtual_site(5, start=NOON, meters={1: "grid"})
    line = VirtualLine(site.meters, clock=VirtualClock(NOON), paced=False)
    number = line.start_tcp()
    with line:
        yield f"socket://127.0.0.1:{number}"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, port: str) -> Path:
    """A directory with a buffer in which points wait."""
    directory = tmp_path_factory.mktemp("prepared")
    (directory / "points.lp").write_text(LINES)
    text = CONFIG.format(port=port, url="http://127.0.0.1:1", more="") + FILE
    (directory / "logger.toml").write_text(text)
    (directory / "token").write_bytes(SECRET.encode())
    (directory / "state").mkdir()
    buffer = Buffer(directory / "state" / "buffer.sqlite", now_ms=lambda: int(NOON * 1000))
    buffer.open()
    buffer.append([decode(line) for line in LINES.splitlines()])
    buffer.close()
    past = {"start": int(time.time()), "end": int(time.time()), "seed": 1}
    (directory / "state" / "virtual-site.json").write_text(json.dumps(past))
    return directory


def environment(more: Mapping[str, str], directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "TOKEN" not in name}
    config = {"INEPRO_LOGGER_CONFIG": str(directory / "logger.toml"), "COLUMNS": "60"}
    return {**kept, **config, **more}


# Commands without a configuration know no other secrets than those of the environment.
@pytest.mark.parametrize("name", WRONG)
def test_no_command_tells_a_secret(name: str, tmp_path: Path, prepared: Path, port: str) -> None:
    wrong = WRONG[name]
    place = tmp_path / "place"
    shutil.copytree(prepared, place)
    (place / "token").write_bytes(wrong.token)
    with Talker(wrong.answer) as server:
        text = CONFIG.format(port=port, url=server.url, more="")
        (place / "logger.toml").write_text(wrong.change(text + FILE * wrong.token_file))
        calls = [
            forks.Call(
                arguments(words, definition, port),
                str(place),
                environment(wrong.environment, place),
                endless=words[0] in ENDLESS,
            )
            for words, definition in commands()
            if wrong.environment or any(one.name == "config" for one in definition.params)
        ]
        again = [one for one in calls if one.arguments[:2] == ["buffer", "set-aside"]]
        results = forks.run([*calls, *again])
        assert bool(server.tokens) == (wrong.answer is not None)
    everything = "".join(result.output + result.errors for result in results)
    assert wrong.says in " ".join(everything.split())
    for call, result in zip([*calls, *again], results, strict=True):
        for printed in (result.output, result.errors):
            assert "Traceback" not in printed, (call.arguments, printed)
            assert not set(printed) & set("\x1b\0\x07\x9b"), (call.arguments, printed)
            for secret in wrong.secrets:
                assert not leaks(secret, printed), (call.arguments, printed)
    for path in forks.files_below(place):
        if path.name not in {"token", "logger.toml"}:
            kept = path.read_bytes().decode("latin-1")
            for secret in wrong.secrets:
                assert not leaks(secret, kept), path


def test_a_running_logger_tells_no_secret(tmp_path: Path, port: str) -> None:
    number = free_port()
    path, token = tmp_path / "logger.toml", tmp_path / "token"
    token.write_text(SECRET)
    texts = []
    with Talker(answered("401 No")) as server:
        more = f"[metrics]\nport = {number}"
        path.write_text(CONFIG.format(port=port, url=server.url, more=more) + FILE)
        with RunningLogger(path) as logger:

            def lanes(text: str) -> bool:
                """Tell whether both buckets say `text`; keep what is said."""
                with socket.socket(socket.AF_UNIX) as channel:
                    channel.connect(str(socket_path(tmp_path / "state" / "buffer.sqlite")))
                    said = channel.makefile("rb").read().decode()
                metrics = urllib.request.urlopen(f"http://127.0.0.1:{number}/metrics").read()
                texts.extend([said, metrics.decode()])
                return all(text in one["error"] for one in json.loads(said)["delivery"].values())

            logger.wait_for("started, process")
            logger.wait_for("wrong target")
            wait_until(lambda: lanes("token is not accepted"))
            texts.append(str(logger.status()))
            shown = command("status", "--config", str(path))
            assert "[/api/v2/write] [bold" in " ".join(shown.stdout.split())
            texts.extend([shown.stdout, shown.stderr])
            token.write_text(f"{SECRET}\nanything")
            wait_until(lambda: lanes("it has 2 lines"))
            texts.extend(logger.messages())
    for file in forks.files_below(tmp_path):
        if file != token:
            texts.append(file.read_bytes().decode("latin-1"))
    assert len(server.tokens) == 1
    for text in texts:
        assert not leaks(SECRET, text), text
        assert "Traceback" not in text
    for message in logger.messages():
        assert not set(message) & set("\x1b\0\x07\x9b\n"), message
