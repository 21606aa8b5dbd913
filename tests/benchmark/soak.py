"""A week in virtual time with every fault there is: `python -m tests.benchmark.soak`.

Two lines with two meters each, a real InfluxDB 1.x engine behind the v2 front of the
tests. At the end the books must balance, the database must hold what the buffer
delivered, no value may be there that no meter sent, and memory must not have grown.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmark import machine, verdict, virtual
from tests.benchmark.clockfile import Time
from tests.benchmark.faults import Fault, draw
from tests.benchmark.figure import put_between
from tests.benchmark.line import LineProcess
from tests.benchmark.rig import DISK, Sample, Watch
from tests.benchmark.troubles import Troubles
from tests.engines import InfluxServer, Translator

START = 1_795_046_400.0  # 2026-11-19 00:00 UTC
METERS = {"grid": (0, 1), "roof": (0, 2), "shop": (1, 1), "flat": (1, 2)}
ROLES = {"grid": "grid", "roof": "pv", "shop": "load", "flat": "load"}
CONFIG = """\
[site]
name = "soak"
[intervals]
fast = "{fast}s"
slow = "60s"
identity = "1h"
[influxdb]
url = "{url}"
org = "home"
bucket = "energy"
fast_bucket = "live"
token_file = "token"
timeout = "2s"
[buffer]
path = "buffer.sqlite"
keep = "60d"
commit_interval = "200ms"
"""
# Growth of the resident memory that a long-lived process may show, MiB.
FLAT_MIB = 8.0
LONG_LIFE_S = 30.0  # a shorter life is still growing up


def configure(place: Path, ports: list[int], url: str, fast_s: int) -> Path:
    """Write the configuration of the soak."""
    text = [CONFIG.format(url=url, fast=fast_s)]
    for line, port in enumerate(ports):
        text.append(
            f'[[bus]]\nname = "line{line}"\nport = "socket://127.0.0.1:{port}"\ntimeout = "80ms"\n'
        )
        text += [
            f'[[bus.meter]]\nname = "{name}"\nmodel = "pro380"\naddress = {address}\n'
            f'role = "{ROLES[name]}"\n'
            for name, (number, address) in METERS.items()
            if number == line
        ]
    (place / "token").write_text("the-token", encoding="utf-8")
    path = place / "logger.toml"
    path.write_text("\n".join(text), encoding="utf-8")
    return path


class Soak:
    """The run: the logger's process, and the faults as their time comes."""

    def __init__(self, place: Path, seconds: float, faults: list[Fault], fast_s: int) -> None:
        self.seconds = seconds
        self.lives: list[list[Sample]] = []
        self._place = place
        self._until = START + seconds
        self.clock = Time(place / "time", START)
        incidents = [fault for fault in faults if fault.group == "incident"]
        self.line = LineProcess(
            place,
            [[1, 2], [1, 2]],
            paced=False,
            delay_s=0.0,
            clock=self.clock.path,
            pv=[[2], []],
            step_s=fast_s,
            incidents=[_incident(fault) for fault in incidents],
            sent=place / "sent.bin",
        )
        (place / "influx").mkdir()
        self.engine = InfluxServer(place / "influx").start()
        for bucket in ("energy", "live"):
            self.engine.create_bucket(bucket)
        self.translator = Translator(self.engine.url).up()
        self.config = configure(place, self.line.ports, self.translator.url, fast_s)
        self._troubles = Troubles(self, faults)

    @property
    def buffer(self) -> Path:
        """The buffer file."""
        return self._place / "buffer.sqlite"

    def start(self) -> None:
        """Start the logger, at the time that it is now."""
        log = self._place / "logger.log"
        self.process = virtual.start(self.config, self.clock, self._until, log)
        self.watch = Watch(self.process.pid, 0.25)

    def end(self, *, kill: bool) -> None:
        """End the logger, by SIGKILL or in order."""
        (self.process.kill if kill else self.process.terminate)()
        self._ended(30)

    def _ended(self, patience_s: float) -> None:
        code = self.process.wait(patience_s)
        self.lives.append(self.watch.stop())
        if code not in (0, -9):
            text = (self._place / "logger.log").read_text(encoding="utf-8")
            raise RuntimeError(f"the logger ended with {code}:\n{text[-3000:]}")

    def run(self) -> None:
        """Go through the faults, then until the end of the time."""
        self.start()
        began = shown = time.monotonic()
        while self.process.poll() is None or self._troubles.down:
            self._troubles.look(self.clock.now - START)
            self.translator.writes.clear()
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                hours = (self.clock.now - START) / 3600
                print(f"  {shown - began:4.0f} s: hour {hours:.1f}", file=sys.stderr, flush=True)
            time.sleep(0.02)
        self._ended(1)

    def close(self) -> None:
        """Let go of everything."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.translator.down()
        self.engine.kill()
        self.line.stop()

    def judge(self) -> dict[str, Any]:
        """Deliver what still waits, then compare everything with everything."""
        backfill = verdict.command(self.config, "buffer", "backfill")
        checked = verdict.command(self.config, "buffer", "verify")
        status = verdict.command(self.config, "buffer", "status")
        self.line.stop()
        kept = verdict.in_file(self.buffer)
        stored = verdict.in_database(self.engine, {"power": "live", "": "energy"}, sorted(kept))
        powers, wrong = verdict.strangers(self.engine, "live", METERS, self._place / "sent.bin")
        longest = max(self.lives, key=lambda life: life[-1].at_s - life[0].at_s)
        events = self.engine.rows('SELECT count("text") AS n FROM event GROUP BY kind', "energy")
        return {
            "backfill": backfill,
            "verify": checked,
            "status": status,
            "delivered_values": sum(sum(one.values()) for one in kept.values()),
            "missing": _missing(kept, stored),
            "powers_stored": verdict.powers_in(self.engine, "live", METERS),
            "powers": powers,
            "wrong_powers": wrong[:10],
            "longest_life_s": longest[-1].at_s - longest[0].at_s,
            "grown_mib": _growth(longest),
            "most_mib": max(one.memory_mib for life in self.lives for one in life),
            "lives": len(self.lives),
            "events": {row["kind"]: row["n"] for row in events},
        }


def _missing(kept: verdict.Counts, stored: verdict.Counts) -> dict[str, tuple[int, int]]:
    """Return the fields of which fewer values are stored than the buffer says it delivered.

    More may be stored: on a full disk the buffer lets go what is delivered.
    """
    return {
        f"{measurement} {field}": (count, stored[measurement].get(field, 0))
        for measurement, fields in kept.items()
        for field, count in fields.items()
        if stored[measurement].get(field, 0) < count
    }


def _growth(life: list[Sample]) -> float:
    """Return the memory at the end of a life beyond that after its first third, MiB."""
    third = life[len(life) // 3 :]
    part = max(1, len(third) // 5)
    first = sorted(one.memory_mib for one in third[:part])[part // 2]
    last = sorted(one.memory_mib for one in third[-part:])[part // 2]
    return last - first


def _incident(fault: Fault) -> dict[str, Any]:
    needs_phase = fault.kind in ("phase-lost", "voltage")
    return {
        "line": fault.line,
        "kind": fault.kind,
        "start": START + fault.start,
        "end": START + fault.end,
        "phase": 1 + int(fault.start) % 3 if needs_phase else None,
        "value": fault.value or None,
        "meter": 1 + int(fault.start) % 2 if fault.kind == "meter-silent" else None,
    }


def failures(found: dict[str, Any]) -> list[str]:
    """Return what is not as it must be."""
    books = found["status"]["books"]["total"]
    bad = []
    if found["backfill"]["exit"] or books.get("waiting"):
        bad.append(f"points still wait: {found['backfill']}")
    if found["verify"]["exit"]:
        bad.append(f"buffer verify: {found['verify']}")
    if books.get("dropped") or books.get("set_aside"):
        bad.append(f"points were dropped or set aside: {books}")
    if found["missing"]:
        bad.append(f"delivered, but not in the database: {found['missing']}")
    fast = found["status"]["books"]["fast"]["delivered"]
    if fast != found["powers_stored"]:
        bad.append(f"the books say {fast} powers, the database has {found['powers_stored']}")
    if found["wrong_powers"]:
        bad.append(f"values nobody sent: {found['wrong_powers']}")
    if found["grown_mib"] > FLAT_MIB and found["longest_life_s"] > LONG_LIFE_S:
        bad.append(f"memory grew by {found['grown_mib']:.1f} MiB")
    return bad


def main() -> int:
    """Run a soak; the exit code is 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--fast", type=int, default=10, help="seconds between fast jobs")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    parser.add_argument("--docs", type=Path, help="put the result into this document")
    parser.add_argument("--keep", type=Path, help="keep buffer and log in this directory")
    options = parser.parse_args()
    seconds = 86_400 * options.days
    faults = draw(options.seed, seconds, 2)
    print(f"seed {options.seed}: {options.days:g} days, {len(faults)} faults", flush=True)
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(dir=DISK, prefix="soak-"))
    soak = Soak(place, seconds, faults, options.fast)
    try:
        soak.run()
        found = soak.judge()
    finally:
        soak.close()
        if options.keep:
            shutil.move(place, options.keep)
        else:
            shutil.rmtree(place)
    bad = failures(found)
    found |= {"seed": options.seed, "days": options.days, "faults": [str(one) for one in faults]}
    found |= {"took_s": round(time.monotonic() - began), "failures": bad}
    found["machine"] = machine.describe(DISK)
    text = (
        f"{found['delivered_values']:,} values delivered, {found['powers']:,} powers compared, "
        f"{found['lives']} lives, {found['most_mib']:.0f} MiB at most, "
        f"{found['grown_mib']:+.1f} MiB over the longest life, {found['took_s']} s"
    )
    verdict_text = "\n".join(f"NOT AS IT MUST BE: {one}" for one in bad) or "all balanced"
    if options.docs:
        when = datetime.now(UTC).date()
        head = f"{when}, seed {options.seed}, {options.days:g} days, {len(faults)} faults"
        about = machine.sentence(found["machine"])
        put_between(options.docs, "soak", f"{head}: {text}: {verdict_text}.\n\n{about}.")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")
    print(text)
    print(verdict_text)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
