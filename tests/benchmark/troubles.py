"""Makes the faults of a soak happen, and ends them."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil

from logger.domain.errors import StatusError
from logger.runtime.status import ask
from tests.benchmark.faults import Fault
from tests.engines.translator import Answer

if TYPE_CHECKING:
    from tests.benchmark.soak import Soak

_STATUS = {
    "400": Answer(status=400, body="bad request"),
    "401": Answer(status=401, body='{"code":"unauthorized","message":"unauthorized access"}'),
    "403": Answer(status=403, body='{"code":"forbidden","message":"insufficient permissions"}'),
    "404": Answer(status=404, body='{"code":"not found","message":"bucket not found"}'),
    "413": Answer(status=413, body='{"code":"request too large","message":"too large"}'),
    "429": Answer(status=429, headers={"Retry-After": "1"}),
    "500": Answer(status=500, body='{"code":"internal error","message":"unexpected"}'),
    "502": Answer(status=502),
    "503": Answer(status=503, headers={"Retry-After": "1"}),
    "html": Answer(status=200),
    "cut": Answer(cut=True),
    "reset": Answer(reset=True),
    "slow": Answer(engine=True, delay_s=0.5),
    "ack-lost": Answer(engine=True, cut=True),
}
_NOBODY = 1 << 62


class Troubles:
    """Begins and ends faults as the time of a soak passes them."""

    def __init__(self, soak: Soak, faults: list[Fault]) -> None:
        self._soak = soak
        self._coming = [fault for fault in faults if fault.group != "incident"]
        self._lasting: list[Fault] = []

    @property
    def down(self) -> bool:
        """Tell whether the logger is off just now."""
        return any(fault.group == "process" for fault in self._lasting)

    def look(self, now: float) -> None:
        """Do what is due at `now`, seconds since the begin of the soak."""
        for fault in [one for one in self._lasting if one.end <= now]:
            self._lasting.remove(fault)
            self._end(fault)
        while self._coming and self._coming[0].start <= now:
            fault = self._coming.pop(0)
            self._lasting.append(fault)
            self._begin(fault)
            if fault.group == "process":  # nobody else moves the clock while it is off
                self._soak.clock.now += fault.end - fault.start
                return

    def _begin(self, fault: Fault) -> None:
        soak = self._soak
        match fault.group, fault.kind:
            case "line", name:
                soak.line.set_quirks(fault.line, [name], seed=int(fault.start))
            case "server", "away":
                soak.translator.down()
            case "server", "killed":
                soak.engine.kill()
            case "server", kind:
                soak.translator.always = _STATUS[kind]
            case "process", kind:
                soak.end(kill=kind == "sigkill")
            case "clock", _:
                soak.clock.offset = fault.value
            case "disk", "full":
                self._limit_files(soak.buffer.stat().st_size)
            case "disk", "deleted":
                self._delete_buffer()

    def _end(self, fault: Fault) -> None:
        soak = self._soak
        match fault.group, fault.kind:
            case "line", _:
                soak.line.set_quirks(fault.line, [], seed=0)
            case "server", "away":
                soak.translator.up()
            case "server", "killed":
                soak.engine.start()
            case "server", _:
                soak.translator.always = None
            case "process", _:
                soak.start()
            case "clock", _:
                soak.clock.offset = 0.0
            case "disk", "full":
                self._limit_files(_NOBODY)

    def _delete_buffer(self) -> None:
        """Delete the file under a running logger, and wait until it has written it again.

        A file that is deleted while nobody has it open is gone for good.
        """
        soak = self._soak
        if self.down or not _wait(self._runs):
            return
        for tail in ("", "-wal", "-shm", ".journal"):
            soak.buffer.with_name(soak.buffer.name + tail).unlink(missing_ok=True)
        _wait(soak.buffer.exists)

    def _runs(self) -> bool:
        """Tell whether the logger has got its buffer and answers."""
        try:
            ask(self._soak.buffer)
        except StatusError:
            return False
        return True

    def _limit_files(self, size: int) -> None:
        """Let no file of the logger grow beyond `size`: to it the disk is full."""
        process = psutil.Process(self._soak.process.pid)
        _, hard = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(
            resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if size == _NOBODY else size, hard)
        )


def _wait(what: Callable[[], bool]) -> bool:
    """Wait for `what`, but not for ever; tell whether it came."""
    until = time.monotonic() + 20
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
