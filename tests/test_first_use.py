"""The first ten minutes: `init` and `scan --write` on a terminal, files of other users,
Ctrl-C, terminals that know few letters."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyte
import pytest

from logger.config import load_config
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests.configs import configuration
from tests.running import PATIENCE_S, ROOT, command, wait_until
from tests.terminal import Terminal

# A summer's noon in Europe: the roof produces.
NOON = datetime.fromisoformat("2026-06-21T10:30:00+00:00").timestamp()


@pytest.fixture(scope="module")
def house() -> Iterator[str]:
    """The port of a house: PV at address 1, the grid's meter at 2."""
    site = virtual_site(1, start=NOON, meters={1: "pv", 2: "grid"})
    with VirtualLine(site.meters, clock=VirtualClock(NOON, speed=1e-6), paced=False) as line:
        yield f"socket://127.0.0.1:{line.start_tcp()}"


def nobodys() -> list[str]:
    """Return what runs a command as a user who owns nothing; for root, files have no owner."""
    if os.geteuid():
        return []
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_init_asks_again_until_each_answer_is_right_and_finds_the_meters(
    tmp_path: Path, house: str
) -> None:
    with Terminal("init", str(tmp_path), env={"TZ": "Europe/Oslo"}) as screen:
        screen.answer("Name of the installation [home]:", house)  # the port in the wrong place
        screen.wait_for("looks like a port")
        screen.answer("Name of the installation", 'My "home"')
        screen.answer("Time zone [Europe/Oslo]:", "Mars/X")
        screen.wait_for("unknown time zone 'Mars/X'")
        screen.answer("Time zone", "europe/vienna")
        screen.wait_for("did you mean 'Europe/Vienna'?")
        screen.answer("Time zone", "Europe/Vienna")
        screen.answer("Port", "gateway:502")
        screen.wait_for("tcp://gateway:502 for Modbus TCP")
        screen.answer("Port", house)
        screen.answer("Look for meters there now (it only reads) [Y/n]:", "y")
        screen.answer("Addresses to try [1-247]:", "0-3")
        screen.wait_for("addresses go from 1 to 247")
        screen.answer("Addresses to try", "1-3")
        screen.wait_for("now ")
        screen.answer("role (grid, pv, battery, load) [pv]:", "solar")
        screen.wait_for("'solar' is no role")
        assert not list(tmp_path.iterdir())  # nothing is written before the last answer
        screen.answer("[pv]:", "")
        screen.answer("name [pv]:", "Roof [west]")
        screen.answer("role (grid, pv, battery, load) [grid]:", "")
        screen.answer("name [grid]:", "Roof [west]")
        screen.wait_for("a meter is called 'Roof [west]' already")
        screen.answer("name [grid]:", "")
        screen.answer("Mail address for alerts", "nobody")
        screen.wait_for("expected mail addresses")
        screen.answer("Mail address for alerts", "me@example.org")
        screen.answer("Address of Grafana", "")
        screen.wait_for("Next:")
        screen.wait_for("docker compose up -d")
        assert screen.end() == 0
    config = load_config(tmp_path / "config" / "local.toml")
    assert (config.site.name, config.site.timezone) == ('My "home"', "Europe/Vienna")
    meters = [(one.name, one.address, one.role, one.model) for one in config.bus[0].meter]
    assert meters == [("Roof [west]", 1, "pv", "pro380"), ("grid", 2, "grid", "pro380")]
    env = (tmp_path / ".env").read_text(encoding="utf-8")
    assert "TZ=Europe/Vienna\n" in env
    assert re.search(r"^GRAFANA_URL=http://\S+:3000/$", env, re.MULTILINE)


def test_an_interrupted_init_leaves_nothing(tmp_path: Path) -> None:
    with Terminal("init", str(tmp_path)) as screen:
        screen.answer("Name of the installation", "barn")
        screen.wait_for("Time zone")
        screen.interrupt_until_end()
        assert screen.end() == 130
        assert "Traceback" not in screen.shown, screen.shown
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("question", ["Name of the installation", "Look for meters there now"])
def test_ctrl_c_ends_a_question_as_it_ends_all_else(tmp_path: Path, question: str) -> None:
    """A question for a text, and one for yes or no."""
    with Terminal("init", str(tmp_path), "--port", "socket://127.0.0.1:1") as screen:
        if question != "Name of the installation":
            screen.answer("Name of the installation", "barn")
            screen.answer("Time zone", "UTC")
        screen.wait_for(question)
        screen.interrupt()
        screen.answer("", "")  # a question that is about to be read notices it with the next key
        assert screen.end() == 130
        assert "Abort" not in screen.shown
    assert not list(tmp_path.iterdir())


def test_an_answer_that_ends_before_it_is_given_is_no_ctrl_c(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "logger", "init", str(tmp_path)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Abort" in done.stderr


@pytest.mark.parametrize("turn", range(8))
def test_a_ctrl_c_held_down_has_no_traceback(tmp_path: Path, turn: int) -> None:
    """Wherever it meets the end of the command, and of Python itself."""
    with Terminal("init", str(tmp_path)) as screen:
        screen.wait_for("Name of the installation")
        screen.interrupt_until_end()
        assert screen.end() == 130
        assert "Traceback" not in screen.shown, screen.shown
        assert "Interrupt" not in screen.shown


def test_scan_asks_for_names_and_roles_on_a_terminal(tmp_path: Path, house: str) -> None:
    file = tmp_path / "farm.toml"
    options = ("--port", house, "--range", "1-2", "--patience", "2s", "--write", str(file))
    with Terminal("scan", *options, env={"TZ": "Europe/Oslo"}, columns=120) as screen:
        screen.answer("role (grid, pv, battery, load) [pv]:", "roof")
        screen.wait_for("'roof' is no role")
        screen.answer("[pv]:", "")
        screen.answer("name [pv]:", "barn")
        screen.answer("[grid]:", "")
        screen.answer("name [grid]:", "house")
        assert screen.end() == 0, screen.shown
    config = load_config(file)
    assert config.site.timezone == "Europe/Oslo"
    assert config.buffer.path == tmp_path / "data" / "farm.sqlite"
    assert [(m.name, m.role) for m in config.bus[0].meter] == [("barn", "pv"), ("house", "grid")]


def refusing(directory: Path) -> Path:
    """Return a directory that others may read and search, and not write to."""
    for one in (directory, *directory.parents):
        if one.stat().st_uid == os.geteuid() and one != Path("/tmp"):
            one.chmod(0o755)
    directory.chmod(0o555)
    return directory


def test_files_of_somebody_else_have_no_traceback(tmp_path: Path, house: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    config = tmp_path / "logger.toml"
    config.write_text(configuration(("grid", "grid")), encoding="utf-8")
    closed = theirs / "closed"
    closed.mkdir()
    closed.chmod(0)
    refusing(theirs)
    file = theirs / "new.toml"
    for arguments in (
        ("init", str(theirs), "--yes"),
        ("scan", "--port", house, "--range", "1", "--write", str(file)),
        ("grafana", str(theirs / "grafana"), "--config", str(config)),
        ("buffer", "status", "--file", str(closed / "b.sqlite")),
        ("buffer", "import", str(closed / "x.lp"), "--file", str(theirs / "b.sqlite")),
    ):
        done = command(*arguments, under=nobodys(), env={"HOME": str(tmp_path)})
        assert done.returncode == 1, done.stderr
        assert "Permission denied" in done.stderr
        assert "try:" in done.stderr
        assert "Traceback" not in done.stderr
    assert [one.name for one in theirs.iterdir()] == ["closed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_name_is_told_what_the_container_lacks(tmp_path: Path) -> None:
    """As `docker run -u` makes one: the image does not know the users of the machine."""
    controller, device = os.openpty()
    os.fchmod(device, 0o600)
    nameless = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    port = os.ttyname(device)
    done = command(
        "scan", "--port", port, "--range", "1", under=nameless, env={"HOME": str(tmp_path)}
    )
    os.close(controller)
    os.close(device)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "no permission" in done.stderr
    assert "--device-cgroup-rule 'c 136:* rw'" in " ".join(done.stderr.split())


@pytest.mark.parametrize("user", ["", "root"])
def test_check_goes_on_where_this_user_may_not_look(tmp_path: Path, user: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    config = tmp_path / "logger.toml"
    text = configuration(
        ("grid", "grid"),
        buffer={"path": str(closed / "b.sqlite")},
        influxdb={"url": "http://127.0.0.1:1", "bucket": "b", "token_file": str(closed / "token")},
    )
    config.write_text(text, encoding="utf-8")
    refusing(tmp_path)
    closed.chmod(0)
    arguments = ("check", "--config", str(config), *(("--user", user) if user else ()))
    done = command(*arguments, under=nobodys(), env={"HOME": str(tmp_path)})
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    assert f"influxdb.token_file: {closed / 'token'}: Permission denied" in done.stdout
    assert "-> the same command with sudo if it is the service's" in done.stdout
    verdict = "warn" if user else "fail"
    assert re.search(rf"{verdict} buffer .*{re.escape(str(closed / 'b.sqlite'))}", done.stdout)
    assert re.search(r"\d ok, .* fail", done.stdout.splitlines()[-1])


def test_a_buffer_of_the_service_is_told_to_who_may_not_write_it(tmp_path: Path) -> None:
    """The service is installed, and somebody tries the logger as himself."""
    unit, site = tmp_path / "inepro-logger.service", tmp_path / "site"
    unit.write_text("[Service]\nUser=root\n", encoding="utf-8")
    site.mkdir()
    site.chmod(0o777)
    refusing(tmp_path)
    start = (
        "from pathlib import Path; from logger.survey import place;"
        f"from logger.__main__ import main; place.UNITS = (Path({str(unit)!r}),); main()"
    )

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*nobodys(), sys.executable, "-c", start, *words],
            capture_output=True, text=True, check=False, cwd=ROOT,
            env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip

    done = ran("init", str(site), "--yes", "--no-docker", "--port", "socket://127.0.0.1:1")
    config = site / "config" / "local.toml"
    assert done.returncode == 0, done.stderr
    assert load_config(config).buffer.path == Path("/var/lib/inepro-logger/buffer.sqlite")
    assert "this user may not write /var/lib" in done.stdout
    assert f"another buffer.path in {config}" in done.stdout
    checked = ran("check", "--config", str(config))
    assert checked.returncode == 1
    assert "may not write /var/lib" in checked.stdout
    assert "it is the service's" in checked.stdout
    assert "chown" not in checked.stdout
    text = config.read_text(encoding="utf-8")
    alone = site / "alone.toml"  # without a database, whose token is not there either
    alone.write_text(text[: text.index("[influxdb]")] + text[text.index("[buffer]") :])
    run = ran("run", "--config", str(alone))
    assert run.returncode == 2
    assert "buffer.path: /var/lib/inepro-logger/buffer.sqlite cannot be made" in run.stderr


@pytest.mark.parametrize("module", ["typer", "logger.cli.quiet", "pydantic", "logger.config"])
def test_an_interrupt_while_modules_load_has_no_traceback(tmp_path: Path, module: str) -> None:
    config = tmp_path / "logger.toml"
    os.mkfifo(config)  # nobody writes to it: the command gets that far, and no further
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)  # nor much further than what was read
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "logger", "check", "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=writes,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    os.close(writes)
    with os.fdopen(reads, "rb", buffering=0) as stderr:
        for line in stderr:
            if line.decode().rstrip().endswith(f" {module}"):
                process.send_signal(signal.SIGINT)
                break
        rest = stderr.read().decode()
    assert process.wait(PATIENCE_S) in (-signal.SIGINT, 130)
    told = [line for line in rest.splitlines() if not line.startswith("import time:")]
    assert told == []


def test_an_interrupted_command_leaves_no_alarm_to_the_end_of_python(tmp_path: Path) -> None:
    """On a slow machine the end takes longer than the second in which more Ctrl-C do nothing."""
    config = tmp_path / "logger.toml"
    os.mkfifo(config)
    program = (
        "import atexit, signal, sys\n"
        "atexit.register(lambda: print(signal.getitimer(signal.ITIMER_REAL)))\n"
        "from logger.__main__ import main\n"
        "sys.argv = ['inepro-logger', 'check', '--config', sys.argv[1]]\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(config)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

    def writer() -> int | None:
        with contextlib.suppress(OSError):  # nobody reads yet
            return os.open(config, os.O_WRONLY | os.O_NONBLOCK)
        return None

    writes = wait_until(writer)  # the command reads its configuration
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=PATIENCE_S)[0]
    os.close(writes)
    assert process.returncode == 130
    assert told == "(0.0, 0.0)\n"


def test_signals_in_a_heap_are_one_end_in_order(tmp_path: Path, house: str) -> None:
    config = tmp_path / "logger.toml"
    text = configuration(("roof", "pv"), port=house, buffer={"path": "buffer.sqlite"})
    config.write_text(text, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "logger", "run", "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "started, process" in line:
            for _ in range(50):  # while the first is still being told of
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGTERM)
            break
    _, rest = process.communicate(timeout=600)
    assert process.returncode == 0, rest
    assert "Traceback" not in rest
    assert "Logging error" not in rest
    assert rest.count(": stopping") == 1
    assert rest.endswith("stopped\n")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may look into; those of pytest are closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(
    "name", [["run"], ["check"], ["status"], ["config", "check"]], ids=" ".join
)
def test_a_file_of_another_user_is_said_with_what_to_do(
    open_directory: Path, name: list[str]
) -> None:
    config = open_directory / "logger.toml"
    config.write_text(configuration(("grid", "grid")), encoding="utf-8")
    config.chmod(0)
    done = command(*name, "--config", str(config), under=nobodys(), env={"HOME": "/"})
    assert done.returncode == 2
    assert f"{config}: not readable for this user" in done.stderr
    assert "try: the same command with sudo" in done.stderr


def test_a_buffer_of_the_service_is_not_one_of_this_user(open_directory: Path) -> None:
    closed = open_directory / "inepro-logger"
    closed.mkdir()
    config = open_directory / "logger.toml"
    text = configuration(("grid", "grid"), buffer={"path": str(closed / "buffer.sqlite")})
    config.write_text(text, encoding="utf-8")
    config.chmod(0o644)
    closed.chmod(0)
    arguments = ("--config", str(config))
    said = f"buffer.path: {closed / 'buffer.sqlite'} is closed to this user"
    done = command("run", *arguments, under=nobodys(), env={"HOME": "/"})
    assert done.returncode == 2
    assert f"error: {said}\n  try: the service's is for the service: sudo systemctl" in done.stderr
    assert "WARNING" not in done.stderr
    done = command("config", "check", *arguments, under=nobodys(), env={"HOME": "/"})
    assert done.returncode == 0
    assert f"warn: {said}" in done.stdout + done.stderr
    closed.chmod(0o755)


def test_a_terminal_of_few_letters_shows_what_it_can(tmp_path: Path) -> None:
    config = tmp_path / "logger.toml"
    config.write_text(configuration(("Haus – Ω 🌞", "grid")), encoding="utf-8")
    latin = {"PYTHONIOENCODING": "iso8859-1"}
    with Terminal("config", "check", "--config", str(config), env=latin) as screen:
        assert screen.end() == 0, screen.shown
        assert "Haus - Ohm ?: pro380" in screen.shown
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with Terminal("models", env=ascii_only | {"PYTHONIOENCODING": "ascii"}) as screen:
        assert screen.end() == 0, screen.shown
        assert "pro380" in screen.shown
        assert screen.shown.isascii()


def test_the_demo_cuts_no_number_at_60_columns() -> None:
    whole = (
        r"grid( +-?\d+\.\d){3}( +-?\d+\.\d\d){3} +-?\d+\.\d{3} ",
        r"roof +\d+\.\d\d +\d+\.\d\d +T[12]",
    )

    def picture(shown: str) -> str:
        screen = pyte.Screen(60, 24)
        pyte.Stream(screen).feed(shown)
        return "\n".join(screen.display)

    with Terminal("demo", columns=60, rows=24) as terminal:
        terminal.read_until(lambda shown: all(re.search(one, picture(shown)) for one in whole))
        assert "…" not in picture(terminal.shown)
        terminal.interrupt()
        terminal.end()
    after = terminal.shown.rpartition("Next")[2]
    assert "inepro-logger init" in after
    assert max(map(len, after.splitlines())) <= 60
