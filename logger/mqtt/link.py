"""One connection to a broker. The only importer of paho.

Nothing is kept for a broker that is away or does not take what it is sent: what is not
sent now is not sent. Every call ends, with an MqttError when the connection did.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from logger.config.mqtt import Mqtt
from logger.domain.errors import MqttError
from logger.texts import one_line

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

_CONNECT_S, _ANSWER_S = 5.0, 10.0  # for each address of the broker; for its answer
_KEEPALIVE_S = 30
_LOOK_S = 0.2  # how often it is looked whether to stop while the broker has not answered
_LOGIN = "mqtt.user and mqtt.password_file"
# What a broker answers to a connection, by the return codes of MQTT 3.1.1 (OASIS), 3.2.2.3.
_REFUSALS = {
    1: ("no MQTT 3.1.1", "the broker does not speak this version", "use a broker that does"),
    2: ("client id", "the broker does not take this client id", "set mqtt.client_id"),
    3: ("not ready", "the broker says that it is not available", "look at its log"),
    4: ("wrong password", "the broker does not know this user and password", _LOGIN),
    5: ("wrong password", "the broker does not let this user in", _LOGIN),
}
# The same as paho names them since version 2: reason codes of MQTT 5.
_REASONS = {132: 1, 133: 2, 136: 3, 134: 4, 135: 5}


class Link:
    """A connection for one thread. `will` is a topic and what the broker publishes there
    when the connection breaks."""

    def __init__(self, config: Mqtt, client_id: str, will: tuple[str, str] | None = None) -> None:
        from paho.mqtt.client import Client, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        self._config = config
        self.received: list[tuple[str, str]] = []  # topic and text; for the caller to empty
        self.granted: bool | None = None  # what the broker said to a subscription
        self._answer: int | None = None
        client = self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        if config.user:
            client.username_pw_set(config.user, config.password() or None)
        self._trust = _trust(config) if config.tls else None
        if self._trust is not None:
            client.tls_set_context(self._trust)
        if will is not None:
            client.will_set(will[0], will[1], qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    def open(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Connect, and wait for the broker's answer, or until `stopping` says so."""
        with self._understood():
            self._client.connect(self._config.host, self._config.port, _KEEPALIVE_S)
        until = time.monotonic() + _ANSWER_S
        while self._answer is None:
            if stopping():
                raise self._lost()
            if time.monotonic() >= until:
                self.close()
                raise MqttError("no answer", f"{self._where}: it does not answer", _PORT)
            try:
                self.wait(_LOOK_S)
            except MqttError as err:
                if self._answer is not None:
                    break
                raise MqttError(
                    "no MQTT", f"{self._where}: it ended the connection without an answer", _PORT
                ) from err
        if self._answer:
            self.close()
            kind, text, hint = _REFUSALS.get(
                self._answer, ("refused", f"the broker refuses, code {self._answer}", "")
            )
            raise MqttError(kind, f"{self._where}: {text}", hint)

    def subscribe(self, *topics: str) -> None:
        """Ask for what is published in `topics`; it comes into `received`."""
        with self._understood():
            self._client.subscribe([(topic, 0) for topic in topics])

    def send(self, topic: str, text: str, *, retain: bool = True, sure: bool = False) -> _Sent:
        """Publish; with `sure` what is returned tells later whether the broker has it."""
        with self._understood():
            sent = self._client.publish(topic, text, qos=int(sure), retain=retain)
        if not self._client.is_connected():
            raise self._lost()
        return lambda: sent.rc == 0 and sent.is_published()

    @property
    def busy(self) -> bool:
        """Whether something sent has not left yet: the broker or the line is slow."""
        return bool(self._client.want_write())

    def wait(self, timeout_s: float, waker: int | None = None) -> None:
        """Move bytes until something came, at most `timeout_s`, or until `waker`, the number
        of an open file, can be read."""
        connection: Any = self._client.socket()
        if connection is None:
            raise self._lost()
        with selectors.DefaultSelector() as selector:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.busy else 0)
            selector.register(connection, events)
            if waker is not None:
                selector.register(waker, selectors.EVENT_READ)
            pending = isinstance(connection, ssl.SSLSocket) and connection.pending()
            ready = selector.select(0 if pending else timeout_s)
        events = next((mask for key, mask in ready if key.fileobj is connection), 0)
        with self._understood():
            if pending or events & selectors.EVENT_READ:
                self._client.loop_read()
                self._bounded()
            if events & selectors.EVENT_WRITE:
                self._client.loop_write()
            self._client.loop_misc()
        if self._client.socket() is None:
            raise self._lost()

    def _bounded(self) -> None:
        """Raise MqttError when a message is coming that is larger than any is here: it would be
        kept in memory whole, several times over, and MQTT 3.1.1 knows no way to refuse it."""
        packet = getattr(self._client, "_in_packet", None) or {}
        if (size := packet.get("remaining_length", 0)) > _LARGEST:
            text = f"{self._where}: somebody sends a message of {size} bytes"
            raise MqttError(TOO_LARGE, text, "who may write to the topics that are listened to?")

    def close(self, farewell: tuple[str, str] | None = None) -> None:
        """End the connection; the broker then publishes no will. `farewell` goes before."""
        with contextlib.suppress(MqttError):
            if farewell is not None and self._client.is_connected():
                self.send(*farewell)
            with self._understood():
                self._client.disconnect()
            if self.busy:
                self.wait(0.5)
        secure = None if self._trust is None else self._trust.connection
        for connection in (self._client.socket(), secure):
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.close()

    @property
    def _where(self) -> str:
        return self._config.url

    def _lost(self) -> MqttError:
        return MqttError("connection lost", f"{self._where}: the connection ended")

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn what paho and sockets raise into an MqttError."""
        try:
            yield
        except ssl.SSLError as err:
            raise self._untrusted(err) from err
        except socket.gaierror as err:
            text = f"{self._where}: no address for this name: {err.strerror}"
            raise MqttError("unreachable", text, "check mqtt.url") from err
        except ConnectionRefusedError as err:
            text = f"{self._where}: connection refused: nobody listens there"
            raise MqttError("unreachable", text, _PORT) from err
        except ConnectionResetError as err:
            if self._trust is None or self._answer is not None:
                raise self._lost() from err
            text = f"{self._where}: it ended the connection when asked for TLS"
            raise MqttError("TLS", text, _PLAIN) from err
        except TimeoutError as err:
            raise MqttError("unreachable", f"{self._where}: no answer", "check mqtt.url") from err
        except OSError as err:
            reason = one_line(err.strerror or str(err), 200)
            raise MqttError("unreachable", f"{self._where}: {reason}", _PORT) from err
        except (ValueError, IndexError, KeyError, TypeError, RuntimeError, struct.error) as err:
            # paho lets these out when a packet is not as the standard says.
            text = f"{self._where}: it sends what is no MQTT: {one_line(repr(err), 200)}"
            raise MqttError("no MQTT", text, _PORT) from err

    def _untrusted(self, err: ssl.SSLError) -> MqttError:
        if isinstance(err, ssl.SSLCertVerificationError):
            reason = one_line(err.verify_message, 200)
            text = f"{self._where}: its certificate is not trusted: {reason}"
            hint = "mqtt.ca_file, and the name in the certificate as in mqtt.url"
            return MqttError("TLS", text, hint)
        text = f"{self._where}: no TLS: {one_line(err.reason or str(err), 200)}"
        return MqttError("TLS", text, _PLAIN)

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        number = int(code.value)
        self._answer = _REASONS.get(number, number)

    def _on_subscribe(self, _client: Client, _data: Any, _mid: int, codes: Any, _more: Any) -> None:
        self.granted = not any(code.is_failure for code in codes)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if len(self.received) < _MOST_RECEIVED:
            text = bytes(message.payload[:_LONGEST]).decode("utf-8", "replace")
            self.received.append((message.topic, text))


TOO_LARGE = "too large"
_LARGEST = 256 * 1024
_PORT = "check mqtt.url: host, port (1883, with TLS 8883), mqtt:// or mqtts://"
_PLAIN = "does this port speak TLS? without it the address begins with mqtt://"
_MOST_RECEIVED, _LONGEST = 100, 1000
_Sent = Callable[[], bool]


class _Trust(ssl.SSLContext):
    """Whom to trust; it remembers the connection, which paho forgets when it cannot be
    trusted."""

    connection: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Return the secure connection over a plain one."""
        self.connection = super().wrap_socket(*args, **options)
        return self.connection


def _trust(config: Mqtt) -> _Trust:
    """Return whom to trust: the certificates of `ca_file`, else those of the machine.

    Raises MqttError for a file that cannot be used.
    """
    found = _Trust(ssl.PROTOCOL_TLS_CLIENT)
    if config.insecure:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
        return found
    try:
        if config.ca_file is None:
            found.load_default_certs()
        else:
            found.load_verify_locations(config.ca_file)
    except (OSError, ValueError) as err:  # SSLError is an OSError
        text = f"mqtt.ca_file: {config.ca_file}: {one_line(str(err), 200)}"
        raise MqttError("TLS", text, "a PEM file with the broker's CA certificate") from err
    return found
