"""espeak-ng in this process, through the library and data that the `espeakng-loader` wheel bundles.

    samples, rate_hz = engine().synthesize("smart mirror", voice="en-us+f3", rate_wpm=160)
    engine().ipa("smart mirror")       # [['s', 'm', 'ˈɑːɹ', 't'], ['m', 'ˈɪ', 'ɹ', 'ɚ']]

The C library keeps one voice and one set of parameters for the whole process, so there is one `Engine`,
reached by `engine()`; a lock serialises its calls. A forked worker inherits a usable engine.

API: https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h
"""

from __future__ import annotations

import _ctypes
import ctypes
import functools
import math
import re
import threading
from pathlib import Path

import numpy as np

MAX_TEXT_CHARS = 5000
"""Longest text accepted, about six minutes of speech; LibriSpeech's longest has under 600 characters."""

_CHARS_UTF8 = 1
_INPUT_PHONEMES = 0x100
_PHONEMES_IPA = 0x02
_SEPARATOR = "_"
_OUTPUT_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_BUFFER_MS = 2000
_RATE, _PITCH, _RANGE, _WORD_GAP = 1, 3, 4, 7
_LANGUAGE_SWITCH = re.compile(r"\([a-z][a-zA-Z-]*\)")
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff]|[\ud800-\udfff]|\[\[|\]\]")
_DEFAULT_PITCH_HZ = (82.0, 118.0)
_LEAST_PITCH_HZ = 30.0
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakError(ValueError):
    """The text, voice or installation cannot be used; the message says which and what to do."""


def clean_text(text: str) -> str:
    """Text that the C library reads to its end: no control characters, no phoneme brackets, bounded.

    Raises:
        EspeakError: the text is empty or longer than `MAX_TEXT_CHARS`.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise EspeakError(
            f"text of {len(text):,} characters ({text[:30]!r}…): split it, at most {MAX_TEXT_CHARS:,} each"
        )
    cleaned = " ".join(_UNSPEAKABLE.sub(" ", text).split())
    if not cleaned:
        raise EspeakError(f"empty text {text[:30]!r}: give at least one word")
    return cleaned


def _language_files(folder: Path) -> dict[str, str]:
    """Lower-case language code → file to load it from: British English is `en-gb`, but its file is `en`."""
    files: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        codes = [line.split()[1] for line in lines if line.startswith("language ")][:1]
        for code in (path.name, *codes):
            files.setdefault(code.lower(), path.name)
    return files


def _pitch_line(path: Path) -> tuple[float, float] | None:
    """`pitch 82 118` of a voice file: Hz at the bottom and top of its range; None without one."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == "pitch" and all(word.isdigit() for word in words[1:3]):
            return float(words[1]), float(words[2])
    return None


def bearable_melody(voice_hz: tuple[float, float], pitch: int, pitch_range: int) -> tuple[int, int]:
    """Pitch and range that keep a voice's lowest tone above 30 Hz: below zero the library crashes.

    Its rule (SetPitch2 in wavegen.c): the lowest tone is (bottom - 9 Hz) times half of 2^(pitch / 50),
    less 0.47 of the voice's span for each doubling of the range above 50.
    """
    bottom_hz, span_hz = voice_hz[0] - 9.0, max(voice_hz[1] - voice_hz[0], 1.0)
    least = 50 * math.log2(max(2 * _LEAST_PITCH_HZ / max(bottom_hz, 1.0), 1.0))
    pitch = min(max(pitch, math.ceil(least)), 99)
    spare_hz = bottom_hz * 0.5 * 2 ** (pitch / 50) - _LEAST_PITCH_HZ
    most = 50 + 50 * max(spare_hz, 0.0) / (span_hz * 108 * 18 / 4096)
    return pitch, min(pitch_range, int(most))


class Engine:
    """The library, loaded and initialised. Use `engine()`: two in one process would share the C state."""

    def __init__(self, library_path: str, data_path: str) -> None:
        self._library_path = library_path
        self.data_path = Path(data_path)
        self._lock = threading.Lock()
        self._blocks: list[bytes] = []
        # Kept on the object: ctypes would otherwise free it while the library still holds the pointer.
        self._callback = _CALLBACK(self._receive)
        self._load()
        self._variants = tuple(sorted(path.name for path in (self.data_path / "voices" / "!v").iterdir()))
        self._files = _language_files(self.data_path / "lang")
        by_name = {path.name: path for path in (self.data_path / "lang").rglob("*") if path.is_file()}
        self._language_pitch_hz = {
            code: _pitch_line(by_name[file]) or _DEFAULT_PITCH_HZ for code, file in self._files.items()
        }

    def _load(self) -> None:
        try:
            library = ctypes.CDLL(self._library_path)
        except OSError as error:
            raise EspeakError(
                f"{self._library_path}: does not load ({error}); reinstall espeakng-loader"
            ) from error
        library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.espeak_SetSynthCallback.argtypes = [_CALLBACK]
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
        text, size, number, pointer = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_void_p
        library.espeak_Synth.argtypes = [text, size, number, ctypes.c_int, number, number, pointer, pointer]
        library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(text), ctypes.c_int, ctypes.c_int]
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.sample_rate_hz = int(
            library.espeak_Initialize(
                _OUTPUT_SYNCHRONOUS, _BUFFER_MS, str(self.data_path).encode(), _DONT_EXIT
            )
        )
        if self.sample_rate_hz <= 0:
            raise EspeakError(f"{self.data_path}: espeak-ng finds no data there; reinstall espeakng-loader")
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the clock's, heard in breathy variants
        library.espeak_SetSynthCallback(self._callback)
        self._library = library
        self._voice = ""
        self._parameters: dict[int, int] = {}

    def _reload(self) -> None:
        """Forget what earlier utterances left behind (phase, flutter): speech then depends on its text alone.

        Those are static variables which no call resets; unloading the library does, in 0.4 ms.
        """
        self._library.espeak_Terminate()
        if hasattr(_ctypes, "dlclose"):  # not on Windows: there, repeats may differ by a few samples
            _ctypes.dlclose(self._library._handle)
        self._load()

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: int | None) -> int:
        if samples and count > 0:
            self._blocks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def _set_voice(self, name: str) -> None:
        if name == self._voice:
            return
        # The library ignores an unknown variant in silence, so names are looked up here.
        language, plus, variant = name.partition("+")
        file = self._files.get(language.lower())
        if file is None:
            raise EspeakError(f"unknown language {language!r} in voice {name!r}: see Engine.languages()")
        if plus and variant not in self._variants:
            raise EspeakError(f"unknown variant {variant!r} in voice {name!r}: see Engine.variants()")
        if self._library.espeak_SetVoiceByName(f"{file}{plus}{variant}".encode()) != 0:
            self._voice = ""
            raise EspeakError(
                f"voice {name!r} does not load from {self.data_path}: reinstall espeakng-loader"
            )
        self._voice = name
        self._parameters.clear()  # the library resets them to the voice's own

    def _pitch_hz(self, name: str) -> tuple[float, float]:
        """The variant's pitch, else the language's, else the library's own."""
        language, _, variant = name.partition("+")
        own = _pitch_line(self.data_path / "voices" / "!v" / variant) if variant else None
        return own or self._language_pitch_hz.get(language.lower(), _DEFAULT_PITCH_HZ)

    def _set_parameter(self, parameter: int, value: int) -> None:
        if self._parameters.get(parameter) != value:
            self._library.espeak_SetParameter(parameter, value, 0)
            self._parameters[parameter] = value

    def forget(self) -> None:
        """The next call of `synthesize` is as if `fresh`."""
        with self._lock:
            self._reload()

    def variants(self) -> tuple[str, ...]:
        """Names of the bundled voice variants (the part after `+`), sorted."""
        return self._variants

    def languages(self) -> tuple[str, ...]:
        """Codes of the bundled languages and accents (`en-us`, `de`, …), sorted."""
        return tuple(sorted(self._files))

    def synthesize(
        self,
        text: str,
        voice: str = "en-us",
        *,
        rate_wpm: int = 175,
        pitch: int = 50,
        pitch_range: int = 50,
        word_gap: int = 0,
        phonemes: bool = False,
        fresh: bool = True,
    ) -> tuple[np.ndarray, int]:
        """Speak a text; the same arguments give the same samples.

        Args:
            text: text of the voice's language; with `phonemes`, espeak mnemonics without the brackets.
            voice: language code, optionally `+variant`.
            rate_wpm: words a minute, 80 to 450.
            pitch: 0 to 99, 50 being the voice's own. pitch_range: 0 to 99.
            word_gap: pause between words, in units of 10 ms at 175 words a minute.
            fresh: False saves the 3 ms that loading the voice again takes, but speech then depends on all
                calls since the last fresh one: for fixed sequences of texts by one voice.

        Returns:
            int16 samples (n,), and their rate in Hz.

        Raises:
            EspeakError: empty or too long text, unknown voice, or nothing spoken.
        """
        cleaned = clean_text(text)
        encoded = (f"[[{cleaned}]]" if phonemes else cleaned).encode()
        flags = _CHARS_UTF8 | (_INPUT_PHONEMES if phonemes else 0)
        with self._lock:
            if fresh:
                self._reload()
            self._set_voice(voice)
            pitch, pitch_range = bearable_melody(self._pitch_hz(voice), pitch, pitch_range)
            self._set_parameter(_RATE, rate_wpm)
            self._set_parameter(_PITCH, pitch)
            self._set_parameter(_RANGE, pitch_range)
            self._set_parameter(_WORD_GAP, word_gap)
            self._blocks.clear()
            status = self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, flags, None, None)
            samples = np.frombuffer(b"".join(self._blocks), dtype=np.int16)
            self._blocks.clear()
        if status != 0 or len(samples) == 0:
            raise EspeakError(f"espeak-ng speaks nothing for {text[:60]!r} with voice {voice!r}")
        return samples, self.sample_rate_hz

    def ipa(self, text: str, language: str = "en-us") -> list[list[str]]:
        """IPA symbols of a text, a list for each spoken word, with stress and length marks.

        Raises:
            EspeakError: empty or too long text, or an unknown language.
        """
        encoded = clean_text(text).encode()
        mode = _PHONEMES_IPA | (ord(_SEPARATOR) << 8)
        clauses = []
        with self._lock:
            self._set_voice(language)
            position = ctypes.c_char_p(encoded)
            while position.value:  # one clause a call; the library moves the pointer, NULL at the end
                part = self._library.espeak_TextToPhonemes(ctypes.byref(position), _CHARS_UTF8, mode)
                if part:
                    clauses.append(part.decode("utf-8", errors="replace"))
        plain = _LANGUAGE_SWITCH.sub("", " ".join(clauses))
        return [[symbol for symbol in word.split(_SEPARATOR) if symbol] for word in plain.split()]


@functools.cache
def engine() -> Engine:
    """The process's one engine, loaded on first use.

    Raises:
        EspeakError: the wheel is missing or broken.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise EspeakError(
            "speech synthesis needs espeakng-loader: pip install 'rearview-wakeword[train]'"
        ) from error
    return Engine(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
