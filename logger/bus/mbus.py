"""Transactions on M-Bus: one telegram asked for, one telegram taken apart.

A meter repeats its last answer when a question comes with the frame count bit of the one
before. So the bit alternates with each answer, and whenever it is not known how the meter
has it (at the start, after any failure) the meter is reset first: an old answer can then
never pass for a new one.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from logger.bus.elapsed import elapsed
from logger.bus.mbusverdict import BUSY, COLLISION, garbled, mixed, silent, understood
from logger.bus.transaction import Bus
from logger.config import Bus as BusConfig
from logger.config.addresses import MBUS_SELECTED
from logger.domain.errors import GarbledError, PortError, SilentError
from logger.mbus import frames
from logger.mbus.frames import Heard, Place
from logger.mbus.records import Telegram

log = logging.getLogger(__name__)

# A meter begins to answer 11 to 330 bit times and 50 ms after the question (EN 13757-2).
_SLOWEST_BITS, _SLOWEST_S = 330, 0.05
# A frame is over when nothing came for this long; never less than a few characters.
_GAP_S, _GAP_CHARACTERS = 0.25, 10
# No meter here needs more than one answer; the standard allows a row of them.
_MOST_TELEGRAMS = 8
# How often a question is put (EN 13757-2: repeated twice).
_TRIES = 3
# Control information of the two commands of `wake`.
_WAKING = (0xB4, 0xB1)


class MbusBus(Bus):
    """One M-Bus line. Port, reopening and counts are those of every `Bus`."""

    def __init__(self, config: BusConfig, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(config, clock)
        self._bits: dict[Place, bool] = {}  # the next frame count bit, where it is known
        self._echoed: bool | None = None
        self._answer_at = 0.0
        self._latency_s: float | None = None
        self.answered_from = -1  # the address in the last telegram

    @property
    def echo(self) -> bool:
        """Whether the level converter is known to echo what is sent."""
        return self._echoed is True

    @property
    def latency_s(self) -> float | None:
        """The time from the last question to the first byte of its answer, if one came."""
        return self._latency_s

    @property
    def answer_age_s(self) -> float:
        """The time since the last answer was complete."""
        return elapsed() - self._answer_at

    def request(
        self, place: Place, timeout_s: float | None = None, tries: int = _TRIES
    ) -> Telegram:
        """Return what the meter at `place` says now.

        A question that gets no good answer is repeated, up to `tries` times in all, unless
        the meter has not been heard at all. Raises SilentError, GarbledError or PortError.
        """
        if place not in self._bits:
            tries = tries if self._begin(place, timeout_s) else 1
        try:
            telegram = self._one(place, timeout_s, tries)
            records, left = telegram.records, _MOST_TELEGRAMS
            while telegram.more and (left := left - 1):
                first, telegram = telegram, self._one(place, timeout_s, tries)
                if (wrong := mixed(self.config, place, first, telegram)) is not None:
                    self.stats.garbled += 1
                    raise wrong
                records += telegram.records
        except BaseException:
            self._bits.pop(place, None)
            raise
        if place.digits:  # selected anew each time: others may be in between
            self._bits.pop(place, None)
        return replace(telegram, records=records)

    def wake(self, place: Place, timeout_s: float | None = None) -> bool:
        """Send the two commands after which a PRO380-Mb is said to send values by phase.

        No manual names them. Returns whether the meter acknowledged both. Raises PortError.
        """
        heard = []
        with contextlib.suppress(SilentError, GarbledError):
            self._begin(place, timeout_s)
        for information in _WAKING:
            frame = frames.long(frames.SND_UD, place.address, information)
            with contextlib.suppress(SilentError, GarbledError):
                self._acknowledged(place, frame, f"command {information:02X}", timeout_s)
                heard.append(information)
        self._bits[place] = True
        return len(heard) == len(_WAKING)

    def ping(self, address: int, timeout_s: float | None = None) -> bool:
        """Reset the line's side of the meter at `address`; return whether one acknowledges.

        Raises GarbledError when several answer at once, and PortError.
        """
        try:
            self._acknowledged(Place(address), frames.reset(address), "reset", timeout_s)
        except SilentError:
            return False
        self._bits[Place(address)] = True
        return True

    def select(self, digits: str, timeout_s: float | None = None) -> None:
        """Select the meters whose secondary address is `digits`, F for any digit.

        Raises SilentError when nobody has it, GarbledError when several answer at once.
        """
        self._bits = {place: bit for place, bit in self._bits.items() if not place.digits}
        place = Place(MBUS_SELECTED, digits)
        self._acknowledged(place, frames.select(digits), "selecting", timeout_s)
        self._bits[place] = True

    def send(self, place: Place, frame: bytes, what: str, timeout_s: float | None = None) -> None:
        """Send `frame`, which the meter has to acknowledge. Raises like `request`."""
        if place.digits:
            self.select(place.digits, timeout_s)
        self._acknowledged(place, frame, what, timeout_s)

    def _begin(self, place: Place, timeout_s: float | None) -> bool:
        """Bring the frame count bit of the meter to where it begins; tell if it is heard."""
        if place.digits:
            self.select(place.digits, timeout_s)
            return True
        self._bits[place] = True
        try:
            self._acknowledged(place, frames.reset(place.address), "reset", timeout_s)
        except SilentError:  # not every meter acknowledges it; the question will tell
            return False
        except GarbledError as err:
            log.debug("%s", err)
        return True

    def _one(self, place: Place, timeout_s: float | None, tries: int) -> Telegram:
        """Return one telegram. A repeated question keeps its frame count bit."""
        while True:
            tries -= 1
            try:
                return self._asked(place, timeout_s)
            except (SilentError, GarbledError) as err:
                if tries < 1:
                    raise
                log.debug("%s; asking again", err)

    def _asked(self, place: Place, timeout_s: float | None) -> Telegram:
        bit = self._bits[place]
        asked = frames.request(place.address, bit)
        what = "reading"
        heard = self._exchange(place, asked, what, timeout_s)
        if heard.acknowledged:
            raise self._garbled(place, what, "it says that it has no data", heard.rest, BUSY)
        if heard.frame is None:
            raise self._garbled(place, what, "no whole frame in it", heard.rest, COLLISION)
        try:
            telegram = understood(self.config, place, heard.frame)
        except GarbledError:
            self.stats.garbled += 1
            raise
        self.answered_from = heard.frame.address
        self._bits[place] = not bit
        self._answered()
        return telegram

    def _acknowledged(self, place: Place, frame: bytes, what: str, timeout_s: float | None) -> None:
        heard = self._exchange(place, frame, what, timeout_s)
        if not heard.acknowledged:
            raise self._garbled(place, what, "no acknowledgement (E5)", heard.rest, COLLISION)
        self._answered()

    def _exchange(self, place: Place, frame: bytes, what: str, timeout_s: float | None) -> Heard:
        """Send `frame` and return what came. Raises SilentError and PortError."""
        self._ready()
        self.stats.requests += 1
        started = time.monotonic()
        try:
            heard = self._repeated(frame, timeout_s)
        except PortError as err:
            self._failed(err)
            raise
        finally:
            self.stats.busy_s += time.monotonic() - started
        if heard.rest:
            self._reopening.heard()
            return heard
        self.stats.silent += 1
        if self._reopening.silent():
            self._port.drop()
        raise silent(self.config, place, what, self._patience_s(timeout_s))

    def _repeated(self, frame: bytes, timeout_s: float | None) -> Heard:
        """Talk; if a good connection is lost over it, once more on a new one: the meter
        answers a repeated frame as it answered, or would have answered, the first."""
        try:
            return self._talk(frame, timeout_s)
        except PortError as err:
            if not self._port.proven:
                raise
            log.debug("%s; it is opened again", err.message)
        self._port.open()
        return self._talk(frame, timeout_s)

    def _talk(self, frame: bytes, timeout_s: float | None) -> Heard:
        """Send `frame` and listen until an answer is whole or the line is silent.

        Only what comes in time counts: a meter that has begun is given the time that the
        longest frame takes, then what is there is all there is. A silence ends a frame
        before, on a network only where `gap` says how long it is.
        """
        character_s = self.config.character_s
        gap_s = max(self.config.gap or _GAP_S, _GAP_CHARACTERS * character_s)
        port = self._port
        port.reset_input_buffer()
        self._latency_s = None
        sent = elapsed()
        port.write(frame)
        over = sent + len(frame) * character_s
        until = over + self._patience_s(timeout_s)
        latest = until + (frames.LONGEST + len(frame)) * character_s + gap_s
        heard = b""
        found = frames.search(frame, heard)
        while True:
            more = port.receive(found.missing)
            now = elapsed()
            if more:
                heard += more
                found = frames.search(frame, heard)
                if found.echoed:
                    self._echoed = True
                if found.rest:
                    if self._latency_s is None:
                        self._latency_s = max(now - over, 0.0)
                    begun = not (found.spoiled or found.acknowledged)
                    until = latest if port.patient and begun else now + gap_s
                if found.acknowledged or found.frame is not None:
                    port.heard = True
                    break
            if now >= latest or len(heard) > 2 * frames.LONGEST or (not more and now >= until):
                break
        if now > latest + gap_s:  # this program was stopped: nobody knows when it came
            found = Heard(rest=found.rest, echoed=found.echoed, spoiled=True)
        self._answer_at = now
        return found

    def _patience_s(self, timeout_s: float | None) -> float:
        """Return how long an answer may take to begin: never less than the standard grants."""
        bit_s = 1 / self.config.baudrate
        own = self.config.timeout if timeout_s is None else timeout_s
        return max(own, _SLOWEST_BITS * bit_s + _SLOWEST_S)

    def _answered(self) -> None:
        self._reopening.answered()
        self.stats.answered += 1
        if self._echoed is None:
            self._echoed = False

    def _garbled(
        self, place: Place, what: str, reason: str, answer: bytes, hint: str
    ) -> GarbledError:
        self.stats.garbled += 1
        return garbled(self.config, place, what, reason, answer, hint)
