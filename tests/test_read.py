"""`read --json` against a meter of another maker, decoded a second time here."""

from __future__ import annotations

import csv
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.opponents import device, pty_meter, tcp_meter

TABLE = Path(__file__).parent / "registers" / "pro380.csv"
NAMES = {"float32": 2, "int16": 1, "hex": 1, "ascii": 1}

CONFIG = """\
[site]
name = "test"
[[bus]]
name = "line"
port = "{port}"
parity = "none"
[[bus.meter]]
name = "grid"
model = "pro380"
address = 17
role = "grid"
"""


def table() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def distinct_words() -> tuple[dict[int, int], dict[str, object]]:
    """Return words for every register of the table, and what they mean by address."""
    words: dict[int, int] = {}
    meaning: dict[str, object] = {}
    for number, row in enumerate(table()):
        address = int(row["address"], 16)
        count = int(row["registers"])
        value: object
        if row["type"] == "float32":
            low = 0.9 if "ower factor" in row["name"] else 45.0
            text = f"{low + number / 1000:.3f}"
            value = float(text)
            raw = struct.pack(">f", float(text))
        elif row["type"] == "int16":
            value = 300 + number
            raw = struct.pack(">h", 300 + number)
        elif row["type"] == "hex":
            value = f"{number:02d}" * 2 * count
            raw = bytes.fromhex(str(value))
        else:
            value = f"{1 + number % 3}{'FR'[number % 2]}"
            raw = str(value).encode()
        assert len(raw) == 2 * count
        for offset in range(count):
            words[address + offset] = int.from_bytes(raw[2 * offset : 2 * offset + 2], "big")
        meaning[row["address"]] = value
    return words, meaning


def read_json(tmp_path: Path, port: str) -> dict[str, object]:
    config = tmp_path / "logger.toml"
    config.write_text(CONFIG.format(port=port), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "logger", "read", "grid", "--json", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("serve", [tcp_meter, pty_meter])
def test_every_register_of_another_makers_meter(tmp_path: Path, serve: object) -> None:
    words, meaning = distinct_words()
    assert len(set(map(str, meaning.values()))) == len(meaning)
    fill = dict.fromkeys(gaps(words), 57005)
    with serve(device(17, words | fill)) as port:  # type: ignore[operator]
        found = read_json(tmp_path, port)
    values = found["values"]
    assert isinstance(values, list)
    assert {row["address"]: row["value"] for row in values} == {
        f"0x{int(address, 16):04X}": value for address, value in meaning.items()
    }
    assert found["requests"] == 4  # identity, fast, slow, and the two for PRO1 only
    assert found["failures"] == []
    assert found["rejected"] == []
    assert [row["unit"] for row in values] == [row["unit"] for row in table()]


def gaps(words: dict[int, int]) -> set[int]:
    """Return the registers between those of the table, in each of its three parts."""
    found = set()
    for base in (0x4000, 0x5000, 0x6000):
        part = [address for address in words if base <= address < base + 0x1000]
        found |= set(range(min(part), max(part))) - set(part)
    return found


def test_a_meter_that_is_not_there(tmp_path: Path) -> None:
    with tcp_meter(device(17, {0x4000: 1})) as port:
        config = tmp_path / "logger.toml"
        text = CONFIG.format(port=port).replace("address = 17", "address = 18")
        config.write_text(text.replace('"none"', '"none"\ntimeout = "300ms"'), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "logger", "read", "grid", "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "address 18" in done.stderr
