"""Twenty clients on one line of 9600 baud: what they get is what the meters sent, and the log
misses no turn."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from logger.meter.session import MeterReader
from logger.models import Job, Register, load
from logger.models.plan import Block
from logger.simulate import VirtualClock, VirtualLine, virtual_site
from logger.simulate.served import Served
from tests.engines.process import program
from tests.running import wait_until
from tests.share_rig import NOON, Rig, bus, shared

MINUTES = float(os.environ.get("INEPRO_LOGGER_HAMMER_MINUTES", "60"))
MODELS = {1: "pro380", 2: "ambition-2pu-ct"}
FAST_S, SLOW_S, IDENTITY_S = 2.0, 10.0, 60.0
# As without max_age and counters_max_age: two intervals.
AGES = {Job.FAST: 2 * FAST_S, Job.SLOW: 2 * SLOW_S, Job.IDENTITY: 2 * IDENTITY_S,
        Job.REQUEST: 2 * FAST_S}  # fmt: skip
BUSY, NO_ANSWER, FORBIDDEN = 6, 0x0B, 1
Words = tuple[int, ...]
Moments = dict[tuple[int, int, Words], list[float]]


@dataclass
class Got:
    """What a client got: between asking (`since`) and the answer (`until`), monotonic."""

    unit: int
    register: Register
    words: Words
    since: float
    until: float


@dataclass
class Books:
    """What the meters sent, when the logger had it, and what clients were told."""

    # By unit and first register of the answer: what the meter sent, in order.
    sent: list[tuple[float, int, Block, Words]] = field(default_factory=list)
    # The moment by which the logger reckons the age of an answer.
    kept: list[tuple[float, int, Block, Words]] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    # Exceptions: the line had no time, or the meter took longer than a question may (which is
    # what a virtual meter does when its machine is busy).
    refused: Counter[int] = field(default_factory=Counter)
    written: list[int] = field(default_factory=list)

    def served(self, one: Served) -> None:
        if one.request[0] in (3, 4) and one.answer[0] == one.request[0]:
            block = Block(*(int.from_bytes(one.request[at : at + 2], "big") for at in (1, 3)))
            data = one.answer[2:]
            raw = tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
            self.sent.append((time.monotonic(), one.address, block, raw))


def of_register(register: Register, block: Block, raw: Sequence[int]) -> Words | None:
    start = register.address - block.address
    if not block.holds(register):
        return None
    return tuple(raw[start : start + register.length])


def told_of_kept(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the books hear what the logger keeps for its clients, and with which moment."""
    tell = MeterReader.tell

    def both(reader: MeterReader, heard: Callable[[Block, Sequence[int], float], None]) -> None:
        def keep(block: Block, raw: Sequence[int], at: float) -> None:
            books.kept.append((at, reader.meter.address, block, tuple(raw)))
            heard(block, raw, at)

        tell(reader, keep)

    monkeypatch.setattr(MeterReader, "tell", both)


WANTED = [(unit, register) for unit, model in MODELS.items() for register in load(model).registers]


def asks_with_pymodbus(
    rig: Rig, books: Books, number: int, stop: threading.Event, rest_s: float
) -> None:
    with rig.client(rtu=number % 2 == 1) as client:
        turn = 0
        while not stop.is_set():
            unit, register = WANTED[(turn * 7 + number * 13) % len(WANTED)]
            since = time.monotonic()
            read = client.read_holding_registers if turn % 3 else client.read_input_registers
            answer = read(register.address, count=register.length, device_id=unit)
            if answer.isError():
                assert answer.exception_code in (BUSY, NO_ANSWER), answer.exception_code
                books.refused[answer.exception_code] += 1
            else:
                raw = tuple(answer.registers)
                books.got.append(Got(unit, register, raw, since, time.monotonic()))
            turn += 1
            stop.wait(rest_s)


def asks_with_mbpoll(
    rig: Rig, books: Books, number: int, stop: threading.Event, rest_s: float
) -> None:
    mbpoll = program("mbpoll", "mbpoll")
    turn = 0
    while not stop.is_set():
        unit, register = WANTED[(turn * 7 + number * 13) % len(WANTED)]
        since = time.monotonic()
        done = subprocess.run(
            [mbpoll, "-m", "tcp", "-p", str(rig.tcp), "-0", "-1", "-a", str(unit), "-r",
             str(register.address), "-c", str(register.length), "-t", "4:hex", "-o", "10",
             "127.0.0.1"],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        found = re.findall(r"^\[\d+\]:\s+0x([0-9A-F]{4})", done.stdout, re.MULTILINE)
        if done.returncode:
            code = BUSY if "busy" in done.stderr else NO_ANSWER
            assert code == BUSY or "failed to respond" in done.stderr, done.stderr
            books.refused[code] += 1
        else:
            raw = tuple(int(one, 16) for one in found)
            books.got.append(Got(unit, register, raw, since, time.monotonic()))
        turn += 1
        stop.wait(10 * rest_s)


def writes(rig: Rig, books: Books, stop: threading.Event, rest_s: float) -> None:
    """Try for ever to change the cycle time of the display, which nobody may."""
    with rig.client() as client:
        while not stop.is_set():
            done = client.write_register(0x4010, 0x0012, device_id=1)
            books.written.append(done.exception_code)
            stop.wait(10 * rest_s)


def hammer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, rounds: int, rest_s: float
) -> tuple[Books, Rig]:
    """Let 20 clients and one that writes ask until the log had `rounds` more turns of each
    meter, and judge what they got and what the log has."""
    books = Books()
    meters = [
        virtual_site(7 + unit, start=NOON, meters={unit: "grid"}, model=model).meters[0]
        for unit, model in MODELS.items()
    ]
    line = VirtualLine(meters, clock=VirtualClock(NOON), paced=True, on_served=books.served)
    told_of_kept(books, monkeypatch)
    own = [{"name": f"m{unit}", "model": model, "address": unit} for unit, model in MODELS.items()]
    buses = [bus("line", f"socket://127.0.0.1:{line.start_tcp()}", own, baudrate=9600, timeout=0.5)]
    share = {"max_age": AGES[Job.FAST], "counters_max_age": AGES[Job.SLOW], "line_share": 0.3}
    intervals = {"fast": FAST_S, "slow": SLOW_S, "identity": IDENTITY_S}
    failed: list[BaseException] = []
    stop = threading.Event()

    def guarded(client: Callable[..., None], *arguments: object) -> None:
        try:
            client(*arguments)
        except BaseException as err:  # noqa: BLE001 - it fails the test below
            failed.append(err)

    with ExitStack() as stack:
        rig = stack.enter_context(shared(tmp_path, buses, share, [line], intervals))
        rig.read_all()
        begun = len(rig.readings)

        def turns(meter: str) -> list[int]:
            later = list(rig.readings)[begun:]
            return [one.round_ms for one in later if (one.meter, one.job) == (meter, "fast")]

        clients: list[tuple[object, ...]] = [
            (asks_with_pymodbus if number < 14 else asks_with_mbpoll, rig, books, number, stop,
             rest_s)
            for number in range(20)
        ]  # fmt: skip
        clients.append((writes, rig, books, stop, rest_s))
        threads = [threading.Thread(target=guarded, args=one) for one in clients]
        for thread in threads:
            thread.start()
        try:
            first_ms = rig.readings[-1].round_ms
            until_ms = first_ms + (rounds + 2) * FAST_S * 1000
            wait_until(
                lambda: failed or rig.readings[-1].round_ms >= until_ms, rounds * FAST_S + 600
            )
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        missed = {task.name: task.missed for task in rig.app.schedule.tasks}
        due = {meter: turns(meter) for meter in ("m1", "m2")}
    assert not failed
    assert not any(missed.values()), missed
    for meter, found in due.items():
        steps = {later - earlier for earlier, later in pairwise(found)}
        assert steps == {round(FAST_S * 1000)}, (meter, steps)
        assert len(found) >= rounds
    assert set(books.written) == {FORBIDDEN}
    assert not [key for key in line.requests if key[1] not in (3, 4)]
    return books, rig


def moments(source: Sequence[tuple[float, int, Block, Words]]) -> Moments:
    """Return when which words of a register came, in order."""
    found: Moments = defaultdict(list)
    for at, unit, block, raw in source:
        for register in load(MODELS[unit]).registers:
            if (own := of_register(register, block, raw)) is not None:
                found[unit, register.address, own].append(at)
    return found


def judge(books: Books) -> str:
    """Assert that everything that clients got was sent by the meter, and is young enough;
    return what there was to see."""
    sent, kept = moments(books.sent), moments(books.kept)
    oldest: dict[Job, float] = defaultdict(float)
    for one in books.got:
        key, what = (one.unit, one.register.address, one.words), (one.unit, one.register.name)
        before = bisect_right(sent[key], one.until)
        assert before, f"{what}: {one.words} was never sent"
        known = bisect_right(kept[key], one.until)
        assert known, f"{what}: {one.words} was never kept"
        age_s = one.since - kept[key][known - 1]
        assert age_s <= AGES[one.register.job], f"{what} is {age_s} s old"
        job = one.register.job
        oldest[job] = max(oldest[job], one.since - sent[key][before - 1])
    ages = ", ".join(f"{job} {age_s:.2f} s" for job, age_s in sorted(oldest.items()))
    return f"the oldest by the meters' own log: {ages}"


def one_question_for_all(books: Books) -> int:
    """Assert that what only clients want was asked for again no sooner than it was too old for
    them, however many they are; return how often it was asked for."""
    asked = 0
    for unit, model in MODELS.items():
        for register in load(model).registers:
            if register.job is Job.REQUEST:
                own = Block(register.address, register.length)
                came = [
                    at for at, address, block, _ in books.kept if (address, block) == (unit, own)
                ]
                asked += len(came)
                assert all(
                    later - earlier > AGES[Job.REQUEST] for earlier, later in pairwise(came)
                ), (unit, register.name)
    return asked


def test_twenty_clients_and_the_log_misses_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Clients, meters and logger are one process here: the rest is long enough for a busy machine.
    books, _ = hammer(tmp_path, monkeypatch, rounds=3, rest_s=0.2)
    judge(books)
    assert one_question_for_all(books) > 0
    assert {one.register.job for one in books.got} >= {Job.FAST, Job.SLOW, Job.REQUEST}


@pytest.mark.long
def test_twenty_clients_for_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """INEPRO_LOGGER_HAMMER_MINUTES says another time."""
    rounds = round(MINUTES * 60 / FAST_S)
    books, rig = hammer(tmp_path, monkeypatch, rounds=rounds, rest_s=0.01)
    told = judge(books)
    asked = one_question_for_all(books)
    print(
        f"{MINUTES:g} minutes: {len(books.got)} answers, {books.refused[BUSY]} times busy, "
        f"{books.refused[NO_ANSWER]} times no answer, {told}; {len(books.sent)} answers of the "
        f"meters, {asked} of them for clients alone; {len(books.written)} writes refused; "
        f"{len(rig.readings)} readings"
    )
