"""Tries a broker once, as `check` does: may this user connect, publish and read below the
prefix?
"""

from __future__ import annotations

import time

from logger.config import Config
from logger.config.extras import require
from logger.config.mqtt import Mqtt
from logger.domain.errors import ConfigError, MqttError
from logger.mqtt import names
from logger.mqtt.link import Link

_BACK_S = 5.0


def try_broker(config: Config, mqtt: Mqtt) -> tuple[str, str]:
    """Return what is wrong and a hint, both empty when messages come through.

    The connection has an id of its own, so that a running logger keeps its connection.
    """
    topics = names.Topics(mqtt.prefix, config.site.name)
    own = names.client_id(f"{mqtt.prefix}/check", config.site.name)
    try:
        require("mqtt")
        mqtt.check_files()
        link = Link(mqtt, own)
        try:
            link.open()
            return _through(link, topics.check)
        finally:
            link.close()
    except MqttError as err:
        return f"{err.kind}: {err.message}", err.hint
    except ConfigError as err:
        return err.message, err.hint


def _through(link: Link, topic: str) -> tuple[str, str]:
    """Publish a message that nobody keeps, and wait for it to come back."""
    until = time.monotonic() + _BACK_S
    link.subscribe(topic)
    while link.granted is None and time.monotonic() < until:
        link.wait(0.1)
    link.send(topic, "check", retain=False)
    while not link.received:
        if time.monotonic() >= until:
            return (
                f"connected, but a message to {topic} does not come back",
                "let this user publish and read below mqtt.prefix and mqtt.discovery_prefix",
            )
        link.wait(0.1)
    return "", ""
