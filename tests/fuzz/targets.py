"""What is fuzzed: each target takes bytes, and raises only for a fault of the program."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import urllib3

from logger import models
from logger.bus import Bus
from logger.config import Bus as BusConfig
from logger.config import Meter as MeterConfig
from logger.config import load_config
from logger.derive.pipeline import Derive
from logger.domain.errors import BusError, ConfigError, ModelError, ReportError
from logger.influx.http import Http, Stream
from logger.influx.outcome import OutcomeKind, classify, plain
from logger.mbus import frames
from logger.meter.session import MeterReader
from logger.meter.state import MeterState, StateStore
from logger.models import Job
from logger.models.plan import Block, plans
from logger.points.line import encode
from logger.points.parse import decode
from logger.report.influx import InfluxSource
from logger.simulate.frame import seal
from logger.store.ledger import Ledger
from logger.store.statefile import StateFile
from tests.derive_rig import T0, fast, info, reading
from tests.fuzz.telegrams import mbus_frame
from tests.fuzz.wire import Wire

Target = Callable[[bytes], None]
_NOW = 1_793_577_600.0


@functools.cache
def _place() -> Path:
    """Return a directory for files that a target needs; it goes with the process."""
    directory = tempfile.TemporaryDirectory(prefix="fuzz-")
    _keep.append(directory)
    return Path(directory.name)


_keep: list[tempfile.TemporaryDirectory[str]] = []
_BUS = BusConfig.model_validate(
    {
        "name": "line",
        "port": "/dev/ttyS9",
        "timeout": 0.05,
        "meter": [{"name": "house", "model": "pro380", "address": 1, "role": "grid"}],
    }
)


def line(data: bytes) -> None:
    """Bytes from the line: what is returned was really sent, whatever else was."""
    if len(data) < 2:
        return
    block = Block(0x5000, 1 + data[0] % 125)
    rest = data[2:]
    if data[1] & 1:  # a right answer somewhere in it, so that the good way is taken too
        words = bytes(range(2 * block.count))
        answer = seal(1, bytes((3, len(words))) + words)
        at = data[1] % (len(rest) + 1)
        rest = rest[:at] + answer + rest[at:]
    cut = len(rest) // (1 + data[1] % 5) or 1
    wire = Wire([rest[start : start + cut] for start in range(0, len(rest), cut)])
    whole = rest
    with (
        patch("logger.bus.device.serial.serial_for_url", return_value=wire),
        patch("logger.bus.port.elapsed", wire.monotonic),
        patch("minimalmodbus._calculate_minimum_silent_period", return_value=0.0),
    ):
        bus = Bus(_BUS)
        for _ in range(3):
            with contextlib.suppress(BusError):
                words_read = bus.read(1, block)
                raw = b"".join(word.to_bytes(2, "big") for word in words_read)
                sent = seal(1, bytes((3, len(raw))) + raw)
                assert len(words_read) == block.count
                assert sent in whole, "an answer that nobody sent"


def mbus(data: bytes) -> None:
    """Bytes of an M-Bus line: what is found was really sent, and says what its bytes say."""
    for raw in (data, frames.long(frames.RSP_UD, 0, frames.CI_VARIABLE, data[:252])):
        mbus_frame(raw)


def config(data: bytes) -> None:
    """A configuration file: a configuration, or a ConfigError with a message."""
    path = _place() / "logger.toml"
    path.write_bytes(data)
    try:
        found = load_config(path)
    except ConfigError:
        return
    assert found.bus


def model(data: bytes) -> None:
    """A register table: a table that can be planned, or a ModelError."""
    path = _place() / "own.toml"
    path.write_bytes(data)
    try:
        found = models.load_file(path)
    except ModelError:
        return
    planned = plans(found)
    for job in (Job.FAST, Job.SLOW, Job.IDENTITY):
        for register in found.of_job(job):
            assert any(block.holds(register) for block in planned[job])


def line_protocol(data: bytes) -> None:
    """Line protocol: ValueError, or a point that comes back the same."""
    for text in data.decode("utf-8", errors="replace").split("\n"):
        try:
            point = decode(text)
        except ValueError:
            continue
        try:
            written = encode(point)
        except ValueError:
            continue  # a name that this program never writes
        assert decode(written) == point


def derived_state(data: bytes) -> None:
    """The state of the derived stages: refused without a word, or readings go on with it."""
    path = _place() / "derived.json"
    path.write_bytes(data)
    state = StateFile(path).load()
    derive = Derive([info(), info("roof", "pv")], "home")
    with contextlib.suppress(ValueError, RecursionError):
        any_shape = json.loads(data)
        inner = any_shape.get("state") if isinstance(any_shape, dict) else None
        if isinstance(inner, dict):
            derive.restore(inner, T0 - 60_000)
    derive = Derive([info(), info("roof", "pv")], "home")
    if state is not None:
        derive.restore(state, T0 - 60_000)
    for second in range(3):
        at = T0 + 1000 * second
        derive.feed(fast(at, meter="house"))
        derive.feed(fast(at, meter="roof", role="pv"))
    for turn in range(3):
        at = T0 + 60_000 * (1 + turn)
        values = {"active_import/total/total": 100.5 + turn, "active_export/total/total": 3.25}
        derive.feed(reading(values, at, Job.SLOW))
        derive.feed(reading({"serial": "22091039", "power_down_count": 3}, at, Job.IDENTITY))
        derive.tick(at + 500)
    json.dumps(derive.state(stopping=True))


def meter_state(data: bytes) -> None:
    """What is remembered of a meter: used or set aside, and the meter can be read."""
    directory = _place() / "meters"
    store = StateStore(directory)
    if not directory.exists():
        store.save(MeterState(meter="house", model="pro380"))
    (directory / "house.json").write_bytes(data)
    meter = MeterConfig.model_validate(
        {"name": "house", "model": "pro380", "address": 1, "role": "grid"}
    )
    reader = MeterReader(Bus(_BUS), meter, models.load("pro380"), lambda: T0, states=store)
    for job in (Job.FAST, Job.SLOW, Job.IDENTITY):
        assert reader.blocks(job)


def ledger(data: bytes) -> None:
    """The buffer's books: books, or ValueError."""
    with contextlib.suppress(ValueError):
        found = Ledger.loads(data.decode("utf-8", errors="replace"))
        assert Ledger.loads(found.dumps()) == found


def influx_answer(data: bytes) -> None:
    """An answer to a write: only 204 is a delivery, and nothing raises."""
    status = 100 + int.from_bytes(data[:2], "big") % 500
    head, _, body = data[2:].partition(b"\n\n")
    headers = {}
    for number, text in enumerate(head.decode("latin-1").splitlines()):
        name = ("Retry-After", "Location", "Content-Type")[number % 3]
        headers[name] = text
    outcome = classify(status, headers, body.decode("utf-8", errors="replace"), _NOW)
    assert (outcome.kind is OutcomeKind.DELIVERED) == (status == 204)
    assert outcome.retry_after_s is None or 0 <= outcome.retry_after_s <= 3600
    assert len(plain(body.decode("utf-8", errors="replace"))) <= 310


def answering(status: int, data: bytes) -> Callable[..., Any]:
    """Return what can stand for `Http.stream`: it gives this answer to every request."""

    @contextlib.contextmanager
    def stream(*_: Any, **__: Any) -> Iterator[Stream]:
        body = io.BytesIO(data)
        response = urllib3.HTTPResponse(body=body, status=status, preload_content=False)
        yield Stream(response, "", contextlib.nullcontext)

    return stream


def query_answer(data: bytes) -> None:
    """An answer to a query: points, or a ReportError."""
    source = InfluxSource("http://127.0.0.1:9", "energy", "", "home")
    status = 200 if data[:1] < b"\xf0" else 503
    for work in (
        lambda: list(source.read("energy", [(0, 1000)], {}, ["active"])),
        lambda: source.tally("quality_voltage", [(0, 1000)], {}, {("L1",): [(207.0, 253.0)]}),
    ):
        answer = answering(status, data)
        with patch.object(Http, "stream", answer), contextlib.suppress(ReportError):
            work()


TARGETS: dict[str, Target] = {
    one.__name__: one
    for one in (
        line,
        mbus,
        config,
        model,
        line_protocol,
        derived_state,
        meter_state,
        ledger,
        influx_answer,
        query_answer,
    )
}


@contextlib.contextmanager
def quietly() -> Any:
    """Keep the program's log off the terminal."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
