"""The fault suite, system: files, disks, signals, memory, clocks and processors that fail the daemon."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirror_device.detector import MODELS_FOLDER
from mirror_device.service.config import (
    Capture,
    Config,
    ConfigError,
    Hook,
    Mqtt,
    Outlets,
    Reference,
    Source,
    Word,
    Wyoming,
    to_document,
    validated,
)
from tests.mirror_device.served import Served, until

fault = pytest.mark.fault
CLI = [sys.executable, "-m", "mirror_device.cli"]
MOST_S = 5.0
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def make_model(kind: str, path: Path) -> None:
    content = (MODELS_FOLDER / "smart_mirror.onnx").read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "flipped":
        path.write_bytes(content[:100] + bytes(byte ^ 0xFF for byte in content[100:300]) + content[300:])
    elif kind == "empty":
        path.touch()
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "of huge declared sizes":  # a graph of 2^62 bytes
        path.write_bytes(b"\x3a" + b"\xff" * 8 + b"\x3f" + content)
    elif kind == "unreadable":
        path.symlink_to("/proc/self/mem")


@fault(
    "model truncated, flipped, empty, a folder, a FIFO, a device, of huge declared sizes, missing",
    "refused by name within 5 s, status 2, nothing read without bound",
)
@pytest.mark.parametrize(
    "kind",
    [
        "truncated",
        "flipped",
        "empty",
        "a folder",
        "a FIFO",
        "a device",
        "of huge declared sizes",
        "unreadable",
    ],
)
def test_models(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    make_model(kind, path)
    began_s = time.monotonic()
    command = [*CLI, "serve", "--source", "stdin", "--model", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 2 and "model.onnx" in done.stderr and "Traceback" not in done.stderr
    assert time.monotonic() - began_s < MOST_S


def in_a_small_disk(folder: Path, kilobytes: int) -> tuple[str, ...]:
    """Runs a command where ``folder`` is a disk of its own."""
    mount = f'mount -t tmpfs -o size={kilobytes}k none {folder} && exec "$@"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount, "sh", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    return ("unshare", "-rm", "sh", "-c", mount, "sh")


@fault("disk full", "what cannot be kept is counted, events go on")
def test_a_full_disk(serve: Callable[..., Served], beeps: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    served = serve({"capture": {"folder": str(folder)}}, prefix=in_a_small_disk(folder, 160))
    served.hear(np.tile(beeps, 3))
    served.has_heard(23.9)
    counts = served.ask(command="status")["counts"]
    assert counts["detection"] == 6 and counts["Keeper_failed"] >= 3
    served.end()


@fault("disk that turns read-only", "what cannot be kept is counted, events go on")
def test_a_read_only_disk(serve: Callable[..., Served], beeps: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    served = serve({"capture": {"folder": str(folder)}}, prefix=in_a_small_disk(folder, 4096))
    served.hear(beeps)
    until(lambda: served.ask(command="status")["counts"].get("Keeper_given") == 2)
    inside = ["nsenter", "-t", str(served.process.pid), "-U", "-m", "--preserve-credentials"]
    subprocess.run([*inside, "mount", "-o", "remount,ro", folder], check=True)
    served.hear(beeps)
    until(lambda: served.ask(command="status")["counts"].get("Keeper_failed") == 2)
    assert served.ask(command="status")["counts"]["detection"] == 4
    served.end()


@fault(
    "SIGTERM, SIGINT, SIGHUP at any moment", "ends within a second or two with status 0, or before it began"
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_at_any_moment(number: signal.Signals, tiny_model: Path) -> None:
    rng = np.random.default_rng(int(number))
    command = [*CLI, "serve", "--source", "stdin", "--model", str(tiny_model)]
    for delay_s in rng.uniform(0.0, 2.0, 4):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(delay_s)
        process.send_signal(number)
        _, errors = process.communicate(timeout=MOST_S)
        # Before the handler is there, the signal itself ends the interpreter.
        assert process.returncode in (0, -number) or b"KeyboardInterrupt" in errors, errors


@fault("process suspended for 3 s", "what waited is heard in order, once, and nothing is told twice")
def test_a_suspended_process(serve: Callable[..., Served], beeps: np.ndarray) -> None:
    served = serve()
    served.hear(beeps[:16000])
    served.has_heard(0.9)
    os.kill(served.process.pid, signal.SIGSTOP)
    time.sleep(3)
    os.kill(served.process.pid, signal.SIGCONT)
    served.hear(beeps[16000:])
    assert [round(event["time_s"]) for event in served.end()] == [2, 5]


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime: apt-get install faketime")
@fault("wall clock jumps a day back and a year ahead", "nothing changes: no rule looks at it")
def test_a_wall_clock_that_jumps(serve: Callable[..., Served], beeps: np.ndarray, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    served = serve(environment=environment)
    for jump in ("-1d", "+1y", "+0"):
        clock.write_text(f"{jump}\n")
        served.hear(beeps)
    served.has_heard(23.9)
    assert served.ask(command="status")["up_s"] < 60
    assert [round(event["time_s"]) for event in served.end()] == [2, 5, 10, 13, 18, 21]


@fault("memory cannot be had at a restart", "ends with an error and not with status 0; nothing hangs")
@pytest.mark.parametrize("most_mb", [30, 60, 100, 150])
def test_no_memory(most_mb: int, tiny_model: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (most_mb << 20, most_mb << 20))

    command = [*CLI, "serve", "--source", "stdin", "--model", str(tiny_model)]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=30, preexec_fn=limit)
    assert done.returncode != 0


@pytest.mark.slow
@fault("four busy loops on two cores", "every word is an event within 0.4 s of its end")
def test_busy_loops(serve: Callable[..., Served], beeps: np.ndarray) -> None:
    served = serve()
    assert served.process.stdout is not None
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        due_s, late_s = time.monotonic(), []
        for step in range(len(beeps) // 1280):
            due_s += 0.08
            time.sleep(max(0.0, due_s - time.monotonic()))
            served.hear(beeps[step * 1280 : (step + 1) * 1280])
            if step + 1 in (29, 66):  # 0.3 s into a beep of 0.4 s: it has fired by then, or is late
                served.process.stdout.readline()
                late_s.append(time.monotonic() - due_s)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert max(late_s) < 0.4, late_s


FULL = Config(
    words={"smart mirror": Word(0.5, 1.0)},
    source=Source("wav", "USB", Path("a.wav"), "tcp://127.0.0.1:1"),
    outlets=Outlets(wyoming=Wyoming(), mqtt=Mqtt("host"), hook=Hook(["a"]), metrics="tcp://127.0.0.1:9464"),
    capture=Capture(Path("folder")),
    reference=Reference(Source("wav", path=Path("b.wav"))),
)


def leaves(document: Any, place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of a configuration."""
    found = []
    for key, value in document.items():
        found.append((*place, key))
        if isinstance(value, dict):
            found += leaves(value, (*place, key))
    return found


@fault(
    "every configuration value of a wrong type or out of range, every key misspelt",
    "refused by the key's name, status 2",
)
def test_every_configuration_value() -> None:
    places = leaves(to_document(FULL))
    assert len(places) > 50
    for place in places:
        for wrong in ({"no": {"such": "key"}}, -1e300, float("nan"), [[[]]]):
            document = to_document(FULL)
            holder = document
            for key in place[:-1]:
                holder = holder[key]
            if place == ("words",) and wrong == {"no": {"such": "key"}}:
                continue  # refused, but as a word's key
            holder[place[-1]] = wrong
            with pytest.raises(ConfigError) as caught:
                validated(document, "mirror.yaml")
            assert place[-1] in str(caught.value) or place[0] in str(caught.value), (place, wrong)
        document = to_document(FULL)
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1] + "x"] = holder[place[-1]]
        if place[0] == "words" and len(place) == 2:
            continue  # another word is no error here; the daemon asks its models
        with pytest.raises(ConfigError, match=f"{place[-1]}x"):
            validated(document, "mirror.yaml")
