"""festival's diphone voices, in one server process for this one: Scheme goes in, files of samples come out.

Manual: http://www.festvox.org/docs/manual-2.4.0/festival_toc.html
"""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from asr_pretrain.synthesis.voices import SynthesisError, Voice, draw_speaker, shape

INSTALL = "apt-get install festival festvox-kallpc16k festvox-kdlpc16k"
READS_ALONE = True
_VOICES = ("kal_diphone", "ked_diphone")
_FOLDERS = (Path("/usr/share/festival/voices"), Path("/usr/local/share/festival/voices"))
_RATE_WPM = 160
_PITCH_HZ, _SPREAD_HZ = 105.0, 14.0  # int_lr_params of both voices
_DONE = "=done="
_SAMPLE_RATE_HZ = 16000


@functools.cache
def version() -> str | None:
    """As `festival --version` says it; None without the program or without one of the voices."""
    program = shutil.which("festival")
    voices = {path.name for folder in _FOLDERS for path in folder.glob("*/*")}
    if program is None or not voices.issuperset(_VOICES):
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+(\.\d+)+", said)
    return found.group() if found else None


class _Server:
    """A festival that reads commands from a pipe."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="festival-")
        self._file = Path(self._folder.name) / "samples.raw"
        self._voice = ""
        self._process = subprocess.Popen(
            ["festival", "--pipe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        atexit.register(self.close)

    def close(self) -> None:
        atexit.unregister(self.close)
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _send(self, scheme: str) -> bool:
        """Whether the commands were carried out: an error ends a festival that reads from a pipe."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return False
        try:
            stdin.write(f'{scheme}\n(format t "\\n{_DONE}\\n")\n(fflush nil)\n')
            stdin.flush()
        except OSError:
            return False
        return any(line.strip() == _DONE for line in stdout)

    def say(self, text: str, voice: Voice) -> np.ndarray | None:
        """int16 (n,), or None when festival failed, and is gone then."""
        higher = 2 ** ((voice.pitch - 50) / 60)
        change = f"(voice_{voice.accent})" if voice.accent != self._voice else ""
        melody = (
            f"((target_f0_mean {_PITCH_HZ * higher:.2f}) "
            f"(target_f0_std {_SPREAD_HZ * voice.pitch_range / 50:.2f}) "
            "(model_f0_mean 170) (model_f0_std 34))"
        )
        quoted = text.replace("\\", " ").replace('"', " ")
        self._file.unlink(missing_ok=True)
        sent = self._send(
            f"{change}(set! int_lr_params '{melody})"
            f"(Parameter.set 'Duration_Stretch {_RATE_WPM / voice.rate_wpm:.4f})"
            f'(utt.save.wave (utt.synth (Utterance Text "{quoted}")) "{self._file}" \'raw)'
        )
        self._voice = voice.accent
        return np.fromfile(self._file, dtype=np.int16) if sent and self._file.is_file() else None


@functools.cache
def _server() -> _Server:
    return _Server()


def draw_voice(rng: np.random.Generator) -> Voice:
    """One of the two speakers, with another tract, pitch, rate and spectrum."""
    return draw_speaker(rng, str(rng.choice(_VOICES)))


def start_voice(voice: Voice) -> None:
    """A text's speech depends on nothing before it."""


def speak(text: str, voice: Voice) -> np.ndarray:
    """int16 (n,) at 16 kHz.

    Raises:
        SynthesisError: festival cannot speak the text.
    """
    samples = _server().say(text, voice)
    if samples is None or len(samples) == 0:
        _server().close()
        _server.cache_clear()
        raise SynthesisError(f"festival does not speak {text[:60]!r} with voice {voice.accent!r}")
    return shape(samples, _SAMPLE_RATE_HZ, text, voice)
