"""The fault suite, company: clients that misbehave while the daemon listens, and must not notice."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable

import numpy as np
import pytest

from mirror_device.service.wyoming import Event
from tests.mirror_device.served import Served, until, wyoming

fault = pytest.mark.fault


@pytest.fixture
def door(serve: Callable[..., Served]) -> tuple[Served, str]:
    """A daemon, and its Wyoming address."""
    served = serve({"outlets": {"wyoming": {"address": "tcp://127.0.0.1:0", "most_clients": 32}}})
    return served, served.ask(command="status")["addresses"]["wyoming"]


def still_hears(served: Served, beeps: np.ndarray) -> None:
    """A word now is an event now."""
    before = served.ask(command="status")
    served.hear(beeps)
    until(lambda: served.ask(command="status")["heard_s"] >= before["heard_s"] + 7.9)
    counts = served.ask(command="status")["counts"]
    assert counts["detection"] == before["counts"].get("detection", 0) + 2


MESSAGE = Event("audio-chunk", {"rate": 16000, "width": 2, "channels": 1}, b"\0" * 3200).encoded()
RUDE = {
    "garbage": os.urandom(70000),
    "4 GB payload": b'{"type": "audio-chunk", "payload_length": 4294967295}\n',
    "4 GB data": b'{"type": "x", "data_length": 4294967295}\n',
    "negative length": b'{"type": "x", "data_length": -1}\n',
    "deep nesting": b'{"type": "x", "data": ' + b"[" * 50000 + b"]" * 50000 + b"}\n",
    "a line without end": b"x" * 200000,
    "disconnect mid-message": MESSAGE[: len(MESSAGE) // 2],
    "rate of 1 Hz": Event("audio-start", {"rate": 1, "width": 2, "channels": 1}).encoded(),
    "a million channels": Event("audio-start", {"rate": 16000, "width": 2, "channels": 10**6}).encoded(),
}


@fault(
    "clients that send garbage, 4 GB lengths, deep nesting, endless lines, or stop mid-message",
    "cut off and counted, the daemon hears on",
)
def test_rude_clients(door: tuple[Served, str], beeps: np.ndarray) -> None:
    served, address = door
    for content in RUDE.values():
        for to in (lambda: wyoming(address), lambda: _control(served)):
            with contextlib.suppress(OSError), to() as client:
                client.sendall(content)
    still_hears(served, beeps)
    counts = served.ask(command="status")["counts"]
    assert counts["wyoming_broken"] >= 6 and counts["control_broken"] >= 3


def _control(served: Served) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(served.control_path))
    return client


@fault("a client that reads and writes one byte a second", "gets its answer; nobody else waits")
def test_a_slow_client(door: tuple[Served, str], beeps: np.ndarray) -> None:
    served, address = door
    line = Event("ping").encoded()
    with wyoming(address) as slow:
        for number in range(3):  # three seconds of it
            slow.sendall(line[number : number + 1])
            began_s = time.monotonic()
            assert served.ask(command="status")["event"] == "answer"
            assert time.monotonic() - began_s < 1
            time.sleep(1)
        slow.sendall(line[3:])
        assert slow.recv(1) == b"{"
    still_hears(served, beeps)


@fault(
    "a thousand connects, some left open", "refused beyond the limit and counted; descriptors stay bounded"
)
def test_a_thousand_connects(door: tuple[Served, str], beeps: np.ndarray) -> None:
    served, address = door
    kept = []
    for number in range(1000):
        with contextlib.suppress(OSError):
            client = wyoming(address)
            kept.append(client) if number % 20 == 0 else client.close()
    descriptors = len(os.listdir(f"/proc/{served.process.pid}/fd"))  # noqa: PTH208
    assert descriptors < 100
    still_hears(served, beeps)
    for client in kept:
        client.close()
    until(lambda: served.ask(command="describe")["event"] == "error")


@fault("a flood of log lines to a reader that stops", "lines are dropped and counted, every word is heard")
def test_a_log_that_nobody_reads(serve: Callable[..., Served], beeps: np.ndarray) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"\n" * 4096)
    os.set_blocking(writing, True)
    served = serve(stderr=writing)
    os.close(writing)
    still_hears(served, beeps)
    os.close(reading)


@fault(
    "a hook that hangs, fails, or is not there", "counted, and ended after its time; the next word is heard"
)
@pytest.mark.parametrize("command", [["sleep", "60"], ["false"], ["/no/such/command"]])
def test_hooks(serve: Callable[..., Served], beeps: np.ndarray, command: list[str]) -> None:
    served = serve({"outlets": {"hook": {"command": command, "timeout_s": 0.5}}})
    still_hears(served, beeps)
    until(lambda: served.ask(command="status")["counts"].get("CommandHook_failed") == 2)
    found = subprocess.run(["pgrep", "-P", str(served.process.pid)], capture_output=True)
    assert not found.stdout


@fault("mute and un-mute in a hurry while words come", "no event from before a mute is told after it")
def test_mutes_in_a_hurry(serve: Callable[..., Served], beeps: np.ndarray) -> None:
    served = serve()
    with _control(served) as client:
        served.ask(command="status")  # who asks later is answered later: the client is known by now
        client.sendall(b'{"command": "mute"}\n{"command": "unmute"}\n' * 200 + b'{"command": "mute"}\n')
        for _ in range(3):
            served.hear(beeps)
        served.has_heard(23.9)
        client.sendall(b'{"command": "unmute"}\n')
        until(lambda: served.ask(command="status")["muted"] is False)
        told = len(served.end())
        content = b""
        while part := client.recv(65536):
            content += part
    lines = [json.loads(line)["event"] for line in content.splitlines()]
    assert lines.count("detection") == told <= 1 and lines[-1] == "answer"
