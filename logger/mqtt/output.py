"""Publishes the newest values, in a thread of its own: a part of the running logger.

The readings wait for nobody here: they leave a mark that something changed, and the thread
sends what is newest when it can. While the broker is away nothing is kept for it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from logger.config import Config
from logger.config.extras import require
from logger.config.mqtt import Mqtt
from logger.derive.info import MeterInfo
from logger.domain.errors import ConfigError, MqttError
from logger.latest import Latest
from logger.meter.state import StateStore
from logger.mqtt import names
from logger.mqtt.board import Board, Description
from logger.mqtt.link import TOO_LARGE, Link
from logger.mqtt.messages import OFFLINE, ONLINE, description_without
from logger.mqtt.record import Record
from logger.mqtt.standing import Standing

log = logging.getLogger(__name__)

_LOOK_S = 1.0  # how often it is looked at who has gone silent
_STUCK_S = 60.0  # a broker that takes nothing for so long is left
_STOP_S = 1.0
_AGAIN_S = 10.0  # all is told anew no more often than this, whoever asks for it
_BIRTH = "status"  # below the discovery prefix: Home Assistant says there that it started


class MqttOutput:
    """Sends states, availability and descriptions to a broker. `states` is the directory
    where the logger keeps what it knows across restarts.

    Raises ConfigError when the package is missing or a file of the section is of no use.
    """

    def __init__(
        self,
        config: Config,
        mqtt: Mqtt,
        infos: Sequence[MeterInfo],
        latest: Latest,
        states: Path,
        now_ms: Callable[[], int],
    ) -> None:
        require("mqtt")
        mqtt.check_files()
        self._mqtt = mqtt
        self._board = Board(config, mqtt, infos, latest, StateStore(states / "meters"))
        self._record_file = states / "mqtt.json"
        self._client_id = mqtt.client_id or names.client_id(mqtt.prefix, config.site.name)
        self._birth = f"{mqtt.discovery_prefix}/{_BIRTH}"
        self._standing = Standing(mqtt.url, now_ms)
        self._lock = threading.Lock()
        self._changed: set[str] = set(self._board.subjects)
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._woken, False)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        latest.listen(self._hear)

    def start(self) -> None:
        """Begin; a broker that is not there is tried again for ever."""
        if self._mqtt.insecure:
            log.warning(
                "mqtt: insecure = true: whoever answers at %s is believed to be the broker",
                self._mqtt.url,
            )
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def stop(self, within_s: float = _STOP_S) -> None:
        """Say goodbye and end the connection, within a second. What hangs is left behind."""
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(within_s)

    def late_s(self) -> float:
        """Return infinity when the thread has ended, else 0: how long a broker takes to
        answer says nothing about the logger."""
        thread = self._thread
        return 0.0 if thread is None or thread.is_alive() else math.inf

    def restart(self) -> None:
        """Start a thread in place of the one that has ended."""
        self.start()

    def state(self) -> dict[str, Any]:
        """Return what `status` shows of it."""
        return {**self._standing.state(), "insecure": self._mqtt.insecure}

    def problems(self) -> list[str]:
        """Return a sentence while the broker is not there."""
        return self._standing.problems()

    def _hear(self, name: str) -> None:
        """Note that there are new values; on the thread of a bus."""
        renewed = self._board.renewed(name)
        with self._lock:
            known = self._changed.issuperset(renewed)
            self._changed.update(renewed)
        if not known:
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # the pipe is full: it is awake
            os.write(self._waker, b"x")

    def _run(self) -> None:
        record = Record(self._record_file)
        deaf = False  # what comes is too large: nothing is listened to any more
        while not self._stopping.is_set():
            link: Link | None = None
            try:
                will = (self._board.topics.logger, OFFLINE)
                link = Link(self._mqtt, self._client_id, will)
                link.open(self._stopping.is_set)
                self._standing.worked()
                talk = _Talk(link, self._board, record, self._standing, self._birth)
                if not deaf:
                    talk.listen()
                talk.serve(self._take, self._stopping, self._woken)
                link.close(farewell=will)
                return
            except (MqttError, ConfigError) as err:
                if link is not None:
                    link.close()
                if self._stopping.is_set():
                    return
                if not isinstance(err, MqttError):  # a file that went away meanwhile
                    err = MqttError("configuration", err.message, err.hint)
                if err.kind == TOO_LARGE and not deaf:
                    deaf = True
                    log.warning("mqtt: nothing is listened to until the logger's next start")
                self._stopping.wait(self._standing.failed(err))

    def _take(self) -> set[str]:
        """Return who has new values since the last time."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._woken, 4096)) == 4096:
                pass
        with self._lock:
            found = set(self._changed)
            self._changed.clear()
        return found


class _Talk:
    """All that is said over one connection."""

    def __init__(
        self, link: Link, board: Board, record: Record, standing: Standing, birth: str
    ) -> None:
        self._link, self._board, self._record, self._standing = link, board, record, standing
        self._birth = birth
        self._told: dict[str, str] = {}  # by topic: the last description or availability
        self._heard: dict[str, str] = {}  # by topic: the availability that was said last
        self._due: set[str] = set(board.subjects)  # whose state is to be sent
        self._removing: dict[str, Callable[[], bool]] = {}
        self._free = time.monotonic()  # when everything had left last
        self._looked = self._begun = -math.inf
        self._asked = False  # to tell all anew

    def listen(self) -> None:
        """Hear of Home Assistant's start, and of somebody who says who is there in our place."""
        self._link.subscribe(*self._board.topics.every_status, self._birth)

    def serve(self, take: Callable[[], set[str]], stop: threading.Event, woken: int) -> None:
        """Talk until `stop`; `take` tells who has new values, `woken` is readable then."""
        board, link = self._board, self._link
        self._record.published(board.retained())
        self._say(board.topics.logger, ONLINE)
        while not stop.is_set():
            self._due |= take()
            self._listen()
            if self._all_left():
                self._pass()
            link.wait(_LOOK_S, woken)
            self._standing.lasts()

    def _all_left(self) -> bool:
        """Whether all that was said has left; raise MqttError when it never does."""
        now = time.monotonic()
        if not self._link.busy:
            self._free = now
        elif now - self._free > _STUCK_S:
            raise MqttError("connection lost", f"the broker takes nothing for {_STUCK_S:.0f} s")
        return not self._link.busy

    def _listen(self) -> None:
        """Take what came: Home Assistant's start, and what is said of who is there, our own
        words among it."""
        for topic, text in self._link.received:
            if topic == self._birth and text == ONLINE:
                self._asked = True
            elif topic in self._told:
                self._heard[topic] = text
        self._link.received.clear()
        now = time.monotonic()
        if self._asked and now - self._begun >= _AGAIN_S:
            self._asked, self._begun = False, now
            self._told.clear()
            self._due = set(self._board.subjects)
            self._looked = -math.inf

    def _pass(self) -> None:
        """Say what is due, as long as it leaves at once."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._look()
        for name in sorted(self._due):
            if self._link.busy:
                return
            if self._board.status(name) == ONLINE:
                self._send(self._board.topics.state(name), self._board.state(name))
            self._due.discard(name)

    def _look(self) -> None:
        """Describe who is new or changed, tell who is there, remove who is gone."""
        for topic, text in self._heard.items():
            if self._told.get(topic) != text:  # a stranger, or the will of an earlier connection
                self._told.pop(topic, None)
        self._heard.clear()
        self._say(self._board.topics.logger, ONLINE)
        present: dict[str, Description] = {}
        for one in self._board.descriptions():
            present[one.topic] = one
            self._describe(one)
        for name in self._board.subjects:
            if status := self._board.status(name):
                self._say(self._board.topics.status(name), status)
        self._remove(self._board.leftovers(self._record, present))

    def _describe(self, one: Description) -> None:
        if self._told.get(one.topic) == one.text or self._link.busy:
            return
        _, before = self._record.descriptions.get(one.topic, ("", frozenset()))
        if gone := before - one.sensors:  # it is told once what a device has no more
            self._send(one.topic, description_without(one.text, gone))
        self._record.described(one.topic, one.meter, one.sensors)
        self._say(one.topic, one.text)

    def _remove(self, topics: set[str]) -> None:
        for topic in sorted(topics - set(self._removing)):
            self._removing[topic] = self._link.send(topic, "", sure=True)
        for topic, done in list(self._removing.items()):
            if done():
                del self._removing[topic]
                self._record.removed(topic)

    def _say(self, topic: str, text: str) -> None:
        """Send what is kept and not repeated until it changes."""
        if self._told.get(topic) != text:
            self._send(topic, text)
            self._told[topic] = text

    def _send(self, topic: str, text: str) -> None:
        self._link.send(topic, text)
        self._standing.published += 1
