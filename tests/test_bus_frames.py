"""Finding answers among bytes: whatever the line does, never a wrong one."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from logger.bus.frames import Unsolicited, crc16, search, unsolicited
from logger.bus.late import LATE_AT_MOST_S, LateAnswers
from logger.models.plan import Block
from tests.lines import answer_to, honest, seal

READ_48 = seal(0x01, 0x03, 0x50, 0x02, 0x00, 0x30)
WRITE = seal(0x01, 0x06, 0x40, 0x03, 0x00, 0x0A)
SIZE = 5 + 2 * 48


def test_sample_frames_of_the_manuals() -> None:
    assert seal(0x01, 0x06, 0x40, 0x03, 0x00, 0x0A)[-2:] == crc16(bytes.fromhex("01064003000A"))
    assert crc16(b"123456789") == bytes((0x37, 0x4B))  # the check value of CRC-16/MODBUS


@given(st.binary(max_size=260))
def test_checksum_equals_that_of_another_implementation(data: bytes) -> None:
    assert int.from_bytes(crc16(data), "big") == FramerRTU.compute_CRC(data)


_FRAME = honest(READ_48)


def _flips(draw: st.DrawFn, frame: bytes) -> bytes:
    wrong = bytearray(frame)
    for _ in range(draw(st.integers(1, 3))):
        wrong[draw(st.integers(0, len(frame) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(wrong)


def _zeros(draw: st.DrawFn, frame: bytes) -> bytes:
    place = draw(st.integers(0, len(frame)))
    return frame[:place] + bytes(draw(st.integers(1, 3))) + frame[place:]


def _drops(draw: st.DrawFn, frame: bytes) -> bytes:
    place = draw(st.integers(0, len(frame) - 1))
    return frame[:place] + frame[place + draw(st.integers(1, 4)) :]


def _before(draw: st.DrawFn, frame: bytes) -> bytes:
    address, count = draw(st.sampled_from([(1, 75), (1, 2), (2, 48), (9, 32)]))
    other = seal(address, 3, 0x60, 0, 0, count)
    return honest(other, salt=address) + frame


def _echo(draw: st.DrawFn, frame: bytes) -> bytes:
    return READ_48 + frame


def _noise(draw: st.DrawFn, frame: bytes) -> bytes:
    return draw(st.binary(max_size=12)) + frame + draw(st.binary(max_size=12))


def _cut(draw: st.DrawFn, frame: bytes) -> bytes:
    return frame[: draw(st.integers(0, len(frame)))]


_FAULTS: list[Callable[[st.DrawFn, bytes], bytes]] = [
    _flips,
    _zeros,
    _drops,
    _before,
    _echo,
    _noise,
    _cut,
]


@st.composite
def _heard(draw: st.DrawFn) -> bytes:
    frame = _FRAME
    for fault in draw(st.lists(st.sampled_from(_FAULTS), max_size=3)):
        if frame:
            frame = fault(draw, frame)
    return frame


@settings(max_examples=600, derandomize=True, deadline=None)
@given(_heard(), st.sampled_from([None, True, False]))
def test_never_anything_but_the_answer(heard: bytes, echo: bool | None) -> None:
    found = search(READ_48, SIZE, heard, echo)
    if found.frame:
        assert found.frame == _FRAME or (found.frame[1] == 0x83 and len(found.frame) == 5)
    else:
        assert _FRAME not in heard or heard.index(_FRAME) > 0


@given(st.integers(0, 3), st.lists(st.sampled_from([(1, 75), (2, 48), (7, 3)]), max_size=3))
def test_echo_and_late_answers_are_skipped(zeros: int, late: list[tuple[int, int]]) -> None:
    others = b"".join(honest(seal(a, 3, 0x60, 0, 0, n), salt=a) for a, n in late)
    found = search(READ_48, SIZE, bytes(zeros) + READ_48 + others + _FRAME)
    assert found.frame == _FRAME
    assert found.echoes == 1
    assert found.junk == zeros
    assert found.unsolicited == tuple(Unsolicited(address, count) for address, count in late)
    assert unsolicited(others) == found.unsolicited


def test_every_beginning_tells_how_much_is_missing() -> None:
    for end in range(3, SIZE):
        found = search(READ_48, SIZE, _FRAME[:end])
        assert not found.frame
        assert found.missing == SIZE - end


def test_a_refusal_is_an_answer() -> None:
    refusal = seal(0x01, 0x83, 0x02)
    assert search(READ_48, SIZE, refusal).frame == refusal
    assert search(READ_48, SIZE, refusal[:3]).missing == 2


def test_an_answer_that_begins_like_the_request_is_no_echo() -> None:
    """0x4000 x 32: the address' high byte 0x40 is also the answer's byte count."""
    request = seal(0x01, 0x03, 0x40, 0x00, 0x00, 0x20)
    words = [0x0000, int.from_bytes(request[5:7], "big"), request[7] << 8 | 0x03]
    answer = answer_to(request, words + [number * 3 for number in range(29)])
    assert answer.startswith(request)
    assert search(request, 69, answer).frame == answer
    both = search(request, 69, request + answer)
    assert both.frame == answer
    assert both.echoes == 1


def test_the_answer_to_a_write_equals_its_echo() -> None:
    assert search(WRITE, 8, WRITE, echo=False).frame == WRITE
    assert not search(WRITE, 8, WRITE, echo=True).frame
    assert search(WRITE, 8, WRITE + WRITE, echo=True).frame == WRITE
    unknown = search(WRITE, 8, WRITE)
    assert (unknown.frame, unknown.missing) == (WRITE, 8)
    twice = search(WRITE, 8, WRITE + WRITE)
    assert (twice.frame, twice.echoes, twice.missing) == (WRITE, 1, 0)


def test_a_write_of_many_is_answered_in_short() -> None:
    request = seal(0x01, 0x10, 0x40, 0x0D, 0x00, 0x02, 0x04, 0x41, 0x20, 0x00, 0x00)
    answer = seal(0x01, 0x10, 0x40, 0x0D, 0x00, 0x02)
    assert search(request, 8, answer).frame == answer
    assert search(request, 8, request + answer).frame == answer
    assert not search(request, 8, seal(0x01, 0x10, 0x40, 0x0F, 0x00, 0x02)).frame


def test_doubt_lasts_until_question_and_answer_match() -> None:
    late = LateAnswers()
    late.failed(48, now=0.0)
    assert late.unsure
    assert late.ambiguous(48, now=1.0)
    assert not late.ambiguous(2, now=1.0)
    late.late(75)
    assert late.ambiguous(48, now=1.0)
    late.late(48)
    assert not late.ambiguous(48, now=1.0)
    late.failed(2, now=1.0)
    assert not late.ambiguous(2, now=1.0 + LATE_AT_MOST_S)
    assert late.unsure
    late.resynchronised()
    assert not late.unsure


def test_the_safest_probe_is_one_whose_length_is_not_open() -> None:
    late = LateAnswers()
    probes = [Block(0x4000, 2), Block(0x4000, 3), Block(0x4000, 4)]
    assert late.safest(probes, 0, now=0.0).count == 2
    late.failed(2, now=0.0)
    assert late.safest(probes, 0, now=0.1).count == 3
    assert late.safest(probes, 3, now=0.1).count == 4
    late.failed(3, now=0.1)
    late.failed(4, now=0.2)
    assert late.safest(probes, 0, now=0.3).count == 4
    assert late.safest(probes, 4, now=0.3).count == 3


def test_with_every_length_open_answers_end_the_doubt_however_fast_they_come() -> None:
    """After a burst of noise a meter that answers again is believed again: asked for the
    oldest length each time it never was, when it was asked more than once a second."""
    probes = [Block(0x4000, count) for count in (2, 3, 4, 5, 7)]
    late = LateAnswers()
    for probe in probes:
        late.failed(probe.count, now=0.0)
    asked = 0
    while late.ambiguous(count := late.safest(probes, 0, now=0.0).count, now=0.0):
        late.late(count)  # as the bus does with an answer that may be an old one
        late.failed(count, now=0.0)
        asked += 1
        assert asked < len(probes)
