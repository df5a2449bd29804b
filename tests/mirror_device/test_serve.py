"""``mirror-device serve`` as a process: every outlet, the control socket, mute, and hostile company."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import urllib.request
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirror_device.cli import main
from mirror_device.service.wyoming import Event, Reader
from tests.mirror_device.served import Served, line_of, until, wyoming

STEP_S = 0.08


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * 16000), np.int16)


def test_events_by_every_road(serve: Callable[..., Served], beeps: np.ndarray, tmp_path: Path) -> None:
    got = tmp_path / "got.wav"
    keep_first = (
        f'test -e {got} || {{ cat > {got}.tmp; echo "$MIRROR_EVENT" > {got}.json; mv {got}.tmp {got}; }}'
    )
    hook = {"command": ["sh", "-c", keep_first]}
    doors = {"wyoming": {"address": "tcp://127.0.0.1:0"}, "metrics": "tcp://127.0.0.1:0", "hook": hook}
    served = serve({"outlets": doors})
    addresses = served.ask(command="status")["addresses"]
    with socket.socket(socket.AF_UNIX) as control, wyoming(addresses["wyoming"]) as voice:
        control.connect(str(served.control_path))
        control.sendall(b'{"command": "events", "preroll": true}\n')
        assert json.loads(line_of(control))["preroll"] is True
        voice.sendall(Event("ping").encoded())
        assert voice.recv(65536)
        served.hear(beeps)
        first = json.loads(line_of(control).splitlines()[0])
        sound = np.frombuffer(base64.b64decode(first.pop("preroll")), "<i2")
        end = round(first["time_s"] * 16000)
        assert np.array_equal(sound, beeps[end - 24000 : end])
        reader, events = Reader(), []
        while not any(event.type == "audio-stop" for event in events):
            events += reader.feed(voice.recv(65536))
        types = [event.type for event in events]
        events = events[: types.index("audio-stop")]  # the second beep may have come with the first
        assert types[:2] == ["detection", "audio-start"]
        assert events[0].data == {"name": "loud sound", "timestamp": round(1000 * first["time_s"])}
        payload = b"".join(e.payload for e in events if e.type == "audio-chunk")
        assert np.array_equal(np.frombuffer(payload, "<i2"), sound)
    until(got.exists)
    with wave.open(str(got)) as file:
        assert np.array_equal(np.frombuffer(file.readframes(99999), "<i2"), sound)
    served.has_heard(7.9)
    host = addresses["metrics"].replace("tcp://", "http://")
    with urllib.request.urlopen(host + "/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert 'mirror_counts_total{kind="detection"} 2' in text and "mirror_heard_seconds_total 8" in text
    printed = served.end()
    assert printed[0] == first and [event["seq"] for event in printed] == [1, 2]
    assert json.loads(Path(f"{got}.json").read_text())["keyword"] == "loud sound"


def test_nothing_heard_before_an_unmute_is_told_after(
    serve: Callable[..., Served], beeps: np.ndarray
) -> None:
    served = serve()
    assert served.ask(command="mute")["event"] == "answer"
    served.hear(beeps[: round(2.4 * 16000)])  # the beep ends as it is un-muted
    served.has_heard(2.4 - STEP_S)
    assert served.ask(command="unmute")["event"] == "answer"
    served.hear(beeps[round(2.4 * 16000) :])
    assert [round(event["time_s"]) for event in served.end()] == [5]


def test_its_own_voice_and_the_speed(serve: Callable[..., Served], beeps: np.ndarray) -> None:
    served = serve({"decision": {"by_speed_kmh": [[0, 0], [100, 1]]}})
    assert served.ask(command="speaking", on=True)["event"] == "answer"
    served.hear(beeps[: 4 * 16000])
    served.has_heard(3.9)
    assert served.ask(command="speaking", on=False)["event"] == "answer"
    served.hear(beeps[4 * 16000 :])
    served.has_heard(7.9)
    assert served.ask(command="speed", kmh=100)["event"] == "answer"
    served.hear(beeps)
    served.has_heard(15.9)
    status = served.ask(command="status")
    assert status["speed_kmh"] == 100 and status["models"] == {"loud sound": "tiny 0.0.1"}
    assert [round(event["time_s"]) for event in served.end()] == [5]


def test_what_it_plays_itself_does_not_wake_it(
    serve: Callable[..., Served], beeps: np.ndarray, tmp_path: Path
) -> None:
    """The player's sound comes by a socket, before the microphone hears it; a word of somebody else wakes."""
    address = tmp_path / "played"
    source = {"kind": "socket", "address": f"unix://{address}"}
    served = serve({"reference": {"source": source, "window_s": 1.0}})
    until(address.exists)
    first, second = beeps[: round(2.4 * 16000)], beeps[round(2.4 * 16000) :]
    with socket.socket(socket.AF_UNIX) as player:
        player.connect(str(address))
        served.hear(first[:30000])
        served.has_heard(1.84)
        player.sendall(first.astype("<i2").tobytes())
        until(lambda: served.ask(command="status")["counts"].get("reference_played"))
        served.hear(np.concatenate([first[30000:], second]))
        served.has_heard(7.9)
    assert [round(event["time_s"]) for event in served.end()] == [5]


@pytest.mark.parametrize(
    "command, words",
    [
        ({"command": "dance"}, "no command 'dance'"),
        ({"command": "speed", "kmh": "fast"}, "kmh = fast"),
        ({"command": "speaking"}, "true or false"),
        ({"command": "model", "name": "x"}, "give"),
        ({"command": "model", "name": "x", "path": "/no/such.onnx"}, "no such file"),
        ({"command": 3}, "give"),
    ],
)
def test_commands_that_cannot_be_obeyed(tiny_model: Path, command: dict[str, Any], words: str) -> None:
    from mirror_device.service.commands import obey
    from mirror_device.service.config import Config, Outlets, Source
    from mirror_device.service.daemon import Daemon
    from mirror_device.service.doors import ControlPeer

    config = Config(models=[str(tiny_model)], source=Source(kind="none"), outlets=Outlets(control=None))
    daemon = Daemon(config)

    class Sent:
        lines: list[bytes] = []

        def send(self, content: bytes) -> None:
            self.lines.append(content)

    peer = ControlPeer(Sent(), lambda one: obey(daemon, one))  # type: ignore[arg-type]
    peer.received(json.dumps(command).encode() + b"\n")
    answer = json.loads(Sent.lines.pop())
    assert answer["event"] == "error" and words in answer["error"]
    daemon.hub.stop()


def test_a_model_is_changed_without_missing_a_word(
    serve: Callable[..., Served], beeps: np.ndarray, build_model: Callable[..., Path], tiny_model: Path
) -> None:
    new = build_model(version="0.0.2")
    served = serve()
    served.hear(beeps[:16000])
    answer = served.ask(command="model", name=str(tiny_model), path=str(new))
    assert answer["event"] == "answer", answer
    served.hear(beeps[16000:])
    assert [event["model"] for event in served.end()] == ["tiny 0.0.1", "tiny 0.0.2"]


def test_a_mute_between_two_blocks_is_a_mute(serve: Callable[..., Served], beeps: np.ndarray) -> None:
    """Muted and un-muted while no sound comes: what was said before is still forgotten."""
    served = serve({"decision": {"smoothing_steps": 4}})
    cut = round(2.24 * 16000)  # three steps of the beep do not suffice for a mean of four, a fourth does
    served.hear(beeps[:cut])
    served.has_heard(2.24)
    for command in ("mute", "unmute"):
        assert served.ask(command=command)["event"] == "answer"
    served.hear(np.concatenate([beeps[cut : cut + 1280], silence(2)]))
    assert served.end() == []


def test_recordings_are_kept_within_their_room(
    serve: Callable[..., Served], beeps: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    served = serve({"capture": {"folder": str(folder), "most_mb": 0.3, "before_s": 1, "after_s": 0.5}})
    served.hear(np.concatenate([beeps] * 5))
    served.has_heard(39.9)
    until(lambda: served.ask(command="status")["counts"].get("Keeper_given") == 10)
    served.end()
    recordings = sorted(folder.glob("*.wav"))
    assert [path.stem for path in recordings] == [f"{n:08d}-detection" for n in range(5, 11)][
        -len(recordings) :
    ]
    assert 3 <= len(recordings) <= 6 and sum(path.stat().st_size for path in folder.iterdir()) < 300_000
    with wave.open(str(recordings[-1])) as file:
        assert file.getnframes() == 24000


@pytest.mark.fault(
    "standard output full, clients that send garbage and 4 GB lengths", "every word is still heard"
)
def test_a_reader_that_stops_reading_holds_nothing_up(
    serve: Callable[..., Served], beeps: np.ndarray
) -> None:
    """Standard output is a pipe that is full and that nobody empties; clients send garbage and stay."""
    reading, writing = os.pipe()
    os.write(writing, b"\n" * fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ))
    served = serve({"outlets": {"wyoming": {"address": "tcp://127.0.0.1:0"}}}, stdout=writing)
    os.close(writing)
    address = served.ask(command="status")["addresses"]["wyoming"]
    clients = [wyoming(address) for _ in range(20)]
    for number, client in enumerate(clients):
        try:
            client.sendall(
                [b"\xff\n", b'{"type": "audio-chunk", "payload_length": 4294967296}\n', b"{"][number % 3]
            )
        except ConnectionError:
            continue
    for _ in range(6):
        served.hear(beeps)
    served.has_heard(47.9)
    counts = served.ask(command="status")["counts"]
    assert counts["detection"] == 12 and "JsonLines_given" not in counts  # it does block
    os.close(reading)
    for client in clients:
        client.close()


def test_signals_end_it(serve: Callable[..., Served], beeps: np.ndarray) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        served = serve()
        served.hear(beeps[:16000])
        served.process.send_signal(number)
        assert served.process.wait(5) == 0
        assert not served.control_path.exists()


@pytest.mark.fault(
    "two daemons on one socket", "the second ends with status 2 and says so, the first goes on"
)
def test_two_on_one_socket(serve: Callable[..., Served], tmp_path: Path, capsys: Any) -> None:
    served = serve()
    assert main(["serve", str(tmp_path / "mirror.yaml")]) == 2
    assert "another daemon listens there" in capsys.readouterr().err
    assert served.ask(command="status")["event"] == "answer"


def test_check_and_wrong_words(tmp_path: Path, tiny_model: Path, capsys: Any) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("preroll_s: 99")
    assert main(["serve", "--check", str(path)]) == 2
    assert "preroll_s: Expected `float` <= 10.0" in capsys.readouterr().err
    path.write_text("preroll_s: 9")
    assert main(["serve", "--check", str(path)]) == 0
    path.write_text(json.dumps({"models": [str(tiny_model)], "words": {"computer": {}}}))
    assert main(["serve", str(path), "--control", "none"]) == 2
    assert "words.computer: no model knows it; they know 'loud sound'" in capsys.readouterr().err


@pytest.mark.fault(
    "MQTT broker killed and back",
    "events are counted as dropped, the client is back by itself, the last will says offline",
)
@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs mosquitto")
def test_a_real_broker(serve: Callable[..., Served], beeps: np.ndarray, tmp_path: Path) -> None:
    """Discovery, events, the mute switch, and a broker that dies and returns."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")

    def broker() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["mosquitto", "-c", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    running = broker()
    seen: list[tuple[str, str]] = []
    watcher = Client(CallbackAPIVersion.VERSION2)
    watcher.on_connect = lambda client, *_: client.subscribe("#")
    watcher.on_message = lambda client, data, message: seen.append((message.topic, message.payload.decode()))
    watcher.connect_async("127.0.0.1", port)
    watcher.loop_start()
    try:
        served = serve({"outlets": {"mqtt": {"host": "127.0.0.1", "port": port, "topic": "car"}}})
        until(lambda: ("car/availability", "online") in seen)
        found = {topic: json.loads(payload) for topic, payload in seen if topic.startswith("homeassistant/")}
        assert found["homeassistant/event/car/config"]["state_topic"] == "car/detection"
        served.hear(beeps[: 4 * 16000])
        until(lambda: any(topic == "car/detection" for topic, _ in seen))
        heard = json.loads(dict(seen)["car/detection"])
        assert heard["event_type"] == "detection" and heard["keyword"] == "loud sound"
        watcher.publish("car/mute/set", "ON", qos=1)
        until(lambda: ("car/mute", "ON") in seen)
        assert served.ask(command="status")["muted"]
        watcher.publish("car/mute/set", "OFF", qos=1)
        until(lambda: ("car/mute", "OFF") in seen)
        running.kill()
        running.wait()

        def dropped() -> bool:
            """Once the daemon has noticed that the broker is gone."""
            served.hear(beeps)
            return "MqttOutlet_dropped" in served.ask(command="status")["counts"]

        until(dropped)
        seen.clear()
        running = broker()
        until(lambda: ("car/availability", "online") in seen, 30)
        served.process.kill()
        until(lambda: ("car/availability", "offline") in seen, 60)
    finally:
        watcher.loop_stop()
        running.kill()
        running.wait()


def test_status_and_commands(serve: Callable[..., Served], beeps: np.ndarray, capsys: Any) -> None:
    served = serve()
    served.hear(beeps)
    served.has_heard(7.9)
    control = ["status", "--control", f"unix://{served.control_path}"]
    assert main(control) == 0
    assert "listening" in (out := capsys.readouterr().out) and "detection: 2" in out and "tiny 0.0.1" in out
    assert main([*control, "--send", '{"command": "mute"}']) == 0
    assert main([*control, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["muted"] is True
    assert main([*control, "--send", '{"command": "jump"}']) == 1
    assert main([*control, "--send", "mute"]) == 2
    assert main(["status", "--control", "unix:///no/such"]) == 2
    assert "is `mirror-device serve` running" in capsys.readouterr().err
