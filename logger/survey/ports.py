"""Serial ports by the name that stays when they are plugged in elsewhere."""

from __future__ import annotations

from pathlib import Path

BY_ID = Path("/dev/serial/by-id")
HOST = "/host"  # where a container has /dev of its machine


# Where adapters and UARTs appear that have no lasting name.
_PLAIN = ("ttyUSB*", "ttyACM*", "ttyAMA*", "serial0", "ttySC*")


def adapters(directory: Path = BY_ID, devices: Path = Path("/dev")) -> list[str]:
    """Return every port that a line may be on: lasting names first, then what has none."""
    found = present(directory)
    reached = {Path(name).resolve() for name in found}
    for pattern in _PLAIN:
        for device in sorted(devices.glob(pattern)):
            if device.resolve() not in reached:
                reached.add(device.resolve())
                found.append(str(device))
    return found


def here(port: str) -> str:
    """Return the name under which this process reaches `port`: in a container the
    machine's /dev may be at /host/dev."""
    inside = HOST + port
    return inside if is_device(port) and not Path(port).exists() and Path(inside).exists() else port


def on_machine() -> list[str]:
    """Return the ports of this machine, also when this process is in a container of it."""
    return adapters() or adapters(Path(HOST + str(BY_ID)), Path(HOST + "/dev"))


def is_device(port: str) -> bool:
    """Return whether `port` is a device, not a gateway on the network."""
    return "://" not in port


def lasting_name(port: str, directory: Path = BY_ID) -> str:
    """Return the name of `port` that survives replugging, or `port` when it has none."""
    if not is_device(port) or Path(port).parent == directory:
        return port
    try:
        target = Path(port).resolve()
        names = sorted(directory.iterdir())
        return next((str(name) for name in names if name.resolve() == target), port)
    except OSError:
        return port


def present(directory: Path = BY_ID) -> list[str]:
    """Return the lasting names of the adapters that are plugged in."""
    try:
        return [str(name) for name in sorted(directory.iterdir())]
    except OSError:
        return []
