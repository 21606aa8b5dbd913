"""Another master on the line of a test: it asks its questions and nothing else."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import tty
from collections.abc import Sequence
from itertools import cycle
from types import TracebackType
from typing import Self

from logger.models.plan import Block
from tests.lines import seal

# A master at full speed asks the next question when the answer to the last one has come.
_LOST_S = 0.2


class SecondMaster:
    """Asks the meter at `address` for `blocks` in turn, on a TCP port or a pseudo-terminal.

    `pause_s` is the rest between two questions; 0 is full speed. `asked` counts them.
    """

    def __init__(
        self, place: int | str, blocks: Sequence[Block], address: int = 1, pause_s: float = 0.0
    ) -> None:
        self.asked = 0
        self._blocks = cycle(blocks)
        self._address = address
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        if isinstance(place, int):
            self._socket = socket.create_connection(("127.0.0.1", place))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._file = self._socket.fileno()
        else:
            self._file = os.open(place, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(self._file)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._socket is None:
            os.close(self._file)
        else:
            self._socket.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while not self._stop.is_set():
                block = next(self._blocks)
                question = block.address.to_bytes(2, "big") + block.count.to_bytes(2, "big")
                os.write(self._file, seal(self._address, 3, *question))
                self.asked += 1
                self._hear(block)
                if self._pause_s:
                    self._stop.wait(self._pause_s)

    def _hear(self, block: Block) -> None:
        """Wait for an answer that fits, whoever it is for."""
        head, heard = bytes((self._address, 3, 2 * block.count)), b""
        while not self._stop.is_set() and head not in heard:
            if not select.select([self._file], [], [], _LOST_S)[0]:
                return
            heard = (heard + os.read(self._file, 4096))[-4096:]
