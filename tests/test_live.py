"""`live` and `read --watch`: the newest values on a terminal, from another process."""

from __future__ import annotations

import io
import re
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from logger.cli.live import LiveValues, one_line, view
from logger.models.register import Job
from logger.runtime.status import ask
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests.configs import configuration
from tests.derive_rig import reading
from tests.running import RunningLogger, command, wait_until
from tests.terminal import Terminal

NOON = 1_795_000_000.0
ODD = "roof [red]east[/]"


def test_the_running_logger_and_one_meter_are_shown(tmp_path: Path) -> None:
    site = virtual_site(7, start=NOON)
    line = VirtualLine(site.meters, clock=VirtualClock(NOON), paced=False)
    with line:
        file = tmp_path / "logger.toml"
        port = f"socket://127.0.0.1:{line.start_tcp()}"
        buffer = tmp_path / "buffer.sqlite"
        text = configuration(
            ("grid", "grid"), (ODD, "pv"), port=port,
            buffer={"path": str(buffer)},
            intervals={"fast": "1s", "slow": "10s"},
        )  # fmt: skip
        file.write_text(text, encoding="utf-8")
        with RunningLogger(file) as logger:
            logger.wait_for("started, process")
            wait_until(lambda: ask(buffer)["latest"]["site"]["values"].get("load_power"))
            whole = command("live", "--config", str(file), "--for", "1ms")
            one = command("live", "--config", str(file), "--for", "1ms", "--meter", ODD)
            stranger = command("live", "--config", str(file), "--meter", "nobody")
            with Terminal("live", "--config", str(file), "--for", "1ms") as screen:
                assert screen.end() == 0, screen.shown
        watched = command("read", "grid", "--watch", "--for", "1ms", "--config", str(file))
    assert re.search(r"grid -?\d+\.\d{3} kW, PV -?\d+\.\d{3} kW, load", whole.stdout), whole
    left = screen.shown.rpartition("\x1b[?1049l")[2]  # after the screen of its own
    assert "as on the meters' displays" in left
    assert f"{ODD} -" in one.stdout
    assert "grid -" not in one.stdout
    assert stranger.returncode == 2
    assert re.match(r"L1: 2\d\d\.\d V, .* kW, .*L2: .*L3: .*total: ", watched.stdout), watched
    assert watched.returncode == 0


def test_the_load_is_without_what_goes_into_a_battery() -> None:
    """Nothing is known of it without a grid meter, or beside one alone; a battery is enough."""
    state = {
        "buses": [{"busy": 0.1, "name": "b", "planned_load": 0.1, "requests": 1, "silent": 0,
                   "garbled": 0, "refused": 0}],
        "buffer": {"waiting": 0, "file_size": 0}, "meters": [], "problems": [], "readings": 1,
    }  # fmt: skip
    told = {
        "grid": ("grid 0.500 kW;", "grid 0.500 kW"),
        "grid pv": ("grid 0.500 kW, PV 2.000 kW, load 2.500 kW;", "PV used on site 2.000 kW"),
        "grid pv battery": (
            "grid 0.500 kW, PV 2.000 kW, battery 1.250 kW, load 1.250 kW;",
            "1.250 kW into the battery",
        ),
        "grid battery": ("grid 0.500 kW, battery 1.250 kW, load -0.750 kW;", "load -0.750 kW"),
        "pv battery": ("battery 1.250 kW, pv -2.000 kW;", "battery 1.250 kW, pv -2.000 kW"),
    }  # fmt: skip
    power = {"grid": "0.5", "pv": "-2", "battery": "1.25"}
    for roles, (line, panel) in told.items():
        latest = LiveValues()
        for role in roles.split():
            values = {"active_power/total": Decimal(power[role])}
            latest.take(reading(values, 0, Job.FAST, role, role))
        assert one_line(latest, state).startswith(line), roles
        shown = io.StringIO()
        Console(file=shown, width=120).print(view(latest, state))
        assert panel in shown.getvalue(), roles
