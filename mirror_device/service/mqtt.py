"""Events to an MQTT broker: last will, Home Assistant discovery, and a switch that mutes.

Home Assistant's side is matched from its public description, https://www.home-assistant.io/integrations/mqtt/
(discovery, event, switch). While the broker is away events are dropped and counted: one that came a minute
late would wake the assistant for nobody.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirror_device.service.config import ConfigError, Mqtt
from mirror_device.service.outlets import Heard

KEEPALIVE_S = 20
RECONNECT_S = (1, 5)
MOST_WAITING = 16
CREDENTIAL = "mqtt_password"
"""Under this name systemd hands on the password file, which the daemon's own user could not read."""


class MqttOutlet:
    """A client that keeps trying, in a thread of the library's.

    Args:
        config: broker and topics.
        mute: called with what the switch was set to.

    Raises:
        ConfigError: a password file that cannot be read, or the `serve` extra is missing.
    """

    def __init__(self, config: Mqtt, mute: Callable[[bool], None]) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise ConfigError("outlets.mqtt: needs the serve extra: pip install '.[serve]'") from error
        self.counts: Counter[str] = Counter()
        self._config, self._mute = config, mute
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id="")
        client.max_queued_messages_set(MOST_WAITING)
        client.reconnect_delay_set(*RECONNECT_S)
        client.will_set(self._topic("availability"), "offline", qos=1, retain=True)
        if config.username is not None:
            client.username_pw_set(config.username, _password(config))
        if config.tls:
            client.tls_set()
        client.on_connect = self._connected
        client.on_message = self._message
        client.connect_async(config.host, config.port, KEEPALIVE_S)
        client.loop_start()

    def tell(self, heard: Heard) -> None:
        if not self._client.is_connected():
            self.counts["dropped"] += 1
            return
        kind = heard.event["event"]
        payload = json.dumps({"event_type": kind, **heard.event}, ensure_ascii=False)
        self._client.publish(self._topic(kind), payload, qos=0)
        self.counts["given"] += 1

    def muted(self, muted: bool) -> None:
        """Tells the broker what the switch stands at."""
        if self._client.is_connected():
            self._client.publish(self._topic("mute"), "ON" if muted else "OFF", qos=1, retain=True)

    def close(self) -> None:
        if self._client.is_connected():
            self._client.publish(self._topic("availability"), "offline", qos=1, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def _topic(self, leaf: str) -> str:
        return f"{self._config.topic}/{leaf}"

    def _connected(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self.counts["refused"] += 1
            return
        self.counts["connected"] += 1
        client.subscribe(self._topic("mute/set"), qos=1)
        if self._config.discovery is not None:
            for topic, payload in discovery(self._config):
                client.publish(topic, json.dumps(payload), qos=1, retain=True)
        client.publish(self._topic("availability"), "online", qos=1, retain=True)

    def _message(self, client: Any, data: Any, message: Any) -> None:
        if message.payload in (b"ON", b"OFF") and not message.retain:
            self._mute(message.payload == b"ON")


def discovery(config: Mqtt) -> list[tuple[str, dict[str, Any]]]:
    """Topics and payloads by which Home Assistant finds the event and the switch."""
    identity = config.topic.replace("/", "_")
    shared = {
        "availability_topic": f"{config.topic}/availability",
        "device": {
            "identifiers": [identity],
            "name": "Rear-view mirror",
            "manufacturer": "rearview-wakeword",
        },
    }
    event = {
        "name": "Wake word",
        "unique_id": f"{identity}_wake_word",
        "state_topic": f"{config.topic}/detection",
        "event_types": ["detection"],
        **shared,
    }
    switch = {
        "name": "Mute",
        "unique_id": f"{identity}_mute",
        "command_topic": f"{config.topic}/mute/set",
        "state_topic": f"{config.topic}/mute",
        **shared,
    }
    return [
        (f"{config.discovery}/event/{identity}/config", event),
        (f"{config.discovery}/switch/{identity}/config", switch),
    ]


def _password(config: Mqtt) -> str | None:
    if config.password_file is None:
        return None
    handed_on = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"), CREDENTIAL)
    path = handed_on if handed_on.is_file() else config.password_file
    try:
        return path.read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"outlets.mqtt.password_file: {path}: {error}") from error
