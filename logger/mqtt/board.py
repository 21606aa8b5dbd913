"""What is to be told at a moment: which descriptions, states and availabilities, and what
is to be removed. Knows no connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from logger.config import Config
from logger.config.mqtt import Mqtt
from logger.derive.info import MeterInfo
from logger.domain import balance
from logger.domain.quantity import SERIAL, SOFTWARE_VERSION
from logger.latest import SITE, Latest, too_old_s
from logger.meter.state import StateStore
from logger.mqtt import entities, messages, names
from logger.mqtt.messages import OFFLINE, ONLINE, Device
from logger.mqtt.record import Record

# A meter that gives values but no serial number for so long is known by its name.
_NO_SERIAL_S = 120.0


@dataclass(frozen=True, slots=True)
class Description:
    """A device for Home Assistant: where its description goes, whose it is, which sensors
    it has, and the message."""

    topic: str
    meter: str
    sensors: frozenset[str]
    text: str


class Board:
    """Says what the meters and the site are like. For one thread."""

    def __init__(
        self,
        config: Config,
        mqtt: Mqtt,
        infos: Sequence[MeterInfo],
        latest: Latest,
        states: StateStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._site, self._mqtt = config.site.name, mqtt
        self._infos = {info.name: info for info in infos}
        self._latest = latest
        self._clock = clock
        self._started = clock()
        self.topics = names.Topics(mqtt.prefix, self._site)
        self._roles = [info.role for info in infos]
        told = balance.has_demand(self._roles)
        # Whoever has a state: the meters, and the site with its demand and flows.
        self.subjects = (*self._infos, *([SITE] if told else []))
        self._told = frozenset(self.subjects)
        # The grid meter of a site that has nothing but a demand, which is unknown at first,
        # and not unavailable while that meter is there.
        alone = told and not balance.has_flows(self._roles)
        self._lone = next((i.name for i in infos if alone and i.role == "grid"), None)
        self._made: dict[str, tuple[Device, Description]] = {}
        self._about: dict[str, tuple[str, str]] = {}  # serial number and firmware
        for name in self._infos:
            if (known := states.load(name)) is not None:
                self._about[name] = (known.serial, known.software_version)
        slowest = max((info.fast_ms for info in infos), default=0)
        self._fast_s = {
            **{info.name: info.fast_ms / 1000 for info in infos},
            SITE: slowest / 1000,
        }

    def retained(self) -> set[str]:
        """Return the topics, descriptions apart, where messages are kept by the broker."""
        found = {self.topics.logger}
        for name in self.subjects:
            found |= {self.topics.state(name), self.topics.status(name)}
        return found

    def renewed(self, name: str) -> tuple[str, ...]:
        """Return whose state is to be sent when there are new values of `name`."""
        if name not in self._told:
            return ()
        return (name, SITE) if name == self._lone else (name,)

    def status(self, name: str) -> str:
        """Return whether a meter or the site is there, "" while that cannot be told yet."""
        if self._latest.available(name):
            return ONLINE
        if name == SITE and self._lone is not None:
            return self.status(self._lone)
        waited_s = self._clock() - self._started
        return OFFLINE if waited_s > too_old_s(self._fast_s[name]) else ""

    def state(self, name: str) -> str:
        """Return the message with the newest values of a meter or the site."""
        about = {"site": self._site}
        if name != SITE:
            about |= {"meter": name, "role": self._infos[name].role}
        return messages.state(about, self._latest.of(name))

    def descriptions(self) -> Iterator[Description]:
        """Yield the descriptions that can be made by now."""
        if not self._mqtt.discovery:
            return
        ids: set[str] = set()
        for name in self.subjects:
            device = self._device(name)
            if device is None:
                continue
            if device.id in ids:  # one serial number twice: the later one by its name
                device = self._meter(name, "")
            ids.add(device.id)
            yield self._described(name, device)

    def _described(self, name: str, device: Device) -> Description:
        known = self._made.get(name)
        if known is None or known[0] != device:
            known = self._made[name] = (device, self._describe(name, device))
        return known[1]

    def _describe(self, name: str, device: Device) -> Description:
        if name == SITE:
            found = entities.of_site(self._roles)
        else:
            info = self._infos[name]
            found = entities.of_meter(info.model, info.wiring)
        text = messages.description(
            device,
            found,
            self.topics.state(name),
            (self.topics.logger, self.topics.status(name)),
            entities.expires_after_s(self._fast_s[name]),
        )
        sensors = frozenset(map(names.key, found))
        topic = names.discovery_topic(self._mqtt.discovery_prefix, device.id)
        return Description(topic, name, sensors, text)

    def _device(self, name: str) -> Device | None:
        """Return the device, None while it is not known which one it is."""
        if name == SITE:
            return messages.site(self._site)
        before = self._about.get(name, ("", ""))
        read = (self._latest.value(name, one) for one in (SERIAL, SOFTWARE_VERSION))
        serial, firmware = (
            old if new is None else str(new) for old, new in zip(before, read, strict=True)
        )
        self._about[name] = (serial, firmware)
        if not serial and SERIAL in self._infos[name].model.by_quantity:
            waited_s = self._clock() - self._started
            if waited_s < _NO_SERIAL_S or not self._latest.available(name):
                return None
        return self._meter(name, serial)

    def _meter(self, name: str, serial: str) -> Device:
        firmware = self._about.get(name, ("", ""))[1]
        model = self._infos[name].model.title
        return messages.meter(name, model, serial, firmware, f"{self._site}/{name}")

    def leftovers(self, record: Record, present: Mapping[str, Description]) -> set[str]:
        """Return topics of `record` where nothing is to be any more, `present` being the
        descriptions of now by topic.

        A meter that does not say its serial number yet may be one that was renamed: until
        it does, no description of a meter that is gone is removed.
        """
        found = record.topics - self.retained()
        told = {one.meter for one in present.values()}
        known = {meter for meter, _ in record.descriptions.values()}
        waiting = self._mqtt.discovery and any(
            name not in told and name not in known for name in self.subjects
        )
        for topic, (meter, _) in record.descriptions.items():
            if topic in present:
                continue
            here = self._mqtt.discovery and meter in self.subjects
            if meter in told or not (here or waiting):
                found.add(topic)
        return found
