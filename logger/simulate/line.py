"""A virtual RS-485 line: several meters, one transaction at a time, at the line's pace.

A thread of its own serves every master that connects. With `paced` a request takes the
time its bytes need at the baud rate, the meter its answer delay, the answer its bytes'
time again, measured against fixed deadlines so that errors do not add up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType

from logger.domain.errors import SimulationError
from logger.simulate.channel import Channel, Everybody, PtyChannel, TcpChannel, listen
from logger.simulate.frame import (
    BROADCAST,
    SILENCE_CHARACTERS,
    FrameReader,
    Request,
    character_s,
    seal,
)
from logger.simulate.mbap import MbapChannel
from logger.simulate.meter import WRITE_MANY, WRITE_ONE, VirtualMeter
from logger.simulate.pacing import send_paced
from logger.simulate.quirk import Quirk
from logger.simulate.registers import parity_code
from logger.simulate.served import Served, what

log = logging.getLogger(__name__)

DEFAULT_DELAY_S = 0.02
_IDLE_S = 0.25
_BABBLE_S = 0.005
# A network is not a wire: pieces of one request may come this far apart.
_SILENCE_S = 0.02


class VirtualLine:
    """A line with `meters`. Start it on TCP, on a pty or on both; use it with `with`.

    `delay_s` is from the end of a request to the begin of its answer, 20 ms on a paced
    line unless given. `clock` gives virtual time (epoch seconds). `on_served` hears of
    every answer, on the line's thread. Raises SimulationError for what cannot be.
    """

    def __init__(
        self,
        meters: Iterable[VirtualMeter],
        *,
        clock: Callable[[], float] = time.time,
        baudrate: int = 9600,
        parity: str = "E",
        delay_s: float | None = None,
        paced: bool = True,
        quirks: Iterable[Quirk] = (),
        on_served: Callable[[Served], None] | None = None,
    ) -> None:
        parity_code(parity)
        if baudrate <= 0:
            raise SimulationError(f"baud rate {baudrate} is impossible")
        self.meters = tuple(meters)
        self._check_meters()
        for meter in self.meters:
            meter.join(baudrate, parity)
        # What the master's side is set to; a meter set otherwise hears only noise.
        self.baudrate = baudrate
        self.parity = parity
        self.requests: Counter[tuple[int, int, int, int]] = Counter()
        self.answered = 0
        self._clock = clock
        self._paced = paced
        self._delay_s = delay_s if delay_s is not None else DEFAULT_DELAY_S * paced
        self._on_served = on_served
        self._quirks: tuple[Quirk, ...] = ()
        self.set_quirks(quirks)
        self._selector = selectors.DefaultSelector()
        self._readers: dict[Channel, FrameReader] = {}
        self._listeners: list[socket.socket] = []
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread: threading.Thread | None = None
        self._free = 0.0  # when the last transaction ends, by `time.perf_counter`

    def _check_meters(self) -> None:
        """Raise SimulationError for meters that cannot share this line."""
        addresses = Counter(meter.address for meter in self.meters)
        if twice := [address for address, count in addresses.items() if count > 1]:
            raise SimulationError(f"two meters at address {twice[0]}")

    @property
    def quirks(self) -> tuple[Quirk, ...]:
        """The quirks in force."""
        return self._quirks

    def set_quirks(self, quirks: Iterable[Quirk]) -> None:
        """Replace the quirks, also while the line runs.

        What a quirk changed in a meter itself stays changed.
        """
        fresh = tuple(quirks)
        for quirk in fresh:
            if quirk not in self._quirks:
                for meter in self.meters:
                    if quirk.concerns(meter.address):
                        quirk.set_up(meter)
        self._quirks = fresh

    def start_tcp(self, host: str = "127.0.0.1", port: int = 0, *, mbap: bool = False) -> int:
        """Listen on TCP for RTU frames, or Modbus TCP, and return the port; 0 is any."""
        listener = listen(host, port)
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, (listener, mbap))
        self._start()
        return int(listener.getsockname()[1])

    def start_pty(self) -> str:
        """Open a pseudo-terminal and return the path that a master opens."""
        channel = PtyChannel()
        self._welcome(channel)
        self._start()
        return channel.path

    def stop(self) -> None:
        """End the thread, close every connection; a second time does nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        os.write(self._wake_write, b"x")
        if self._thread is not None:
            self._thread.join()
        for channel in list(self._readers):
            channel.close()
        for listener in self._listeners:
            listener.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def __enter__(self) -> VirtualLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="virtual-line", daemon=True)
            self._thread.start()
        else:
            os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while not self._stopping.is_set():
            ready = self._selector.select(self._patience())
            arrived = time.perf_counter()
            heard = False
            for key, _ in ready:
                if key.fileobj == self._wake_read:
                    os.read(self._wake_read, 1)
                elif isinstance(key.data, tuple):
                    self._accept(*key.data)
                else:
                    heard = True
                    self._hear(key.data, arrived)
            if not heard:
                self._idle(arrived)

    def _patience(self) -> float:
        if any(quirk.babbles for quirk in self._quirks):
            return _BABBLE_S
        if any(reader.waiting for reader in list(self._readers.values())):
            return max(_SILENCE_S, SILENCE_CHARACTERS * self._character_s)
        return _IDLE_S

    def _accept(self, listener: socket.socket, mbap: bool) -> None:
        with contextlib.suppress(OSError):  # gone again before it was accepted
            connection, peer = listener.accept()
            log.debug("master %s:%d connected", *peer[:2])
            self._welcome(MbapChannel(connection) if mbap else TcpChannel(connection))

    def _welcome(self, channel: Channel) -> None:
        self._readers[channel] = self._new_reader()
        self._selector.register(channel.fileno(), selectors.EVENT_READ, channel)

    def _new_reader(self) -> FrameReader:
        return FrameReader()

    def _hear(self, channel: Channel, arrived: float) -> None:
        data = channel.receive()
        if data is None:
            self._selector.unregister(channel.fileno())
            del self._readers[channel]
            channel.close()
            return
        for request in self._readers[channel].take(data):
            # Whoever comes while another transaction is on the line waits for its end.
            self._free = self._serve(channel, request, max(arrived, self._free))

    def _idle(self, now: float) -> None:
        for channel, reader in list(self._readers.items()):
            if reader.waiting:
                for request in reader.silence():
                    self._free = self._serve(channel, request, max(now, self._free))
            for quirk in self._quirks:
                if noise := quirk.noise():
                    channel.send(noise)
        for meter in self.meters:  # so that no later answer waits for the counting
            meter.books.advance(self._clock())

    @property
    def _character_s(self) -> float:
        return character_s(self.baudrate, self.parity) if self._paced else 0.0

    def _send(self, channel: Channel, data: bytes, begin: float) -> float:
        return send_paced(channel, data, begin, self._character_s, self._stopping)

    def _serve(self, channel: Channel, request: Request, arrived: float) -> float:
        """Answer `request` and return when the line is free again."""
        address, register, count = what(request)
        self.requests[address, request.pdu[0] if request.pdu else 0, register, count] += 1
        heard = arrived + len(request.raw) * self._character_s
        if any(quirk.echoes for quirk in self._quirks):
            self._send(channel, request.raw, arrived)
        others = [one for one in self._readers if one is not channel]
        if any(quirk.joins for quirk in self._quirks):
            self._send(Everybody(others), request.raw, arrived)
        if any(quirk.copies for quirk in self._quirks):
            channel = Everybody([channel, *others])
        overdue = b"".join(quirk.overdue() for quirk in self._quirks)
        begin = heard + self._delay_s
        if overdue:
            begin = self._send(channel, overdue, begin)
        if request.address == BROADCAST:
            self._broadcast(request)
            return heard
        for meter in self._listening(request.address):
            quirks = [quirk for quirk in self._quirks if quirk.concerns(meter.address)]
            answer = self._ask(meter, request, quirks)
            if answer is None:
                continue
            begin += sum(quirk.delay_s() for quirk in quirks)
            pieces = [(0.0, seal(request.address, answer))]
            for quirk in quirks:
                pieces = [
                    (pause + more, part)
                    for pause, whole in pieces
                    for more, part in quirk.spoiled(whole)
                ]
            for pause, part in pieces:
                begin = self._send(channel, part, begin + pause)
            return begin
        return heard

    def _ask(self, meter: VirtualMeter, request: Request, quirks: list[Quirk]) -> bytes | None:
        at = self._clock()
        if any(quirk.silences(request.pdu) for quirk in quirks):
            return None
        codes = [code for quirk in quirks if (code := quirk.refuses(meter, request.pdu))]
        if codes:
            answer = bytes((request.pdu[0] | 0x80, codes[0]))
        else:
            answer = meter.answer(request.pdu, at)
            for quirk in quirks:
                answer = quirk.replaced(meter, request.pdu, answer)
        self.answered += 1
        if self._on_served is not None:
            self._on_served(Served(at, request.address, request.pdu, answer))
        return answer

    def _broadcast(self, request: Request) -> None:
        writes = request.pdu[:1] in (bytes((WRITE_ONE,)), bytes((WRITE_MANY,)))
        for meter in self._listening(None) if writes else ():
            meter.answer(request.pdu, self._clock())

    def _listening(self, address: int | None) -> list[VirtualMeter]:
        at = self._clock()
        return [
            meter
            for meter in self.meters
            if address in (None, meter.address)
            and (meter.identity.baudrate, meter.identity.parity) == (self.baudrate, self.parity)
            and meter.answers(at)
        ]
