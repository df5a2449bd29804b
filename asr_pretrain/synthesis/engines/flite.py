"""flite through its C library: one diphone voice and three built from recorded people.

API: http://www.festvox.org/flite/doc/ and the headers of flite 2.2 (cst_voice.h, cst_wave.h, cst_features.h).
"""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from asr_pretrain.synthesis.voices import SynthesisError, Voice, draw_speaker, shape

INSTALL = "apt-get install libflite1"
READS_ALONE = True
VERSION = "2.2"
_DIPHONES = "kal16"
# Voices and their shares: the diphone voice costs 1 ms a second of speech, the others 15.
_VOICES = {"kal16": 0.4, "awb": 0.2, "rms": 0.2, "slt": 0.2}
_RATE_WPM = 160  # of the voices as they are
_PITCH_HZ, _SPREAD_HZ = 95.0, 11.0  # kal16's own


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _FliteVoice(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("features", ctypes.c_void_p))


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(f"libflite.so.{VERSION}", mode=ctypes.RTLD_GLOBAL)
    for part in ("usenglish", "cmulex"):
        ctypes.CDLL(f"libflite_{part}.so.{VERSION}", mode=ctypes.RTLD_GLOBAL)
    library.flite_text_to_wave.restype = ctypes.POINTER(_Wave)
    library.flite_text_to_wave.argtypes = [ctypes.c_char_p, ctypes.POINTER(_FliteVoice)]
    library.delete_wave.argtypes = [ctypes.POINTER(_Wave)]
    library.feat_set_float.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]
    library.flite_init()
    return library


@functools.cache
def _voice(name: str) -> ctypes._Pointer[_FliteVoice]:
    _library()
    register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.{VERSION}"), f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.POINTER(_FliteVoice), [ctypes.c_char_p]
    return register(None)


@functools.cache
def _warm() -> None:
    """Sets every feature and speaks once with each voice: the first time sounds unlike all later ones."""
    diphones = {"duration_stretch": 1.0, "int_f0_target_mean": _PITCH_HZ, "int_f0_target_stddev": _SPREAD_HZ}
    for name in _VOICES:
        _say("hello there", name, diphones if name == _DIPHONES else {"f0_shift": 1.0})


def _say(text: str, name: str, settings: dict[str, float]) -> tuple[np.ndarray, int]:
    """Samples (n,), n possibly 0, and their rate in Hz."""
    library, speaker = _library(), _voice(name)
    for feature, value in settings.items():
        library.feat_set_float(speaker.contents.features, feature.encode(), value)
    _libc().srand(1)  # the excitation's noise comes from the C library
    wave = library.flite_text_to_wave(text.encode("ascii", "ignore"), speaker)
    if not wave or wave.contents.num_samples == 0:
        return np.zeros(0, np.int16), 16000
    samples = np.ctypeslib.as_array(wave.contents.samples, (wave.contents.num_samples,)).copy()
    rate_hz = int(wave.contents.sample_rate)
    library.delete_wave(wave)
    return samples, rate_hz


@functools.cache
def version() -> str | None:
    """2.2, the only one whose structures are known here, or None."""
    try:
        for name in _VOICES:
            _voice(name)
    except (OSError, AttributeError):
        return None
    return VERSION


def draw_voice(rng: np.random.Generator) -> Voice:
    """One of the four speakers, with another tract, pitch, rate and spectrum."""
    return draw_speaker(rng, str(rng.choice(list(_VOICES), p=list(_VOICES.values()))))


def start_voice(voice: Voice) -> None:
    """Nothing is kept from one text to the next but random numbers, which `speak` seeds."""


def speak(text: str, voice: Voice) -> np.ndarray:
    """int16 (n,) at 16 kHz.

    Raises:
        SynthesisError: nothing was spoken.
    """
    _warm()
    higher = 2 ** ((voice.pitch - 50) / 60)
    settings = {"f0_shift": higher}  # of the recorded voices, whose rate is fixed
    if voice.accent == _DIPHONES:
        settings = {
            "duration_stretch": _RATE_WPM / voice.rate_wpm,
            "int_f0_target_mean": _PITCH_HZ * higher,
            "int_f0_target_stddev": _SPREAD_HZ * voice.pitch_range / 50,
        }
    samples, rate_hz = _say(text, voice.accent, settings)
    if not len(samples):
        raise SynthesisError(f"flite speaks nothing for {text[:60]!r} with voice {voice.accent!r}")
    return shape(samples, rate_hz, text, voice)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
