"""Where fuzzing starts: good input of every kind, and the words that matter in it."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from logger.derive.pipeline import Derive
from logger.meter.adapt import Cut
from logger.meter.state import MeterState, StateStore
from logger.models import Job, Value
from logger.models.plan import Block
from logger.simulate.frame import seal
from logger.store.ledger import Ledger
from logger.store.statefile import StateFile
from tests.derive_rig import T0, fast, info, reading
from tests.mbus_telegrams import AMBITION, PRO380

_ROOT = Path(__file__).parent.parent.parent
_DEEP = b"[" * 50_000
WORDS: tuple[bytes, ...] = (
    *(b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"Infinity", b'""', b"[]", b"{}"),
    *(b"9223372036854775808", b"1e308", b"-1e-320", b"\x00", b"\xff", b"\xc3\x28", b"\xb2"),
    *(b'"', b"'", b"\\", b"\n", b",", b"=", b" ", b"i", b"[[", b"]]", b"#", b"{", b"}"),
    *(b"inf", b"nan", b"1979-05-27", b"0x7f", b'"5m"', b'"1e9d"', b"socket://", b"://"),
)


@cache
def seeds(target: str) -> tuple[bytes, ...]:
    """Return good input for a target."""
    match target:
        case "line":
            words = bytes(range(8))
            frame = seal(1, bytes((3, 8)) + words)
            return (
                b"\x03\x00" + frame,
                b"\x03\x01",
                b"\x03\x02" + frame[:-1],
                b"\x03\x04" + seal(1, b"\x83\x02") + frame,
                b"\x03\x00" + seal(2, bytes((3, 8)) + words) + frame,
                b"\x03\x00\x01\x03\x50\x00\x00\x04" + frame,
            )
        case "mbus":
            return (PRO380, AMBITION, PRO380[7:-2], AMBITION[7:-2], b"\xe5")
        case "config":
            example = (_ROOT / "config" / "logger.toml").read_bytes()
            return (example, example.replace(b"\n# ", b"\n"))
        case "model":
            return tuple(
                file.read_bytes() for file in sorted((_ROOT / "logger" / "models").glob("*.toml"))
            )
        case "line_protocol":
            return (
                (
                    b"power,site=home,meter=m\\ 1,phase=L1 voltage=230.1,samples=60i,valid=true 1\n"
                    b'event,kind=x text="a \\"b\\" c\\\\",n=-1i -5\n'
                ),
                b"m f=1e5,g=.5,h=t 0",
            )
        case "derived_state":
            return (*_derived(), _DEEP, b'{"version": 1}')
        case "meter_state":
            return (_meter(), _DEEP)
        case "ledger":
            return (Ledger(written={"2026-11-02": 5}).dumps().encode(), _DEEP)
        case "influx_answer":
            return (
                b"\x00\x68120\n\n",
                b'\x01\x3460\n/x\n\n{"code":"invalid","message":"partial write: dropped=3"}',
                b"\x01\x90Wed, 21 Oct 2026 07:28:00 GMT\n\n<html><title>busy</title></html>",
                b"\x01\x90\xb2\n\n" + _DEEP,
            )
        case _:
            rows = {"columns": ["time", "active"], "values": [[1, 2.5]], "tags": {"meter": "m"}}
            tally = {"columns": ["time", "a", "b", "c"], "values": [[1, 2, 3.5, 4.5]]}
            good = [{"results": [{"statement_id": 0, "series": [one]}]} for one in (rows, tally)]
            bad = [{"results": [{"statement_id": 0, "error": "no"}]}, {"error": "x"}]
            return (*(json.dumps(one).encode() + b"\n" for one in [*good, *bad]), _DEEP)


def _derived() -> tuple[bytes, bytes]:
    derive = Derive([info(), info("roof", "pv")], "home")
    for second in range(90):
        for meter, role in (("house", "grid"), ("roof", "pv")):
            volts = (230.0, 230.0, 3.0 if second > 60 else 230.0)
            derive.feed(fast(T0 - 90_000 + 1000 * second, volts, meter=meter, role=role))
    for turn, kwh in enumerate((10.5, 10.75, 9.0)):
        at = T0 - 90_000 + 30_000 * turn
        for meter, role in (("house", "grid"), ("roof", "pv")):
            values = {"active_import/total/total": kwh, "active_export/total/total": 2.5}
            derive.feed(reading(values, at, Job.SLOW, meter, role))
            identity: dict[str, Value | float | str] = {"serial": "1", "power_down_count": 2}
            derive.feed(reading(identity, at, Job.IDENTITY, meter, role))
    return _saved(derive.state()), _saved(derive.state(stopping=True))


def _saved(state: dict[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "derived.json"
        assert StateFile(path).save(state)
        return path.read_bytes()


def _meter() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        store = StateStore(Path(name))
        cuts = {Block(0x502A, 8): Cut((Block(0x502A, 2), Block(0x502C, 6)), 5)}
        store.save(MeterState(meter="house", model="pro380", serial="1", cuts=cuts))
        return next(Path(name).glob("*.json")).read_bytes()
