"""The Modbus server: one thread for all clients, which never waits for a meter.

It is the project's own, on the frames that the bus has anyway, rather than pymodbus's server:
that one has an event loop and a store of registers of its own, knows no request that is
answered later without holding up the others, and lets nobody bound the clients, the answers
that are not taken and the log lines. What was left to a library would be the cutting of frames.
"""

from __future__ import annotations

import logging
import math
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from logger.config.share import ModbusShare
from logger.share.answers import Answers
from logger.share.demand import Demand
from logger.share.framing import GarbageError, Request
from logger.share.peer import Peer
from logger.share.place import Place, TcpChannel, place_of
from logger.share.units import Unit
from logger.share.writers import Writers
from logger.texts import one_line

log = logging.getLogger(__name__)

# So many connections; one more takes the place of the one that has said nothing for longest.
MOST_CLIENTS = 64
_AT_ONCE = 16
# A place that cannot be used is tried again so often, seconds.
_AGAIN_S = 10.0
_WAIT_S, _SOON_S = 0.5, 0.02
# The server rests for as long as it worked, up to this: the log has half of a core at least.
_REST_S = 0.01
_TOLD = 256  # so many different complaints are told; a client's own only once
_STOP_S = 2.0


class ModbusServer:
    """Answers other masters. `units` by their identifier; `demands` are what asks the lines.

    `make` is called with what wakes the server when an outcome is there, once; `clock` is
    monotonic, in seconds.
    """

    def __init__(
        self,
        config: ModbusShare,
        make: Callable[[Callable[[], None]], tuple[Mapping[int, Unit], list[Demand]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._places = [place_of(one) for one in config.listen]
        self._gate = threading.Lock()  # nobody wakes a server that has closed its pipe
        self._units, self._demands = make(self._wake)
        self._answers = Answers(self._units, Writers(config), self._tell)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pipe: tuple[int, int] | None = None
        self._told: set[tuple[str, str]] = set()
        self._failed: dict[Place, str] = {}
        self._peers: dict[int, Peer] = {}
        self._fault = ""  # that was logged last
        self._listening: dict[Place, socket.socket | Peer] = {}
        self._again = -math.inf

    def start(self) -> None:
        """Begin to listen. A place that cannot be used is logged, and tried again."""
        self._stopping.clear()
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe[0], selectors.EVENT_READ)
        self._listen(self._clock())
        self._thread = threading.Thread(target=self._run, name="share modbus", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and close every connection."""
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(_STOP_S)
        self._thread = None
        for peer in list(self._peers.values()):
            self._close(peer)
        for place, listener in self._listening.items():
            if not place.is_device and isinstance(listener, socket.socket):
                listener.close()
        self._listening.clear()
        with self._gate:
            pipe, self._pipe = self._pipe, None
        if pipe is not None:
            self._selector.close()
            for end in pipe:
                os.close(end)

    def late_s(self) -> float:
        """Return infinity when the thread has ended, else 0."""
        return 0.0 if self._thread is None or self._thread.is_alive() else math.inf

    def restart(self) -> None:
        """Start again, after the thread has ended."""
        self.stop()
        self._again = -math.inf
        self.start()

    def problems(self) -> list[str]:
        """Return why nobody can connect, a sentence a place."""
        return [f"share: {place.text}: {why}" for place, why in list(self._failed.items())]

    def state(self) -> Mapping[str, Any]:
        """Return what `status` shows of it."""
        return {
            "listening": [place.text for place in self._places if place in self._listening],
            "units": sorted(self._units),
            "clients": sum(not peer.device for peer in list(self._peers.values())),
            "requests": self._answers.requests,
            "refused": self._answers.refused,
            "asked": sum(demand.asked for demand in self._demands),
        }

    # The thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._round()
            except Exception as err:  # a fault here must not end the process of the log
                if self._fault != repr(err):
                    log.exception("share: the server stumbled; it goes on")
                self._fault = repr(err)
                self._stopping.wait(_WAIT_S)

    def _round(self) -> None:
        """Serve what is there, or wait for it."""
        waiting = any(not demand.idle for demand in self._demands) or any(
            peer.framing.begun for peer in self._peers.values()
        )
        ready = self._selector.select(_SOON_S if waiting else _WAIT_S)
        began = time.monotonic()
        now = self._clock()
        for key, events in ready:
            self._serve(key, events, now)
        for demand in self._demands:
            demand.tick()
        for peer in list(self._peers.values()):
            self._guarded(peer, partial(self._look_at, peer, now))
        self._listen(now)
        if ready:
            self._stopping.wait(min(time.monotonic() - began, _REST_S))

    def _serve(self, key: selectors.SelectorKey, events: int, now: float) -> None:
        if isinstance(key.data, Place):
            self._accept(key.data, now)
        elif isinstance(key.data, Peer):
            if not key.data.closed:
                self._guarded(key.data, partial(self._hear, key.data, events, now))
        elif self._pipe is not None:
            with suppress(BlockingIOError):
                os.read(self._pipe[0], 4096)

    def _wake(self) -> None:
        with self._gate:
            if self._pipe is not None:
                with suppress(BlockingIOError):  # full of earlier calls
                    os.write(self._pipe[1], b"x")

    def _guarded(self, peer: Peer, do: Callable[[], None]) -> None:
        """Do something for a client; what goes wrong ends its connection only."""
        try:
            do()
        except GarbageError as err:
            self._tell(peer.name, f"sends what is {err}")
            if peer.framing.speaks_for_others:
                self._close(peer)
        except OSError as err:
            log.debug("share: %s: %s", peer.name, err)
            self._close(peer)
        except Exception:
            log.exception("share: a request of %s failed", peer.name)
            self._close(peer)

    # Places and clients.

    def _listen(self, now: float) -> None:
        """Use the places that are not used yet, now and then."""
        left = [place for place in self._places if place not in self._listening]
        if not left or now - self._again < _AGAIN_S:
            return
        self._again = now
        for place in left:
            try:
                if place.is_device:
                    peer = Peer(place.open(self._config), place.framing(), now, device=True)
                    self._listening[place] = peer
                    self._add(peer)
                else:
                    listener = self._listening[place] = place.listen()
                    self._selector.register(listener, selectors.EVENT_READ, place)
            except OSError as err:
                reason = one_line(err.strerror or str(err))
                if self._failed.get(place) != reason:
                    log.warning(
                        "share: cannot listen on %s: %s; tried again, the log goes on",
                        place.text,
                        reason,
                    )
                self._failed[place] = reason
            else:
                self._failed.pop(place, None)
                log.info("share: %d units on %s", len(self._units), place.text)

    def _accept(self, place: Place, now: float) -> None:
        listener = self._listening.get(place)
        if not isinstance(listener, socket.socket):
            return
        for _ in range(_AT_ONCE):
            try:
                connection, address = listener.accept()
            except OSError:  # no more, gone before it was accepted, or no file is left
                return
            self._make_room()
            self._add(
                Peer(TcpChannel(connection, str(address[0])), place.framing(), now, device=False)
            )

    def _make_room(self) -> None:
        """Close a connection if there are too many: first those that never asked anything."""
        clients = [peer for peer in self._peers.values() if not peer.device]
        if len(clients) >= MOST_CLIENTS:
            self._tell("share", f"more than {MOST_CLIENTS} connections: the idlest are closed")
            self._close(min(clients, key=lambda peer: (peer.has_asked, peer.active)))

    def _add(self, peer: Peer) -> None:
        self._peers[peer.channel.fileno()] = peer
        self._selector.register(peer.channel.fileno(), selectors.EVENT_READ, peer)

    def _close(self, peer: Peer) -> None:
        if peer.closed:
            return
        number = peer.channel.fileno()
        self._peers.pop(number, None)
        with suppress(KeyError, ValueError, OSError):
            self._selector.unregister(number)
        peer.close()
        for place, listener in list(self._listening.items()):
            if listener is peer:
                del self._listening[place]

    def _hear(self, peer: Peer, events: int, now: float) -> None:
        if events & selectors.EVENT_WRITE:
            peer.send(now)
        if events & selectors.EVENT_READ and not peer.receive(now):
            self._close(peer)
            return
        self._go_on(peer, now)

    def _look_at(self, peer: Peer, now: float) -> None:
        if why := peer.overdue(now):
            self._tell(peer.name, f"is disconnected: {why}")
            self._close(peer)
            return
        self._go_on(peer, now)

    def _go_on(self, peer: Peer, now: float) -> None:
        """Answer what waits, and wait for what there is room for."""
        while not peer.closed and (request := peer.next()) is not None:
            done = partial(self._send, peer, request)
            self._answers.answer(peer, request, now, done)
        if peer.closed:
            return
        wanted = selectors.EVENT_READ * peer.reads | selectors.EVENT_WRITE * peer.writes
        key = self._selector.get_map().get(peer.channel.fileno())
        if key is None and wanted:
            self._selector.register(peer.channel.fileno(), wanted, peer)
        elif key is not None and not wanted:
            self._selector.unregister(peer.channel.fileno())
        elif key is not None and key.events != wanted:
            self._selector.modify(peer.channel.fileno(), wanted, peer)

    def _send(self, peer: Peer, request: Request, pdu: bytes | None) -> None:
        if not peer.closed:
            self._guarded(peer, partial(peer.answer, request, pdu, self._clock()))

    def _tell(self, who: str, what: str) -> None:
        """Say once what a client does."""
        if (who, what) in self._told or len(self._told) >= _TOLD:
            return
        self._told.add((who, what))
        log.warning("share: %s %s; not told again", who, what)
