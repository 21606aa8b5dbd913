"""The newest values as messages of MQTT, and their description for Home Assistant."""

from logger.mqtt.output import MqttOutput
from logger.mqtt.probe import try_broker

__all__ = ["MqttOutput", "try_broker"]
