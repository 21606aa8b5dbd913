"""M-Bus meters over a line: read right, one telegram for all jobs, no wrong value."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from logger.bus.mbus import MbusBus
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError, GarbledError, SilentError
from logger.domain.quantity import Quantity
from logger.mbus import frames
from logger.mbus.frames import Place
from logger.meter.mbusreader import MbusReader
from logger.meter.state import StateStore
from logger.models import Job, load
from logger.models.record import HEADER_FIELDS, Kind
from logger.simulate import MbusLine, VirtualMbusMeter, quirks_named
from logger.simulate.ledger import Books
from logger.simulate.world import World
from tests.lines import bus_config, meter_config, scripted
from tests.mbus_telegrams import PRO380, PRO380_HEADER, PRO380_RECORDS, answer
from tests.readers import complete
from tests.running import wait_until

NOW = 1_750_000_000.0
NOW_MS = 1_750_000_000_000
MODELS = ("pro380-mb", "ambition-2pu-mb")
JOBS = (Job.IDENTITY, Job.SLOW, Job.FAST)
# A question that nobody answers costs at least what the standard grants a meter to begin.
SPEED = {"baudrate": 9600, "protocol": "mbus", "timeout": 2.0}


def virtual(model: str, address: int = 1, **settings: Any) -> VirtualMbusMeter:
    books = Books(World(3), NOW, 1)
    return VirtualMbusMeter(load(model), address, "grid", books, settings=settings, fixed=True)


@dataclass
class Setup:
    """A virtual line, the bus that reads it, and a clock that the test moves."""

    line: MbusLine
    bus: MbusBus
    now: float = 0.0

    def reader(self, meter: MeterConfig, **more: Any) -> MbusReader:
        def now_ms() -> int:
            return NOW_MS + round(1000 * self.now)

        return MbusReader(
            self.bus, meter, load(meter.model), now_ms, clock=lambda: self.now, **more
        )


@contextlib.contextmanager
def a_line(
    *meters: VirtualMbusMeter, quirks: Iterable[str] = (), timeout: float = 2.0
) -> Iterator[Setup]:
    """Run an unpaced line at 9600 baud, with the bus to it."""
    there = quirks_named(quirks, 5)
    line = MbusLine(meters, baudrate=9600, quirks=there, paced=False, clock=lambda: NOW)
    with line:
        options = SPEED | {"timeout": timeout}
        bus = MbusBus(bus_config(line.start_tcp(), meter_config(1, "pro380-mb"), **options))
        try:
            yield Setup(line, bus)
        finally:
            bus.close()


def truth(meter: VirtualMbusMeter) -> dict[str, str]:
    """Return what every record of a meter with fixed values says, by key."""
    found = {}
    for index, row in enumerate(meter.rows()):
        count = meter.fixed_count(row, index)
        found[row.key] = str(count if row.scale is None else count * row.scale)
        if row.kind is Kind.RATIO:
            found[row.key] = "12340005"
    return found


def read_all(reader: MbusReader) -> dict[str, str]:
    values: dict[Quantity, Any] = {}
    for job in JOBS:
        reading = reader.read(job, NOW_MS)
        assert complete(reading), reading.failures
        values |= reading.values
    return {str(quantity): str(value) for quantity, value in values.items()}


@pytest.mark.parametrize("model", MODELS)
def test_every_value_of_both_models_is_read_right(model: str) -> None:
    meter = virtual(model, serial="22091039")
    expected = truth(meter)
    assert len(set(expected.values())) == len(expected), "every value tells where it is from"
    with a_line(meter) as setup:
        found = read_all(setup.reader(meter_config(1, model)))
    assert {key: found[key] for key in expected} == expected
    assert found["serial"] == "22091039"
    assert not setup.reader(meter_config(1, model)).left_out


def test_one_telegram_serves_all_jobs_that_are_due() -> None:
    with a_line(virtual("ambition-2pu-mb")) as setup:
        reader = setup.reader(meter_config(1, "ambition-2pu-mb"))
        setup.now = 5.0  # an answer counts from when it came, which is a moment ago
        read_all(reader)
        asked = [key for key in setup.line.requests.elements() if key[1] != frames.SND_NKE]
        assert [control for _, control, *_ in asked] == [0x7B]
        setup.now = 15.0
        fast = reader.read(Job.FAST, NOW_MS + 10_000)
        assert fast.requests == 1
        assert NOW_MS + 10_000 < fast.taken_ms <= NOW_MS + 15_000
        assert setup.line.requests[1, 0x5B, 0, 0] == 1, "the frame count bit alternates"
        setup.now = 65.0
        slow = reader.read(Job.SLOW, NOW_MS + 60_000)
        also = reader.read(Job.FAST, NOW_MS + 60_000)
        assert (slow.requests, also.requests) == (1, 0)
        assert slow.taken_ms == also.taken_ms
        assert reader.read(Job.FAST, NOW_MS + 60_000).requests == 1, "a job takes it once"


def test_a_meter_is_selected_by_its_number() -> None:
    there = [virtual("pro380-mb", 0, serial=f"2209100{n}") for n in range(3)]
    with a_line(*there) as setup:
        for meter in there:
            config = MeterConfig.model_validate(
                {"name": meter.serial, "model": "pro380-mb", "secondary": meter.serial}
                | {"role": "load"}
            )
            assert read_all(setup.reader(config))["serial"] == meter.serial


def test_everybody_is_the_one_meter_of_a_line() -> None:
    with a_line(virtual("pro380-mb", 17)) as setup:
        assert "serial" in read_all(setup.reader(meter_config(254, "pro380-mb")))


def test_two_meters_on_one_address_are_told() -> None:
    there = [virtual("pro380-mb", 0, serial=f"2209100{n}") for n in (1, 6)]
    with a_line(*there) as setup:
        reader = setup.reader(meter_config(0, "pro380-mb"))
        reading = reader.read(Job.SLOW, NOW_MS)
    assert not reading.values
    (failure,) = reading.failures
    assert isinstance(failure.error, GarbledError)
    assert "two meters on one address" in failure.error.hint
    assert "address 0" in failure.error.message


@pytest.mark.parametrize(
    "quirk",
    ["flip-bits", "drop-bytes", "zero-bytes", "wrong-address", "late-answer", "babble"],
)
def test_no_fault_of_the_line_makes_a_wrong_value(quirk: str) -> None:
    meter = virtual("ambition-2pu-mb")
    expected, good, failed = truth(meter), 0, []
    with a_line(meter, quirks=[quirk], timeout=0.3) as setup:
        reader = setup.reader(meter_config(1, "ambition-2pu-mb"))
        for turn in range(25):
            setup.now = 100.0 * turn
            reading = reader.read(Job.SLOW, NOW_MS + 100_000 * turn)
            good += bool(reading.values)
            failed += [one.error for one in reading.failures]
            assert {
                str(key): str(v) for key, v in reading.values.items()
            }.items() <= expected.items()
        assert setup.bus.stats.requests < 25 * 8, "no stuck bus"
        setup.line.set_quirks(())
        setup.now = 10_000.0

        def reads_again() -> bool:  # in a moment, on a busy machine
            setup.now += 100.0
            return bool(reader.read(Job.SLOW, NOW_MS + round(1000 * setup.now)).values)

        wait_until(reads_again)
    assert good or failed
    assert all(isinstance(error, BusError) and error.message for error in failed)


@pytest.mark.parametrize("quirk", ["echo", "split-frames"])
def test_an_echo_and_pieces_cost_nothing(quirk: str) -> None:
    meter = virtual("ambition-2pu-mb")
    with a_line(meter, quirks=[quirk]) as setup:
        assert read_all(setup.reader(meter_config(1, "ambition-2pu-mb"))).items() >= (
            truth(meter).items()
        )
        assert setup.bus.echo is (quirk == "echo")
        assert setup.bus.stats.garbled == 0


def test_a_meter_that_answers_every_second_request_is_read() -> None:
    meter = virtual("pro380-mb")
    with a_line(meter, quirks=["every-second"], timeout=1.0) as setup:
        reader = setup.reader(meter_config(1, "pro380-mb"))
        for turn in range(6):
            setup.now = 60.0 * turn
            reading = reader.read(Job.SLOW, NOW_MS + 60_000 * turn)
            assert complete(reading), reading.failures
            assert {str(k): str(v) for k, v in reading.values.items()} == truth(meter)


def test_a_silent_meter_is_left_alone_for_a_while() -> None:
    with a_line(virtual("pro380-mb"), quirks=["dead"], timeout=1.0) as setup:
        reader = setup.reader(meter_config(1, "pro380-mb"))
        first = reader.read(Job.SLOW, NOW_MS)
        assert isinstance(first.failures[0].error, SilentError)
        assert "level converter" in first.failures[0].error.hint
        assert reader.away
        again = reader.read(Job.IDENTITY, NOW_MS)
        assert (again.requests, len(again.failures)) == (0, 1)
        setup.line.set_quirks(())
        setup.now = 100.0
        assert complete(reader.read(Job.SLOW, NOW_MS + 100_000))
        assert not reader.away


Step = Callable[[bytes], list[bytes | float]]


def test_an_old_answer_never_passes_for_a_new_one() -> None:
    """A meter repeats its last answer when the frame count bit stays: after whatever was
    lost the bit begins anew, with a reset."""
    total = itertools.count(1)
    state: dict[str, Any] = {"bit": None, "last": b""}
    lost = iter([False, True, True, True, False, False])

    def meter(request: bytes) -> list[bytes | float]:
        if request[1] == frames.SND_NKE:
            state["bit"] = None
            return [b"\xe5"]
        bit = bool(request[1] & frames.FRAME_COUNT_BIT)
        if bit != state["bit"]:
            records = b"\x0c\x04" + bytes.fromhex(f"{next(total):08d}")[::-1]
            state["bit"], state["last"] = bit, answer(PRO380_HEADER + records, 1)
        return [] if next(lost, False) else [state["last"]]

    with scripted(meter) as line:
        options = SPEED | {"timeout": 1.0}
        bus = MbusBus(bus_config(line.port, meter_config(1, "pro380-mb"), **options))
        values = []
        for _ in range(4):
            with contextlib.suppress(SilentError):
                values.append(bus.request(Place(1)).records[0].value())
        bus.close()
    # The second reading was lost with all its repetitions; the third is a new one.
    assert values == [1, 3, 4]
    resets = [one for one in line.requests if one[1] == frames.SND_NKE]
    assert len(resets) == 2


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"\xe5", "no data"),
        (bytes.fromhex("10 08 01 09 16"), "no whole frame"),
        (PRO380, "from address 0"),
        (PRO380[:-3] + b"\x11" + PRO380[-2:], "no whole frame"),
        (answer(PRO380_HEADER[:-2] + b"\x00\x05" + PRO380_RECORDS, 1), "encrypted"),
        (answer(PRO380_HEADER + PRO380_RECORDS[:-2], 1), "cut off"),
    ],
)
def test_what_is_no_answer_is_said_in_words(reply: bytes, message: str) -> None:
    def meter(request: bytes) -> list[bytes | float]:
        return [b"\xe5" if request[1] == frames.SND_NKE else reply]

    with scripted(meter) as line:
        options = SPEED | {"timeout": 1.0}
        bus = MbusBus(bus_config(line.port, meter_config(1, "pro380-mb"), **options))
        with pytest.raises(GarbledError, match=message):
            bus.request(Place(1))
        bus.close()


def test_several_telegrams_of_one_answer_are_put_together() -> None:
    parts = {True: PRO380_RECORDS[:6] + b"\x1f", False: PRO380_RECORDS[6:]}

    def meter(request: bytes) -> list[bytes | float]:
        if request[1] == frames.SND_NKE:
            return [b"\xe5"]
        return [answer(PRO380_HEADER + parts[bool(request[1] & frames.FRAME_COUNT_BIT)], 1)]

    with scripted(meter) as line:
        bus = MbusBus(bus_config(line.port, meter_config(1, "pro380-mb"), **SPEED))
        assert len(bus.request(Place(1)).records) == 9
        bus.close()


def test_a_meter_of_another_table_or_maker_gives_no_value() -> None:
    with a_line(virtual("ambition-2pu-mb")) as setup:
        reader = setup.reader(meter_config(1, "pro380-mb"))
        reading = reader.read(Job.SLOW, NOW_MS)
        assert not reading.values
        assert 'model = "ambition-2pu-mb"' in str(reader.wrong_model)
    foreign = answer(b"\0\0\0\0" + b"\x24\x40\x01\x02\x01\0\0\0" + PRO380_RECORDS, 1)
    with scripted(lambda r: [b"\xe5" if r[1] == frames.SND_NKE else foreign]) as line:
        bus = MbusBus(bus_config(line.port, meter_config(1, "pro380-mb"), **SPEED))
        config = meter_config(1, "pro380-mb")
        strange = MbusReader(bus, config, load("pro380-mb"), lambda: NOW_MS)
        assert not strange.read(Job.SLOW, NOW_MS).values
        assert "a meter of PAD" in str(strange.wrong_model)
        config = meter_config(1, "pro380-mb", accept_model=True)  # sold under a label of its own
        taken = MbusReader(bus, config, load("pro380-mb"), lambda: NOW_MS)
        assert taken.read(Job.SLOW, NOW_MS).values
        assert not taken.wrong_model
        bus.close()


def test_a_swapped_meter_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = StateStore(tmp_path)
    meter = virtual("pro380-mb", serial="22091039")
    with a_line(meter) as setup:
        config = meter_config(1, "pro380-mb")
        read_all(setup.reader(config, states=store))
        assert (known := store.load("m1")) is not None
        assert known.serial == "22091039"
        meter.settings["serial"] = "22091040"
        setup.now = 100.0
        read_all(setup.reader(config, states=store))
    assert "another meter: serial number 22091040, it was 22091039" in caplog.text


def test_values_by_phase_are_probed_and_off_without_the_option() -> None:
    meter = virtual("pro380-mb")
    with a_line(meter) as setup:
        read_all(setup.reader(meter_config(1, "pro380-mb")))
        assert not setup.line.requests[1, frames.SND_UD, 0, 0], "nothing but reading"
        setup.now = 100.0
        reader = setup.reader(meter_config(1, "pro380-mb+phase_values"))
        fast = reader.read(Job.FAST, NOW_MS + 100_000)
        keys = {f"{field}/L{n}" for field in ("voltage", "current", "active_power") for n in (1, 2)}
        assert keys <= set(map(str, fast.values))
        assert setup.line.requests[1, frames.SND_UD, 0, 0] == 2
        assert len(reader.read(Job.SLOW, NOW_MS + 100_000).values) == 12


def test_a_meter_without_values_by_phase_is_asked_for_them_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    meter = virtual("pro380-mb")
    meter.answers_phases = False
    with a_line(meter) as setup:
        reader = setup.reader(meter_config(1, "pro380-mb+phase_values"))
        for turn in range(3):
            setup.now = 100.0 * turn
            assert reader.read(Job.SLOW, NOW_MS + 100_000 * turn).values
        assert setup.line.requests[1, frames.SND_UD, 0, 0] == 2
    assert "no values by phase" in caplog.text
    assert Quantity("voltage", "L1") in reader.left_out


def test_the_scale_of_every_row_is_the_manuals() -> None:
    """Counts of the virtual meter are whole: a wrong scale would show in its digits."""
    for model in MODELS:
        for row in virtual(model).rows():
            assert row.header not in HEADER_FIELDS
            assert row.scale in (None, Decimal("0.01"), Decimal("0.001"))
