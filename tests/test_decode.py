"""Decoding is exact to the last bit."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logger.models import Encoding
from logger.models.decode import decode, shortest

_POWERS = [struct.unpack(">I", struct.pack(">f", 2.0**n))[0] for n in range(-149, 128)]


def _words(bits: int) -> list[int]:
    return [bits >> 16, bits & 0xFFFF]


def _numpy_shortest(bits: int) -> Decimal:
    value = np.array([bits], dtype=">u4").view(">f4")[0]
    return Decimal(np.format_float_scientific(value, unique=True, trim="-"))


@given(st.integers(0, 0xFFFFFFFF))
@example(0x3F9DF3B6)  # 1.234
@example(0x00000001)  # the smallest subnormal
@example(0x007FFFFF)  # the largest subnormal
@example(0x7F7FFFFF)  # the largest float
@example(0x4B7FFFFF)
@example(0x80000001)
def test_float32_is_its_shortest_decimal(bits: int) -> None:
    number = struct.unpack(">f", bits.to_bytes(4, "big"))[0]
    if not math.isfinite(number):
        with pytest.raises(ValueError, match="not a number"):
            decode(Encoding.FLOAT32, _words(bits))
        return
    value = decode(Encoding.FLOAT32, _words(bits))
    assert isinstance(value, Decimal)
    assert np.float32(str(value)) == np.float32(number)
    digits = len(value.normalize().as_tuple().digits)
    assert digits == len(_numpy_shortest(bits).normalize().as_tuple().digits)
    if number:
        assert value == _numpy_shortest(bits)


@pytest.mark.parametrize("bits", _POWERS)
@pytest.mark.parametrize("step", [-1, 0, 1])
def test_powers_of_two_and_their_neighbours(bits: int, step: int) -> None:
    if bits + step > 0:
        for sign in (0, 0x80000000):
            pattern = sign | bits + step
            assert decode(Encoding.FLOAT32, _words(pattern)) == _numpy_shortest(pattern)


def test_zero_has_no_sign() -> None:
    assert str(decode(Encoding.FLOAT32, [0, 0])) == "0"
    assert str(decode(Encoding.FLOAT32, [0x8000, 0])) == "0"


@given(st.integers(-(2**31), 2**31 - 1))
def test_integers_are_signed_high_word_first(number: int) -> None:
    raw = number.to_bytes(4, "big", signed=True)
    words = [int.from_bytes(raw[:2], "big"), int.from_bytes(raw[2:], "big")]
    assert decode(Encoding.INT32, words) == number
    if -(2**15) <= number < 2**15:
        assert decode(Encoding.INT16, words[1:]) == number


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=4))
def test_hex_digits_are_the_printed_ones(words: list[int]) -> None:
    assert decode(Encoding.HEX, words) == "".join(f"{word:04X}" for word in words)


def test_samples_of_the_manuals() -> None:
    assert decode(Encoding.HEX, [0x2209, 0x1039]) == "22091039"
    assert decode(Encoding.HEX, [0x9995, 0x0005]) == "99950005"
    assert decode(Encoding.FLOAT32, [0x4120, 0x0000]) == Decimal(10)
    assert decode(Encoding.ASCII, [0x3146]) == "1F"
    assert decode(Encoding.ASCII, [0x3252, 0x0000]) == "2R"


@pytest.mark.parametrize("words", [[0x0102], [0xFFFE], [0x31FF]])
def test_what_is_no_text_is_refused(words: list[int]) -> None:
    with pytest.raises(ValueError, match="not text"):
        decode(Encoding.ASCII, words)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_meter_measures_nan(number: float) -> None:
    with pytest.raises(ValueError, match="not a number"):
        shortest(number)
