"""The command `simulate`: what it prints, serves and refuses."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tomllib
from contextlib import closing

import pytest
import typer
from typer.testing import CliRunner

from logger.cli.simulate import QUIRK_NAMES, simulate
from logger.domain.errors import LoggerError
from logger.simulate import QUIRKS
from tests.running import wait_for_handler
from tests.test_simulate_line import connect, read_frame, receive

app = typer.Typer()
app.command()(simulate)
START = ["--start", "2026-06-21T12:00"]
# Runs the function as the command would, without the rest of the program.
PROGRAM = "import typer; from logger.cli.simulate import simulate; typer.run(simulate)"


def run(*words: str) -> str:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_snippet_is_the_configuration_of_the_line() -> None:
    text = run(
        *("--listen", "tcp://127.0.0.1:0", "--for", "100ms", *START),
        *("--meter", "5:pv:inverted", "--meter", "7:load", "--baudrate", "4800", "--parity", "odd"),
    )
    head, snippet, tail = text.split("\n\n[[bus]]")[0], text, text.splitlines()[-1]
    (port,) = re.findall(r"Virtual meters at (socket://127\.0\.0\.1:\d+);", head)
    (bus,) = tomllib.loads(snippet[snippet.index("[[bus]]") : snippet.rindex(tail)])["bus"]
    meters = bus.pop("meter")
    assert bus == {"name": "virtual", "port": port, "baudrate": 4800, "parity": "odd"}
    assert [(meter["address"], meter["role"], meter["model"]) for meter in meters] == [
        (5, "pv", "pro380"),
        (7, "load", "pro380"),
    ]
    assert [meter.get("invert") for meter in meters] == [True, None]
    assert tail == "0 requests, 0 answers"


def test_a_pty_has_no_parity() -> None:
    text = run("--pty", "--for", "100ms")
    assert re.search(r"Virtual meters at /dev/\S+;", text)
    assert 'parity = "none"' in text
    assert "socket://" not in text


def test_it_serves_until_it_is_told_to_stop_and_counts() -> None:
    words = ["--listen", "tcp://127.0.0.1:0", "--no-pace", "--speed", "0", "--seed", "4", *START]
    answers = []
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-u", "-c", PROGRAM, *words], stdout=subprocess.PIPE, text=True
        ) as program:
            assert program.stdout is not None
            first = program.stdout.readline()
            port = int(re.findall(r":(\d+);", first)[0])
            with closing(connect(port)) as master:
                master.sendall(read_frame(1, 0x5002, 48) + read_frame(2, 0x6000, 75))
                answers.append(receive(master, 101 + 155))
            wait_for_handler(program)
            program.send_signal(signal.SIGTERM)
            rest = program.stdout.read()
        assert program.returncode == 0
        assert "2 requests, 2 answers" in rest
        assert re.search(r"1 x  meter 1  FC03  0x5002 x 48", rest)
        assert re.search(r"1 x  meter 2  FC03  0x6000 x 75", rest)
    assert answers[0] == answers[1]  # the same seed and time


def test_the_quirks_are_listed() -> None:
    text = run("--list-quirks")
    for name, quirk in QUIRKS.items():
        assert f"{name} " in text
        assert quirk.text in text
    assert tuple(QUIRKS) == QUIRK_NAMES
    shown = re.sub(r"[\s│]", "", run("--help"))
    assert all(name in shown for name in QUIRKS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--meter", "1:heater"], "heater"),
        (["--meter", "300:grid"], "300"),
        (["--meter", "grid"], "ADDRESS:ROLE"),
        (["--meter", "1:grid:upside-down"], "ADDRESS:ROLE"),
        (["--meter", "1:grid", "--meter", "1:pv"], "two meters at address 1"),
        (["--model", "pro999"], "pro999"),
        (["--listen", "127.0.0.1:5020"], "tcp://127.0.0.1:5020"),
        (["--listen", "tcp://127.0.0.1:70000"], "70000"),
        (["--listen", "tcp://203.0.113.7:5020"], "cannot listen on 203.0.113.7:5020"),
        (["--quirk", "deed"], "known: no-long-block-502a"),
        (["--start", "someday"], "someday"),
        (["--parity", "mark"], "mark"),
        (["--parity", "x"], "X"),
        (["--baudrate", "115200"], "115200"),
        (["--baudrate", "-1"], "-1"),
        (["--speed", "-1"], "negative"),
        (["--delay", "20"], "20ms"),
        (["--zone", "Mars/Olympus"], "Mars/Olympus"),
        (["--for", "soon"], "soon"),
    ],
)
def test_a_mistake_is_named_without_a_traceback(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["--for", "100ms", *words])
    assert result.exit_code != 0
    if isinstance(result.exception, LoggerError):  # `logger.cli.main` makes it exit code 2
        assert message in str(result.exception)
    else:
        assert result.exit_code == 2
        assert message in re.sub(r"\s*│\s*", "", result.output).replace("\n", "")
