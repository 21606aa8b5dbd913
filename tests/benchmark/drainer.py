"""A process that delivers a buffer file and says what that took: seconds, MiB, wake-ups.

It is what a logger is to its backlog, without meters: the buffer, the delivery, no reading.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from logger.buffer import Buffer
from logger.delivery import Delivery
from logger.influx.write import Client

_KIB_A_MIB = 1024


@dataclass(frozen=True, slots=True)
class _Target:
    url: str
    org: str = "home"
    bucket: str = "energy"
    fast_bucket: str = "live"
    timeout: float = 60.0
    gzip: bool = True

    def token(self) -> str:
        return "the-token"


def _status(name: str, task: int | str = "self") -> int:
    place = f"/proc/self/task/{task}/status" if task != "self" else "/proc/self/status"
    for line in Path(place).read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"{place} has no {name}")


def _wakes() -> dict[str, int]:
    """Return how often each thread has waited for something and gone on."""
    return {
        one.name: _status("voluntary_ctxt_switches", one.native_id)
        for one in threading.enumerate()
        if one.native_id is not None and one.name.startswith(("deliver", "backlog"))
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Deliver all of a buffer file, then tell."""
    path, url = Path(sys.argv[1]), sys.argv[2]
    target = _Target(url)
    buffer = Buffer(path, now_ms=lambda: int(time.time() * 1000))
    buffer.open()
    warm = Client(target, target.bucket)  # its modules are those of any logger, not of a drain
    warm.write(["warm value=1 1000"])
    warm.close()
    lines = buffer.state().waiting
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM begins anew
    delivery = Delivery(buffer, target, now_ms=buffer.now_ms)
    began, used = time.perf_counter(), _cpu_s()
    delivery.start()
    seen = -1
    while buffer.books().total.waiting:  # each change of that is a commit
        seen = buffer.exchange.wait(seen, 60.0, lambda: False)
    told = {
        "lines": lines,
        "drained_s": time.perf_counter() - began,
        "cpu_s": _cpu_s() - used,
        "before_mib": before / _KIB_A_MIB,
        "most_mib": _status("VmHWM") / _KIB_A_MIB,
        "wakes": _wakes(),
    }
    delivery.stop()
    buffer.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
