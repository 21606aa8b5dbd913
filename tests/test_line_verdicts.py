"""What is said of a gateway whose answers do not fit, so that it is not taken for silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from logger.bus import Bus
from logger.bus.frames import crc16
from logger.domain.errors import BusError, GarbledError, SilentError
from logger.models.plan import Block
from tests.gateways import refused
from tests.lines import ScriptedLine, bus_config, honest

BLOCK = Block(0x5000, 4)


def _counts_two_bytes_more(request: bytes) -> bytes:
    """An RTU answer whose byte count is two too high, under a right checksum."""
    answer = honest(request)
    body = answer[:2] + bytes((answer[2] + 2,)) + answer[3:-2]
    return body + crc16(body)


def _numbers_anew(request: bytes) -> bytes:
    """An answer in Modbus TCP whose transaction identifier is 0."""
    body = honest(request[6:] + crc16(request[6:]))[:-2]
    return bytes(4) + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    ("scheme", "answer", "kind", "said"),
    [
        ("socket", _counts_two_bytes_more, GarbledError, "cannot be believed"),
        ("tcp", _numbers_anew, SilentError, "other transaction identifiers"),
        ("socket", lambda request: refused(request, 11), SilentError, "how long it waits"),
    ],
)
def test_a_gateway_whose_answers_do_not_fit_is_not_just_silent(
    scheme: str, answer: Callable[[bytes], bytes], kind: type[BusError], said: str
) -> None:
    with ScriptedLine(lambda request: [answer(request)]) as line:
        bus = Bus(bus_config(f"{scheme}://127.0.0.1:{line.port}", timeout=2.0))
        with pytest.raises(kind) as caught:
            bus.read(1, BLOCK)
        bus.close()
    assert said in str(caught.value)
    assert "is the meter powered, its address" not in str(caught.value)
