"""Every quirk by name: what it does to a master, and that it does no more."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from logger.domain.errors import LoggerError, SimulationError
from logger.models import Job, Model, load, load_file
from logger.simulate import (
    QUIRKS,
    Quirk,
    VirtualLine,
    VirtualSite,
    quirks_named,
    virtual_site,
)
from logger.simulate.frame import crc16, seal
from tests.test_simulate_line import connect, read_frame, receive

NOON = datetime(2026, 6, 18, 11, 40, tzinfo=UTC).timestamp()
# A read of one register, answered in 7 bytes: it shows that what was before is over.
MARK, MARK_BYTES = (0x4003, 1), 7


@contextmanager
def a_line(
    *names: str, seed: int = 1, model: str | Model = "pro380"
) -> Iterator[tuple[VirtualLine, socket.socket, VirtualSite]]:
    site = virtual_site(7, start=NOON, model=model)
    quirks = quirks_named(names, seed)
    with (
        VirtualLine(site.meters, clock=lambda: NOON, paced=False, quirks=quirks) as line,
        closing(connect(line.start_tcp())) as master,
    ):
        yield line, master, site


def good(site: VirtualSite, first: int, count: int, address: int = 1) -> bytes:
    data = site.meter(address).read_bytes(first, count, NOON)
    return seal(address, bytes((3, len(data))) + data)


def whole(frame: bytes) -> bool:
    return crc16(frame[:-2]) == frame[-2:]


def answers(
    master: socket.socket, site: VirtualSite, first: int, count: int, address: int = 1
) -> bytes:
    """Return the bytes that come for a read, up to the answer of the meter at 2."""
    master.sendall(read_frame(address, first, count) + read_frame(2, *MARK))
    end, got = good(site, *MARK, address=2), b""
    while not got.endswith(end):
        got += receive(master, 1)
    return got[: -len(end)]


def test_a_long_block_fails_silently_and_its_parts_work() -> None:
    with a_line("no-long-block-502a@1") as (_, master, site):
        for first, count in ((0x502A, 8), (0x5002, 48), (0x5000, 50), (0x5028, 10)):
            assert answers(master, site, first, count) == b""
        for first, count in ((0x502A, 2), (0x502C, 6), (0x5002, 40), (0x5002, 47), (0x6000, 75)):
            assert answers(master, site, first, count) == good(site, first, count)


def test_blocks_with_gaps_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gappy.toml"
    rows = "\n".join(
        f'{{ address = {address}, length = 2, type = "float32", unit = "V", job = "fast", '
        f'field = "voltage", phase = "L{number}", name = "L{number}" }},'
        for number, address in ((1, 16), (2, 18), (3, 24))
    )
    path.write_text(
        f'model = "gappy"\ntitle = "t"\nmanual = "m"\n[registers]\nrows = [\n{rows}\n]\n'
    )
    site = virtual_site(7, start=NOON, model=load_file(path), meters={1: "grid"})
    (quirk,) = quirks_named(["refuse-gaps"])
    meter = site.meter(1)
    verdicts = {
        block: quirk.refuses(meter, struct.pack(">BHH", 3, *block))
        for block in ((16, 2), (16, 4), (24, 2), (16, 10), (18, 3), (20, 4))
    }
    assert verdicts == {
        (16, 2): None,
        (16, 4): None,
        (24, 2): None,
        (16, 10): 2,
        (18, 3): 2,
        (20, 4): 2,
    }
    assert quirk.refuses(meter, struct.pack(">BHH", 6, 20, 0)) is None


def test_registers_of_the_pro1_are_refused() -> None:
    with a_line("refuse-pro1@1") as (_, master, site):
        refused = seal(1, b"\x83\x02")
        for first, count in ((0x5000, 2), (0x500A, 2), (0x4015, 1), (0x5002, 48), (0x4000, 32)):
            assert answers(master, site, first, count) == refused
        for first, count in ((0x5002, 8), (0x500C, 38), (0x4000, 21), (0x4016, 10)):
            assert answers(master, site, first, count) == good(site, first, count)


def test_an_echo_comes_before_the_answer() -> None:
    with a_line("echo") as (_, master, site):
        master.sendall(read_frame(9, 0x5002, 48) + read_frame(1, 0x5002, 48))
        echoes = read_frame(9, 0x5002, 48) + read_frame(1, 0x5002, 48)
        assert receive(master, 16 + 101) == echoes + good(site, 0x5002, 48)


@pytest.mark.parametrize("name", ["zero-bytes", "drop-bytes", "flip-bits", "wrong-address"])
def test_noise_spoils_some_answers_and_spares_others(name: str) -> None:
    with a_line(f"{name}@1") as (_, master, site):
        right = good(site, 0x5002, 48)
        seen = [answers(master, site, 0x5002, 48) for _ in range(60)]
        spoiled = [frame for frame in seen if frame != right]
        assert 5 < len(spoiled) < 40
        for frame in spoiled:
            if name == "zero-bytes":
                assert len(frame) > len(right)
                assert frame.replace(b"\0", b"") == right.replace(b"\0", b"")
            elif name == "drop-bytes":
                assert len(frame) < len(right)
            elif name == "flip-bits":
                assert len(frame) == len(right)
            else:
                assert whole(frame)
                assert frame[0] == 2
                assert frame[1:-2] == right[1:-2]


def test_the_same_seed_meets_the_same_noise() -> None:
    def seen(seed: int) -> list[bytes]:
        with a_line("flip-bits@1", seed=seed) as (_, master, site):
            return [answers(master, site, 0x5002, 48) for _ in range(20)]

    assert seen(5) == seen(5)
    assert seen(5) != seen(6)


def test_split_frames_hold_all_bytes() -> None:
    with a_line("split-frames") as (_, master, site):
        for _ in range(3):
            master.sendall(read_frame(1, 0x6000, 75))
            assert receive(master, 155) == good(site, 0x6000, 75)


def test_split_frames_are_really_split() -> None:
    (quirk,) = quirks_named(["split-frames"])
    frame = bytes(range(101))
    pieces = quirk.spoiled(frame)
    assert b"".join(part for _, part in pieces) == frame
    assert len(pieces) > 3
    assert any(pause > 0 for pause, _ in pieces)


def test_a_late_answer_comes_with_the_next_request() -> None:
    with a_line("late-answer@1") as (_, master, site):
        master.sendall(read_frame(1, 0x5002, 48) + read_frame(1, 0x6000, 75))
        assert receive(master, 101) == good(site, 0x5002, 48)
        # The next request is for the other meter: the late answer gets in its way.
        master.sendall(read_frame(2, *MARK))
        assert receive(master, 155 + MARK_BYTES) == (
            good(site, 0x6000, 75) + good(site, *MARK, address=2)
        )
        master.sendall(read_frame(2, *MARK))  # once is enough
        assert receive(master, MARK_BYTES) == good(site, *MARK, address=2)


def test_babble_never_ends_but_answers_are_in_it() -> None:
    with a_line("babble") as (line, master, site):
        noise = receive(master, 500)
        assert len(set(noise)) > 100
        right, got = good(site, 0x5002, 48), b""
        master.sendall(read_frame(1, 0x5002, 48))
        while right not in got:
            got += receive(master, 1)
        line.set_quirks([])
        mark, got = good(site, *MARK), b""
        master.sendall(read_frame(1, *MARK))
        while not got.endswith(mark):
            got += receive(master, 1)
        master.sendall(read_frame(1, *MARK))  # the noise is over
        assert receive(master, MARK_BYTES) == mark


def test_dead_is_dead_and_its_neighbour_is_not() -> None:
    with a_line("dead@1") as (_, master, site):
        for first, count in ((0x5002, 48), (0x4000, 1)):
            assert answers(master, site, first, count) == b""


def test_a_slow_meter_takes_its_time() -> None:
    with a_line("slow") as (_, master, site):
        began = time.monotonic()
        master.sendall(read_frame(1, *MARK))
        assert receive(master, MARK_BYTES) == good(site, *MARK)
        assert time.monotonic() - began >= 0.3  # at least: the machine may add its own


def test_it_dies_after_twenty_answers() -> None:
    with a_line("dies-after@1") as (_, master, site):
        seen = [answers(master, site, *MARK) for _ in range(25)]
        assert seen == [good(site, *MARK)] * 20 + [b""] * 5


def test_a_counter_reads_zero_once() -> None:
    with a_line("glitch-zero@1") as (_, master, site):
        right = good(site, 0x6000, 75)
        seen = [answers(master, site, 0x6000, 75) for _ in range(12)]
        (odd,) = [frame for frame in seen if frame != right]
        assert whole(odd)
        start = 3 + 2 * (0x600C - 0x6000)
        assert odd[start : start + 4] == bytes(4)
        assert odd[:start] + right[start : start + 4] + odd[start + 4 : -2] == right[:-2]


def test_an_integer_data_type_sends_no_floats() -> None:
    plain = virtual_site(7, start=NOON, model="ambition-2pu-ct", meters={1: "grid"}).meter(1)
    assert plain.read_words(0x4026, 1, NOON) == (1,)
    volts = plain.snapshot(NOON).voltage[0]
    with a_line("integer-data-type@1", model="ambition-2pu-ct") as (_, _, site):
        odd = site.meter(1)
        assert odd.read_words(0x4026, 1, NOON) == (2,)
        assert int.from_bytes(odd.read_bytes(0x5002, 2, NOON), "big") == round(volts * 1000)
        odd.answer(struct.pack(">BHH", 6, 0x4026, 1), NOON)  # and back again
        assert odd.read_bytes(0x5002, 2, NOON) == plain.read_bytes(0x5002, 2, NOON)


def test_a_ct_meter_without_its_ratio() -> None:
    with a_line("unset-ct@2") as (_, _, site):
        assert site.meter(2).read_words(0x4002, 1, NOON) == (0x0103,)
        assert site.meter(2).read_words(0x400B, 2, NOON) == (5, 0x0005)
        assert site.meter(1).read_words(0x400B, 2, NOON) == (100, 0x0005)


def test_old_firmware_knows_the_legacy_map_alone() -> None:
    with a_line("legacy-only@1") as (_, master, site):
        assert site.meter(1).model == load("pro380-legacy")
        assert answers(master, site, 0x4000, 2) == seal(1, b"\x83\x02")
        assert answers(master, site, 0x1000, 2) == seal(1, bytes.fromhex("030422091039"))
        for register in site.meter(1).model.of_job(Job.FAST):
            assert answers(master, site, register.address, register.length) == good(
                site, register.address, register.length
            )


def test_a_reversed_ct_turns_one_phase_round() -> None:
    plain = virtual_site(7, start=NOON).meter(1)
    before = plain.snapshot(NOON)
    with a_line("reversed-ct@1") as (_, _, site):
        odd = site.meter(1)
        now = odd.snapshot(NOON)
        for phase, sign in ((1, 1), (2, -1), (3, 1)):
            assert now.active_power(phase) == sign * before.active_power(phase)
            assert now.current(phase) == sign * before.current(phase)
            assert now.power_factor(phase) == before.power_factor(phase)
        directions = [(word & 0xFF) for word in odd.read_words(0x4012, 3, NOON)]
        assert bytes(directions) == b"RFR"
        started = odd.ledger.energy("active_import", 2), plain.ledger.energy("active_export", 2)
        for meter in (odd, plain):
            meter.books.advance(NOON + 3600)
        assert odd.ledger.energy("active_import", 2) - started[0] == pytest.approx(
            plain.ledger.energy("active_export", 2) - started[1]
        )


def test_quirks_can_be_combined_and_taken_away() -> None:
    with a_line("echo", "refuse-pro1", "wrong-address") as (line, master, site):
        for quirk in line.quirks:
            quirk.rate = 1.0
        master.sendall(read_frame(1, 0x5000, 2))
        assert receive(master, 8 + 5) == read_frame(1, 0x5000, 2) + seal(2, b"\x83\x02")
        line.set_quirks([])
        master.sendall(read_frame(1, 0x5000, 2))
        assert receive(master, 9) == good(site, 0x5000, 2)


def test_a_quirk_sets_a_meter_up_once() -> None:
    (turned,) = quirks_named(["reversed-ct@1"])
    with a_line() as (line, _, site):
        line.set_quirks([turned])
        line.set_quirks([turned])
        assert site.meter(1).ledger.gains == (1, -1, 1)
        assert site.meter(2).ledger.gains == (1, 1, 1)


def test_every_quirk_has_a_name_and_a_text() -> None:
    assert len(QUIRKS) == 22
    for name, kind in QUIRKS.items():
        assert kind.name == name
        assert kind.text
        assert isinstance(kind(), Quirk)


@pytest.mark.parametrize("text", ["deed", "dead@", "dead@0", "dead@248", "dead@x", ""])
def test_an_unknown_quirk_is_refused(text: str) -> None:
    with pytest.raises(SimulationError, match="quirk"):
        quirks_named([text])


def test_a_quirk_that_does_not_fit_the_model_is_refused() -> None:
    with pytest.raises(LoggerError, match="no data type register"):
        VirtualLine(virtual_site(7, start=NOON).meters, quirks=quirks_named(["integer-data-type"]))
