"""What others find at the broker and over HTTP: whose values, where, called what. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from logger.config import Config
from logger.config.http import Http
from logger.config.mqtt import Mqtt
from logger.domain import balance
from logger.domain.datamodel import MEASUREMENT_OF
from logger.domain.quantity import Quantity
from logger.latest import SITE, planned
from logger.models import Model
from logger.mqtt import entities, names
from logger.share.quoted import slugs

_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Value:
    """A value: its `key` in messages, and what Home Assistant is told of it (`entity`)."""

    quantity: Quantity
    key: str
    entity: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What it is called: `Power L1`."""
        return str(self.entity["name"])

    @property
    def unit(self) -> str:
        """Its unit, "" for none."""
        return str(self.entity.get("unit_of_measurement", ""))


@dataclass(frozen=True, slots=True)
class Subject:
    """A meter, or the site (`name` ""): its values, and after how many seconds without
    a new one it is not there."""

    name: str
    title: str
    slug: str
    role: str
    gone_s: int
    values: Sequence[Value]

    def value(self, quantity: Quantity) -> Value | None:
        """Return a value by its quantity, None for one that is not there."""
        return next((one for one in self.values if one.quantity == quantity), None)


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the messages are. `topics` are those of the site."""

    config: Mqtt
    topics: names.Topics
    host: str

    @property
    def port(self) -> int:
        """The broker's port."""
        return self.config.port

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The address as programs of Go take it."""
        return f"{'ssl' if self.config.tls else 'tcp'}://{self.address}"

    def all_states(self) -> str:
        """Return the topic of the states of all meters, as a pattern."""
        # The last level but one is the meter: "x" has nothing in it to be encoded.
        return self.topics.state("x").removesuffix("x/state") + "+/state"


@dataclass(frozen=True, slots=True)
class Web:
    """Where HTTP is answered: `token` if one is needed, `alone` if only from this machine."""

    base: str
    token: bool
    alone: bool

    def url(self, subject: Subject) -> str:
        """Return the address of a meter's values, or of the site's."""
        if subject.name == SITE:
            return f"{self.base}/api/site"
        return f"{self.base}/api/meters/{quote(subject.name, safe='')}"


def broker_of(config: Config, mqtt: Mqtt, host: str) -> Broker:
    """Return where others find the broker: a broker of this machine is at `host`, if given."""
    topics = names.Topics(mqtt.prefix, config.site.name)
    return Broker(mqtt, topics, host if host and mqtt.host in _HERE else mqtt.host)


def web_of(http: Http, host: str, here: str) -> Web:
    """Return where others find the interface: at `host`, if given; `here` is this machine."""
    own = host or (here if http.host in _ANYWHERE else http.host)
    token = http.token_file is not None or not http.loopback
    return Web(f"http://{_bracketed(own)}:{http.port}", token, http.loopback)


def subjects_of(config: Config, models: Mapping[str, Model]) -> list[Subject]:
    """Return all meters with what they measure and count, and the site if it has a
    demand or flows."""
    meters = [meter for bus in config.bus for meter in bus.meter]
    own = slugs([meter.name for meter in meters] + ["site"])
    fast_s = {one.name: one.fast_s for one in planned(config)}
    found = [
        Subject(
            meter.name,
            meter.name,
            slug,
            meter.role,
            entities.expires_after_s(fast_s[meter.name]),
            list(_values(entities.of_meter(models[meter.model], meter.wiring))),
        )
        for meter, slug in zip(meters, own, strict=False)
    ]
    roles = [meter.role for meter in meters]
    if balance.has_demand(roles):
        own_values = entities.of_site(roles)
        gone_s = entities.expires_after_s(max(fast_s.values()))
        values = [Value(quantity, names.key(quantity), one) for quantity, one in own_values.items()]
        found.append(Subject(SITE, config.site.name, own[-1], "", gone_s, values))
    return found


def _values(found: Mapping[Quantity, Mapping[str, Any]]) -> Iterator[Value]:
    """Yield what is measured and counted, but for details."""
    for quantity, entity in found.items():
        kind = MEASUREMENT_OF.get(quantity.field)
        if kind in ("power", "energy") and entity.get("enabled_by_default", True):
            yield Value(quantity, names.key(quantity), entity)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
