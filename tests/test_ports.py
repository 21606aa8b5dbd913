"""What a port may be called: said when the configuration is checked, with what to write."""

from __future__ import annotations

import getpass
import grp
import os
import pty
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from logger.bus import faults
from logger.bus.faults import explain
from logger.cli import app
from logger.config.ports import SCHEMES, Network, network
from logger.domain.errors import ConfigError
from logger.survey import ports
from tests.lines import bus_config
from tests.running import command

_CONFIG = """
[site]
name = "home"
[buffer]
path = "b.sqlite"
[[bus]]
name = "line"
port = "{port}"
timeout = "50ms"
[[bus.meter]]
name = "house"
model = "pro380"
address = 1
role = "grid"
"""


def _config(tmp_path: Path, port: str) -> Path:
    file = tmp_path / "logger.toml"
    file.write_text(_CONFIG.format(port=port), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("socket://host", "the port number is missing: write socket://192.168.1.50:4196"),
        ("tcp://host", "the port number is missing: write tcp://192.168.1.50:502"),
        ("tcp://:502", "the host is missing: write tcp://"),
        ("tcp://host:0", "a port number is 1 to 65535"),
        ("tcp://host:65536", "a port number is 1 to 65535"),
        ("tcp://host:-5", "a port number is 1 to 65535"),
        ("tcp://host:http", "a port number is 1 to 65535"),
        ("tcp://fd00::5:502", "an IPv6 address goes into brackets: write tcp://[fd00::5]:502"),
        ("tcp://[host]:502", "no IPv6 address in brackets"),
        ("tcp://[fd00::5:502", "no IPv6 address in brackets"),
        ("tcp://[fd00::5]", "the port number is missing"),
        ("tcp://a b:502", "is no host"),
        ("tcp://host:502/unit", "only host and port stand there"),
        ("socket://host:502?logging=debug", "only host and port stand there"),
        ("modbus://host:502", "modbus:// is unknown; expected a device"),
        ("192.168.1.5:502", "tcp://192.168.1.5:502 for Modbus TCP, socket://"),
        ("", "empty; expected a device"),
        ("tcp:/host:502", "behind tcp comes ://, as in tcp://192.168.1.50:502"),
        ("socket:host:4196", "behind socket comes ://, as in socket://192.168.1.50:4196"),
        (" tcp://host:502", "a space stands at its begin or end"),
        ("192.168.1.5", "at which port? Write tcp://192.168.1.5:502 for Modbus TCP"),
        ("tcp://192.168.1.500:502", "'192.168.1.500' is no host"),
        ("tcp://gate..way:502", "'gate..way' is no host"),
        ("socket://host:502:503", "more than one port number"),
        ("listen://4196", "the host is missing: write listen://0.0.0.0:4196"),
        ("/dev/", "is a directory: which device of it?"),
        ("ttyUSB0", "is no device: its path begins with /dev/"),
    ],
)
def test_a_port_that_cannot_be_is_refused_with_what_to_write(
    tmp_path: Path, port: str, said: str
) -> None:
    done = command("config", "check", "--config", str(_config(tmp_path, port)))
    assert done.returncode == 2
    assert f"{tmp_path / 'logger.toml'}:8: bus[1].port: " in done.stderr
    assert said in done.stderr
    assert "Value error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_scheme_is_named_with_those_that_exist(tmp_path: Path) -> None:
    done = command("config", "check", "--config", str(_config(tmp_path, "http://host:80")))
    assert all(f"{name}://" in done.stderr for name in SCHEMES)
    done = command("scan", "--port", "http://host:80")
    assert done.returncode == 2
    assert all(f"{name}://" in done.stderr for name in SCHEMES)
    assert "Value error" not in done.stderr


@pytest.mark.parametrize("port", ["tcp://me:secret@h:502", " tcp://me:secret@h", "tcp:me:secret@h"])
def test_a_user_and_password_in_a_port_are_refused_and_not_shown(tmp_path: Path, port: str) -> None:
    done = command("config", "check", "--config", str(_config(tmp_path, port)))
    assert done.returncode == 2
    assert "write tcp://" in done.stderr or "space" in done.stderr or "as in" in done.stderr
    assert "secret" not in done.stderr + done.stdout


def test_ports_are_read_as_they_are_meant() -> None:
    assert network("/dev/serial/by-id/usb-x") is None
    assert network("tcp://gateway.local:502") == Network("tcp", "gateway.local", 502)
    place = network("UDP://[fd00::5]:4196/")
    assert place == Network("udp", "fd00::5", 4196)
    assert place.spoken_as("tcp") == "tcp://[fd00::5]:4196"


# What stands in the way of a device.


def _mini_uart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: str) -> None:
    """Let the device `port` be the mini-UART of a Raspberry Pi."""
    node = tmp_path / "sys" / "class" / "tty" / Path(port).resolve().name / "device" / "of_node"
    node.mkdir(parents=True)
    (node / "compatible").write_bytes(b"brcm,bcm2835-aux-uart\0")
    monkeypatch.setattr(faults, "SYSFS", tmp_path / "sys")


def test_a_uart_without_parity_is_named_with_what_to_write_into_config_txt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from logger.cli import app

    controller, device = pty.openpty()
    name = tmp_path / "serial0"
    name.symlink_to(os.ttyname(device))
    _mini_uart(monkeypatch, tmp_path, str(name))
    try:
        file = _config(tmp_path, str(name))
        arguments = ["check", "--meters-only", "--config", str(file)]
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})
        assert done.exit_code == 1
        assert "dtoverlay=disable-bt" in done.output
        assert "/boot/firmware/config.txt" in done.output
        assert "A and B" not in done.output
        assert not faults.lacks_parity(bus_config(str(name), parity="none"))
        monkeypatch.setattr(faults, "SYSFS", tmp_path / "other")
        assert not faults.lacks_parity(bus_config(str(name)))
    finally:
        os.close(controller)
        os.close(device)


def _remedy(device: Path) -> str:
    return explain(bus_config(str(device)), PermissionError(13, "Permission denied")).hint


def test_the_remedy_for_a_port_without_permission_looks_at_its_mode_and_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "ttyS7"
    device.touch()
    dialout = grp.getgrnam("dialout").gr_gid
    owner: dict[str, int] = {}
    real = Path.stat

    def seen(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = real(self, follow_symlinks=follow_symlinks)
        if self != device:
            return found
        parts = list(found)
        parts[0], parts[5] = stat.S_IFCHR | owner["mode"], owner["group"]
        return os.stat_result(parts)

    monkeypatch.setattr(Path, "stat", seen)
    user = getpass.getuser()
    owner.update(mode=0o660, group=dialout)
    assert f"sudo usermod -aG dialout {user}" in _remedy(device)
    for mode, group in ((0o660, 0), (0o600, 0), (0o600, dialout), (0o620, dialout)):
        owner.update(mode=mode, group=group)
        assert 'KERNEL=="ttyS7", GROUP="dialout", MODE="0660"' in _remedy(device)
        assert "usermod -aG root" not in _remedy(device)
    owner.update(mode=0o660, group=64_123)
    assert "group_add: [64123]" in _remedy(device)
    assert "usermod -aG dialout" in _remedy(tmp_path / "gone")


def test_scan_without_a_port_lists_what_there_is(tmp_path: Path) -> None:
    done = command("scan")
    assert done.returncode == 2
    assert "--port is missing; adapters here: " in done.stderr
    assert "tcp://host:502" in done.stderr
    devices, names = tmp_path / "dev", tmp_path / "by-id"
    devices.mkdir()
    names.mkdir()
    for name in ("ttyUSB0", "ttyUSB1", "ttyS0", "ttyAMA0"):
        (devices / name).touch()
    (devices / "serial0").symlink_to("ttyS0")
    (names / "usb-FTDI").symlink_to(devices / "ttyUSB0")
    assert ports.adapters(names, devices) == [
        str(names / "usb-FTDI"),
        *(str(devices / name) for name in ("ttyUSB1", "ttyAMA0", "serial0")),
    ]


def test_scan_without_a_port_names_the_adapter_to_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usb-FTDI").symlink_to("/dev/null")
    monkeypatch.setattr(ports, "adapters", lambda: [str(tmp_path / "usb-FTDI")])
    done = CliRunner().invoke(app, ["scan"])
    assert isinstance(done.exception, ConfigError)
    assert done.exception.hint is not None
    assert done.exception.hint.startswith(f"--port {tmp_path}/usb-FTDI; a gateway is --port tcp:")
