"""Wyoming over real sockets: the parser in any pieces, a real client, and clients that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mirror_device import Detector
from mirror_device.service.address import AddressError
from mirror_device.service.connection import Connection, ProtocolError
from mirror_device.service.hub import Hub
from mirror_device.service.voice import VoicePeer, information
from mirror_device.service.wyoming import MAX_PAYLOAD_BYTES, Event, Reader

MANY = 4


@contextlib.contextmanager
def served(model: Path, address: str = "tcp://127.0.0.1:0") -> Iterator[tuple[Hub, str]]:
    hub = Hub()

    def peer(connection: Connection) -> VoicePeer:
        return VoicePeer(connection, lambda: [Detector(model)], lambda: information({"loud sound": "1"}, "0"))

    where = hub.listen(address, "wyoming", peer, most_clients=MANY, most_waiting_bytes=1 << 16)
    hub.start()
    try:
        yield hub, where
    finally:
        hub.stop()


@pytest.fixture
def service(tiny_model: Path) -> Iterator[tuple[Hub, str]]:
    with served(tiny_model) as it:
        yield it


def connected(where: str) -> socket.socket:
    host, port = where.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def answers(sock: socket.socket, count: int) -> list[Event]:
    reader, found = Reader(), []
    while len(found) < count:
        content = sock.recv(65536)
        assert content, f"closed after {found}"
        found += reader.feed(content)
    return found


def is_cut(sock: socket.socket) -> bool:
    sock.settimeout(5)
    try:
        while content := sock.recv(65536):
            assert content
    except ConnectionError:
        pass
    return True


def until(true: object, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)


def chunk(sound: np.ndarray, **changes: object) -> bytes:
    data = {"rate": 16000, "width": 2, "channels": 1, "timestamp": 7, **changes}
    return Event("audio-chunk", data, sound.astype("<i2").tobytes()).encoded()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 31, 64, 1000])
def test_events_come_whole_out_of_any_pieces(size: int) -> None:
    for data, payload in (
        ({}, b""),
        ({"ä\n": 1, "b": None}, b"\n\0{}"),
        ({"x": "y" * 300}, bytes(range(256))),
    ):
        events = [Event("one", data, payload), Event("two"), Event("three", {}, payload)]
        wire, reader, found = b"".join(e.encoded() for e in events), Reader(), []
        for start in range(0, len(wire), size):
            found += reader.feed(wire[start : start + size])
        assert found == events


def test_theirs_reads_ours() -> None:
    from io import BytesIO

    from wyoming.event import read_event

    event = Event("detection", {"name": "smärt"}, b"\n\0")
    theirs = read_event(BytesIO(event.encoded()))  # type: ignore[arg-type]
    assert theirs is not None
    assert (theirs.type, theirs.data, theirs.payload) == (event.type, event.data, event.payload)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"3",
        b"null",
        b"\xff",
        b'{"type": 3}',
        b'{"type": "a", "data": []}',
        b'{"type": "a", "data_length": -1}',
        b'{"type": "a", "data_length": 4294967296}',
        b'{"type": "a", "payload_length": 1e9}',
        b'{"type": "a", "payload_length": true}',
        b'{"type": "a", "payload_length": "9"}',
        b"[" * 60000,
        b'{"type": "a", "data_length": 2}\n[]',
    ],
)
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Reader().feed(line + b"\n"))


def test_a_line_without_an_end_is_refused() -> None:
    reader = Reader()
    with pytest.raises(ProtocolError, match="65536"):
        for _ in range(20):
            list(reader.feed(b"x" * 4096))


def test_describe_and_ping(service: tuple[Hub, str]) -> None:
    with connected(service[1]) as sock:
        sock.sendall(Event("describe").encoded() + Event("ping", {"text": "a"}).encoded())
        info, pong = answers(sock, 2)
    assert info.data["wake"][0]["models"][0]["name"] == "loud sound"
    assert (pong.type, pong.data) == ("pong", {"text": "a"})


def test_the_real_client_streams(service: tuple[Hub, str], beeps: np.ndarray) -> None:
    """As Home Assistant does: describe, detect, audio-start, audio-chunk …, audio-stop."""
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncClient
    from wyoming.info import Describe, Info
    from wyoming.wake import Detect, Detection, NotDetected

    async def talk() -> None:
        async with AsyncClient.from_uri(service[1]) as client:
            await client.write_event(Describe().event())
            event = await client.read_event()
            assert event is not None
            assert Info.from_event(event).wake[0].models[0].languages == ["en"]
            await client.write_event(Detect(names=["loud sound"]).event())
            for sound, expected in ((beeps[: 4 * 16000], Detection), (beeps[:16000], NotDetected)):
                await client.write_event(AudioStart(16000, 2, 1).event())
                for start in range(0, len(sound), 1600):
                    part = sound[start : start + 1600].astype("<i2").tobytes()
                    await client.write_event(AudioChunk(16000, 2, 1, part, timestamp=start // 16).event())
                await client.write_event(AudioStop().event())
                event = await asyncio.wait_for(client.read_event(), 5)
                assert event is not None and expected.is_type(event.type)
                if expected is Detection:
                    heard = Detection.from_event(event)
                    assert heard.name == "loud sound" and 2000 <= (heard.timestamp or 0) <= 2300

    asyncio.run(talk())


@pytest.mark.fault("client that changes its sample rate", "resampled, and heard")
def test_other_rates_and_names(service: tuple[Hub, str], beeps: np.ndarray) -> None:
    stereo = np.repeat(np.repeat(beeps[: 3 * 16000], 3), 2)
    with connected(service[1]) as sock:
        sock.sendall(Event("audio-start", {"rate": 48000, "width": 2, "channels": 2}).encoded())
        for start in range(0, len(stereo), 96000):
            sock.sendall(chunk(stereo[start : start + 96000], rate=48000, channels=2))
        assert answers(sock, 1)[0].type == "detection"
        sock.sendall(Event("detect", {"names": ["another"]}).encoded())
        sock.sendall(Event("audio-start", {"rate": 16000, "width": 2, "channels": 1}).encoded())
        sock.sendall(chunk(beeps[: 3 * 16000]) + Event("audio-stop").encoded())
        assert answers(sock, 1)[0].type == "not-detected"


def test_who_does_not_stream_hears_of_the_mirrors_own(service: tuple[Hub, str], beeps: np.ndarray) -> None:
    hub, where = service
    with connected(where) as listening, connected(where) as streaming:
        streaming.sendall(chunk(beeps[:1600]))
        until(lambda: any(getattr(peer, "streams", False) for peer in hub.peers("wyoming")))
        until(lambda: len(hub.peers("wyoming")) == 2)
        event = Event("detection", {"name": "smart mirror"})
        hub.post(lambda: [peer.tell(event) for peer in hub.peers("wyoming")] and None)  # type: ignore[attr-defined]
        assert answers(listening, 1) == [event]
        streaming.settimeout(0.2)
        with pytest.raises(TimeoutError):
            streaming.recv(1)


@pytest.mark.parametrize(
    "content",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 100_000,
        Event("audio-start", {"rate": 16000, "width": 4, "channels": 1}).encoded(),
        Event("audio-start", {"rate": 7, "width": 2, "channels": 1}).encoded(),
        Event("audio-start", {"rate": True, "width": 2, "channels": 1}).encoded(),
        Event("audio-start", {"rate": 16000, "width": 2, "channels": 10**9}).encoded(),
        Event("detect", {"names": [3]}).encoded(),
        json.dumps({"type": "audio-chunk", "payload_length": MAX_PAYLOAD_BYTES + 1}).encode() + b"\n",
    ],
)
def test_a_broken_client_is_cut_off_and_others_are_not(service: tuple[Hub, str], content: bytes) -> None:
    hub, where = service
    with connected(where) as good, connected(where) as bad:
        with contextlib.suppress(ConnectionError):
            bad.sendall(content)
        assert is_cut(bad)
        good.sendall(Event("ping").encoded())
        assert answers(good, 1)[0].type == "pong"
    assert hub.counts["wyoming broken"] == 1


@pytest.mark.fault("client that never reads", "cut off and counted")
def test_a_client_that_never_reads_is_cut_off(service: tuple[Hub, str]) -> None:
    hub, where = service
    with connected(where) as deaf:
        until(lambda: hub.peers("wyoming"))
        event = Event("detection", {}, b"x" * 60000)
        for _ in range(400):
            hub.post(lambda: [peer.tell(event) for peer in hub.peers("wyoming")] and None)  # type: ignore[attr-defined]
        until(lambda: hub.counts["wyoming slow"] == 1)
        assert is_cut(deaf)


def test_one_client_too_many_is_turned_away(service: tuple[Hub, str]) -> None:
    hub, where = service
    kept = [connected(where) for _ in range(MANY)]
    until(lambda: len(hub.peers("wyoming")) == MANY)
    for _ in range(200):
        with connected(where) as late:
            assert is_cut(late)
    for sock in kept:
        sock.sendall(Event("ping").encoded())
        assert answers(sock, 1)[0].type == "pong"
        sock.close()
    until(lambda: not hub.peers("wyoming"))
    assert hub.counts["wyoming refused"] == 200


def test_a_message_cut_in_the_middle(service: tuple[Hub, str]) -> None:
    hub, where = service
    with connected(where) as sock:
        sock.sendall(b'{"type": "audio-chunk", "payload_length": 1000}\nabc')
    until(lambda: hub.counts["wyoming accepted"] == 1 and not hub.peers("wyoming"))


def test_unix_sockets_and_addresses(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "events"
    address = f"unix://{path}"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()  # a daemon that was killed leaves this behind
    with served(tiny_model, address):
        with pytest.raises(AddressError, match="another daemon"), served(tiny_model, address):
            pass
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(Event("ping").encoded())
            assert answers(sock, 1)[0].type == "pong"
    assert not path.exists()
    for wrong in (
        "10400",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:99999",
        "http://x:1",
        "unix:///no/such/folder/x",
    ):
        with pytest.raises(AddressError, match="listen"):
            Hub().listen(wrong, "x", lambda connection: None)  # type: ignore[arg-type, return-value]
