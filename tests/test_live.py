"""`live` and `read --watch`: the newest values on a terminal, from another process."""

from __future__ import annotations

import re
from pathlib import Path

from logger.runtime.status import ask
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from tests.configs import configuration
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
