"""Two gateways that connect to one `listen://` end each other's connection: that is told."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from logger.bus.rivals import Rivals
from logger.runtime.app import App
from logger.simulate.writing import Refusal
from tests.engines.process import free_port
from tests.gateways import asked, refused
from tests.lines import answer_to
from tests.readers import NOW, fixed_meter
from tests.running import command, wait_until
from tests.share_rig import bus, config_of

NEAR, FAR = "127.0.0.1", "127.0.0.2"


@contextlib.contextmanager
def gateways(port: int) -> Iterator[None]:
    """Two gateways with a meter each, that connect in turn: one before it answers the second
    question of the other, and so before the third one is put."""
    meter = fixed_meter()
    stop = threading.Event()
    there: list[socket.socket] = []
    answered = 0

    def connect() -> None:
        here = (FAR if len(there) % 2 else NEAR, 0)
        with contextlib.suppress(ConnectionRefusedError):  # nobody listens yet, or any more
            there.append(socket.create_connection(("127.0.0.1", port), source_address=here))

    def serve(line: socket.socket) -> None:
        nonlocal answered
        with contextlib.suppress(OSError):
            if not (request := line.recv(300)):
                there[there.index(line)].close()
                return
            answered += 1
            if answered % 2 == 0:
                connect()
            place = asked(request)
            try:
                words = meter.read_words(place.address, place.count, NOW)
                line.sendall(answer_to(request, words))
            except Refusal as refusal:
                line.sendall(refused(request, refusal.code))

    def run() -> None:
        while not stop.wait(0.005):
            open_ones = [one for one in there if one.fileno() >= 0]
            if not open_ones:
                connect()
            for line in select.select(open_ones, [], [], 0)[0]:
                serve(line)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for one in there:
            one.close()


def test_status_tells_of_two_gateways_while_both_are_read(tmp_path: Path) -> None:
    port = free_port()
    buses = [
        bus(
            "field", f"listen://127.0.0.1:{port}", [{"name": "m1", "model": "pro380", "address": 1}]
        )
    ]
    app = App(config_of(tmp_path, buses, None, {"fast": 0.5, "slow": 1.0, "identity": 1.0}))
    with gateways(port):
        app.start()
        try:
            wait_until(lambda: app.state()["buses"][0]["problems"])
            state = app.state()
            assert not state["healthy"]
            (told,) = [one for one in state["problems"] if "more than one gateway" in one]
            assert told.startswith(f"bus field (listen://127.0.0.1:{port}): ")
            assert f"(from {NEAR}, {FAR})" in told
            assert "a [[bus]] of its own" in told
        finally:
            app.stop()


_CONFIG = """
[site]
name = "home"
[buffer]
path = "b.sqlite"
[[bus]]
name = "field"
port = "listen://127.0.0.1:{port}"
timeout = "5s"
[[bus.meter]]
name = "m1"
model = "pro380"
address = 1
role = "load"
"""


def test_check_tells_of_two_gateways(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "logger.toml"
    file.write_text(_CONFIG.format(port=port), encoding="utf-8")
    with gateways(port):
        done = command("check", "--json", "--meters-only", "--config", str(file))
    found = {(one["subject"], one["about"]): one for one in json.loads(done.stdout)}
    told = found["field", "gateways"]
    assert told["verdict"] == "fail"
    assert "there are two of them" in told["text"]
    assert NEAR in told["text"]
    assert FAR in told["text"]
    assert "a [[bus]] of its own" in told["remedy"]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("hosts", "pause_s", "told"),
    [
        ("AAAA", 15.0, True),  # both from behind one address
        ("AAAA", 25.0, False),  # one whose way here is lost now and then
        ("ABAB", 90.0, True),
        ("ABCD", 90.0, False),  # one that gets an address anew with each connection
        ("ABAB", 250.0, False),
    ],
)
def test_who_comes_again_is_one_gateway(hosts: str, pause_s: float, *, told: bool) -> None:
    rivals = Rivals()
    for turn, host in enumerate(hosts):
        assert rivals.problems(turn * pause_s) == []
        rivals.ended(host, turn * pause_s)
    last = (len(hosts) - 1) * pause_s
    assert bool(rivals.problems(last)) is told
    assert rivals.problems(last + 600) == []
