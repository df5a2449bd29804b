"""The systemd unit, checked by systemd's own tools, and the watchdog, by a supervisor that means it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mirror_device.cli import main
from mirror_device.service.config import ConfigError, parse_config
from mirror_device.service.unit import unit_text
from tests.mirror_device.supervisor import Supervisor

COMMAND = [sys.executable, "-m", "mirror_device.cli", "serve", "/etc/mirror-device/mirror.yaml"]
CONFIGS = {
    "microphone alone": "{}",
    "pyaudio": "source: {kind: pyaudio}",
    "a service on loopback": "{source: {kind: none}, outlets: {wyoming: {}}}",
    "a broker": "outlets: {mqtt: {host: broker.local, password_file: /etc/mirror-device/secret}}",
    "a hook and capture": "outlets: {hook: {command: [a]}}\ncapture: {folder: /var/lib/mirror-device/x}",
}
MOST_EXPOSED = 2.0
"""Of systemd-analyze's 0 (locked in) to 10 (open)."""


def unit(text: str) -> str:
    return unit_text(parse_config(text.encode(), "mirror.yaml", toml=False), COMMAND, None)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd: apt-get install systemd")
@pytest.mark.parametrize("name", CONFIGS)
def test_systemd_finds_the_unit_right_and_safe(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mirror-device.service"
    path.write_text(unit(CONFIGS[name]))
    verified = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    ours = [line for line in verified.stderr.splitlines() if "mirror-device" in line]
    assert verified.returncode == 0 and not ours, verified.stderr
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(path)]
    judged = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", judged.stdout)
    assert found is not None and float(found.group(1)) <= MOST_EXPOSED, judged.stdout + judged.stderr


def test_the_unit_has_what_its_configuration_needs() -> None:
    alone = unit(CONFIGS["microphone alone"])
    assert "PrivateNetwork=yes" in alone and "RestrictAddressFamilies=AF_UNIX\n" in alone
    assert "DeviceAllow=char-alsa rw" in alone and "WatchdogSec=" in alone and "DynamicUser=yes" in alone
    assert "MemoryDenyWriteExecute=no" in alone and "MemoryDenyWriteExecute=yes" in unit(CONFIGS["pyaudio"])
    service = unit(CONFIGS["a service on loopback"])
    assert "IPAddressAllow=localhost" in service and "PrivateDevices=yes" in service
    assert "WatchdogSec" not in service  # no sound is due that could feed it
    broker = unit(CONFIGS["a broker"])
    assert "PrivateNetwork" not in broker and "IPAddressDeny" not in broker
    assert "LoadCredential=mqtt_password:/etc/mirror-device/secret" in broker
    assert "\nIPAddress" not in unit('outlets: {wyoming: {address: "tcp://0.0.0.0:10400"}}')


def test_places_the_service_cannot_write_to_are_refused() -> None:
    with pytest.raises(ConfigError, match="only write below /var/lib/mirror-device"):
        unit("capture: {folder: /data/kept}")
    with pytest.raises(ConfigError, match="only open sockets below /run/mirror-device"):
        unit("outlets: {control: 'unix:///tmp/control'}")


def test_install_service_writes_or_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "mirror 1.yaml"
    config.write_text("{}")
    assert main(["install-service", str(config), "--print"]) == 0
    printed = capsys.readouterr().out
    assert f'"{config}"' in printed and "%" not in printed
    assert main(["install-service", str(config), "--to", str(tmp_path)]) == 0
    assert (tmp_path / "mirror-device.service").read_text() == printed
    assert main(["install-service", "--to", str(tmp_path / "nowhere")]) == 2
    assert "run it as root" in capsys.readouterr().err


@pytest.fixture
def paced() -> Iterator[tuple[int, threading.Event]]:
    """A pipe into which a microphone's worth of sound flows, in real time, until the event is set."""
    reading, writing = os.pipe()
    silent = threading.Event()
    os.set_blocking(writing, False)
    block = np.random.default_rng(0).normal(0, 30, 1280).astype("<i2").tobytes()

    def flow() -> None:
        due_s = time.monotonic()
        while not ended.is_set():
            due_s += 0.08
            if not silent.is_set():
                with contextlib.suppress(BlockingIOError):  # sound that nobody takes is lost
                    os.write(writing, block)
            time.sleep(max(0.0, due_s - time.monotonic()))

    ended = threading.Event()
    thread = threading.Thread(target=flow, daemon=True)
    thread.start()
    yield reading, silent
    ended.set()
    thread.join()
    os.close(reading)
    os.close(writing)


def wait_for(true: object, seconds: float = 20.0) -> None:
    end_s = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end_s
        time.sleep(0.02)


@pytest.mark.fault(
    "audio loop frozen (SIGSTOP), or no sound", "the watchdog kills it and it listens again within 5 s"
)
@pytest.mark.parametrize("fault", ["stopped", "no sound"])
def test_a_frozen_daemon_is_killed_and_listens_again(
    fault: str, tmp_path: Path, tiny_model: Path, paced: tuple[int, threading.Event]
) -> None:
    sound, silent = paced
    config = tmp_path / "mirror.yaml"
    outlets = {"control": None, "json_lines": False}
    config.write_text(
        json.dumps({"models": [str(tiny_model)], "source": {"kind": "stdin"}, "outlets": outlets})
    )
    command = [sys.executable, "-m", "mirror_device.cli", "serve", str(config)]
    watchdog_s = 1.5
    with Supervisor(command, tmp_path, watchdog_s, sound, subprocess.DEVNULL) as supervisor:
        wait_for(lambda: supervisor.lives and len(supervisor.lives[0].pets_s) >= 5)
        first = supervisor.lives[0]
        assert max(first.gaps_s) < watchdog_s
        if fault == "stopped":
            os.kill(first.pid, signal.SIGSTOP)
        else:
            silent.set()
        frozen_s = time.monotonic()
        wait_for(lambda: first.ended_s is not None)
        silent.clear()
        assert first.killed_by_watchdog and first.status == -signal.SIGKILL
        assert first.ended_s is not None and first.ended_s - frozen_s < watchdog_s + 0.5
        wait_for(lambda: len(supervisor.lives) > 1 and len(supervisor.lives[-1].pets_s) >= 3)
        again = supervisor.lives[-1]
        assert again.ready_s is not None and first.ready_s is not None
        # On a machine that is busy with other things, the start itself may take longer.
        assert again.ready_s - first.ended_s < max(5.0, 1.5 * (first.ready_s - first.started_s))
