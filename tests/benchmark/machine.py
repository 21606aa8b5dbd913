"""Describes the machine that was measured, as far as it matters."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model", "Hardware"}:
            return value.strip()
    return platform.processor() or platform.machine()


def _file_system(path: Path) -> str:
    best = max(
        (part for part in psutil.disk_partitions(all=True) if path.is_relative_to(part.mountpoint)),
        key=lambda part: len(part.mountpoint),
    )
    return str(best.fstype)


def _debian(package: str) -> str:
    found = subprocess.run(
        ["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def describe(work: Path) -> dict[str, Any]:
    """Return what ran the measurement; `work` is where buffers and databases were."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "file_system": _file_system(work.resolve()),
        "influxdb": _debian("influxdb"),
        "packages": {
            name: metadata.version(name) for name in ("apscheduler", "minimalmodbus", "pyserial")
        },
        "load_before": [round(one, 2) for one in os.getloadavg()],
    }


def sentence(about: dict[str, Any]) -> str:
    """Return the description in words, for a document."""
    return (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, "
        f"{about['system']}, {about['file_system']}, Python {about['python']}, "
        f"SQLite {about['sqlite']}, InfluxDB {about['influxdb']} of Debian; "
        f"load before: {about['load_before'][0]}"
    )
