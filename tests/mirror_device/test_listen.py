"""``mirror-device listen`` as a process: events, exit statuses, signals, pipes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from mirror_device import Detector
from mirror_device.cli import main

LISTEN = [sys.executable, "-m", "mirror_device.cli", "listen"]


def write_wav(path: Path, sound: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())
    return path


def start(*arguments: str | Path, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*LISTEN, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )  # type: ignore[call-overload]


def events(out: bytes | str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_recording_gives_one_json_line_a_detection(
    tmp_path: Path, tiny_model: Path, beeps: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_wav(tmp_path / "drive.wav", beeps)
    assert main(["listen", str(path), "--model", str(tiny_model), "--json"]) == 0
    out, err = capsys.readouterr()
    heard = Detector(tiny_model).process(beeps)
    assert err == "" and len(heard) == 2
    assert events(out) == [
        {
            "event": "detection",
            "keyword": "loud sound",
            "time_s": round(d.time_s, 3),
            "score": round(d.score, 4),
            "model": "tiny 0.0.1",
            "seq": seq,
        }
        for seq, d in enumerate(heard, start=1)
    ]


def test_the_last_partial_step_is_padded_with_zeros(
    tmp_path: Path, tiny_model: Path, beeps: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = beeps[: 25 * 1280 + 1000]  # the tone starts with step 26, and one step is enough at 0.2
    path = write_wav(tmp_path / "cut.wav", cut)
    assert main(["listen", str(path), "--model", str(tiny_model), "--threshold", "0.2"]) == 0
    assert [event["time_s"] for event in events(capsys.readouterr().out)] == [26 * 0.08]


def test_standard_input_whatever_the_sizes_of_its_pieces(tiny_model: Path, beeps: np.ndarray) -> None:
    process = start("-", "--model", tiny_model, stdin=subprocess.PIPE)
    assert process.stdin and process.stdout
    content = beeps.astype("<i2").tobytes()
    for size, first in ((3, 0), (5001, 3), (len(content), 5004)):  # odd sizes cut samples in two
        process.stdin.write(content[first : first + size])
        process.stdin.flush()
        time.sleep(0.05)
    out, err = process.communicate(timeout=20)
    heard = Detector(tiny_model).process(beeps)
    assert process.returncode == 0 and err == b""
    assert [event["time_s"] for event in events(out)] == [round(d.time_s, 3) for d in heard]


def test_an_odd_byte_at_the_end_is_reported(tiny_model: Path) -> None:
    done = subprocess.run([*LISTEN, "-", "--model", str(tiny_model)], input=bytes(3201), capture_output=True)
    assert done.returncode == 0 and b"inside a sample" in done.stderr


def test_events_come_at_once(tiny_model: Path, beeps: np.ndarray) -> None:
    process = start("-", "--model", tiny_model, stdin=subprocess.PIPE)
    assert process.stdin and process.stdout
    process.stdin.write(beeps[:48000].tobytes())
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["seq"] == 1  # standard input is still open
    process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("state", ["waiting", "reading", "output blocked"])
def test_a_signal_ends_it_within_a_second(
    tiny_model: Path, beeps: np.ndarray, number: signal.Signals, state: str
) -> None:
    process = start("-", "--model", tiny_model, "--threshold", "0.0", stdin=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(beeps[:2560].tobytes())
    process.stdin.flush()
    process.stdout.readline()  # it is up
    os.set_blocking(process.stdin.fileno(), False)
    if state != "waiting":
        noise = beeps.tobytes() * 100
        until_s = time.monotonic() + (0.3 if state == "reading" else 3.0)
        while time.monotonic() < until_s:  # nobody reads the events: 64 KiB fill the pipe
            if state == "reading":
                os.set_blocking(process.stdout.fileno(), False)
                process.stdout.read()
            try:
                os.write(process.stdin.fileno(), noise)
            except BlockingIOError:
                time.sleep(0.01)
    began_s = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=5) == 0
    assert time.monotonic() - began_s < 1.0
    assert process.stderr.read() == b""


def test_a_closed_output_ends_it_cleanly(tiny_model: Path, beeps: np.ndarray) -> None:
    process = start("-", "--model", tiny_model, stdin=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    with contextlib.suppress(BrokenPipeError):  # it may end before it has read everything
        process.stdin.write(beeps.tobytes())
        process.stdin.flush()
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nowhere.wav"], "nowhere.wav"),
        (["x.wav", "--model", "no_such_model"], "no_such_model"),
        (["x.wav", "--threshold", "2"], "threshold 2.0"),
        (["x.wav", "--device", "3"], "--device 3"),
    ],
)
def test_unusable_input_exits_2(
    tiny_model: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["listen", "--model", str(tiny_model), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and words in err and err.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["listen"], ["devices"]])
def test_help_is_quick(command: list[str]) -> None:
    code = (
        "import sys\n"
        "from mirror_device.cli import main\n"
        f"try: main({[*command, '--help']})\n"
        "except SystemExit as e: print(e.code, {'numpy', 'onnxruntime', 'sounddevice'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("0 set()\n") and "example" in out
