"""The daemon's one file, YAML or TOML: every key with its range, unknown keys refused by name.

By msgspec, not pydantic as elsewhere: it takes 1 MB of memory for as long as the daemon runs, pydantic 18.
"""

from __future__ import annotations

import re
import tomllib
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from mirror_device.service.decision import Rules
from mirror_device.update import FOLDER

MAX_FILE_BYTES = 1 << 20

Address = Annotated[str, Meta(pattern=r"^(tcp://[^/\s]+:\d{1,5}|unix:///\S+)$")]
"""``tcp://127.0.0.1:10400`` or ``unix:///run/mirror/events``."""
Share = Annotated[float, Meta(ge=0, le=1)]
Shift = Annotated[float, Meta(ge=-1, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=600)]
Topic = Annotated[str, Meta(pattern=r"^[^#+\s]{1,200}$")]
Text = Annotated[str, Meta(min_length=1, max_length=255)]
Point = tuple[Annotated[float, Meta(ge=-200, le=1000)], Shift]
Curve = Annotated[list[Point], Meta(max_length=64)]


class ConfigError(ValueError):
    """A configuration that cannot be used; names the file, the key, the value and the remedy."""


class Word(Struct, frozen=True, forbid_unknown_fields=True):
    """What one wake word has of its own; the model's values where nothing is given."""

    threshold: Share | None = None
    refractory_s: Seconds | None = None


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the sound comes from."""

    kind: Literal["sounddevice", "pyaudio", "wav", "stdin", "socket", "none"] = "sounddevice"
    device: Text | None = None
    """Microphone: number, part of its name, or ALSA name such as ``plughw:1,0``."""
    path: Path | None = None
    """Of a WAV file."""
    address: Address | None = None
    """Raw int16 16 kHz mono is accepted there, from one client at a time."""

    def __post_init__(self) -> None:
        wanted = {"wav": "path", "socket": "address"}.get(self.kind)
        if wanted and getattr(self, wanted) is None:
            raise ValueError(f"a source of kind {self.kind} needs {wanted}")


class DecisionRules(Struct, frozen=True, forbid_unknown_fields=True):
    """The rules between a score and an event; `mirror_device/service/decision.py` has them."""

    smoothing_steps: Annotated[int, Meta(ge=1, le=50)] = 1
    double_trigger_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    by_noise_dbfs: Curve = []
    by_speed_kmh: Curve = []
    while_speaking: Shift | None = None
    speaking_tail_s: Annotated[float, Meta(ge=0, le=60)] = 0.5
    voice_gate_db: Annotated[float, Meta(ge=0, le=60)] | None = None
    near_miss: Share | None = None

    def __post_init__(self) -> None:
        for name in ("by_noise_dbfs", "by_speed_kmh"):
            curve = getattr(self, name)
            if any(right[0] <= left[0] for left, right in zip(curve, curve[1:], strict=False)):
                raise ValueError(f"the first numbers of {name} must ascend")

    def rules(self) -> Rules:
        return Rules(**msgspec.structs.asdict(self))


class Wyoming(Struct, frozen=True, forbid_unknown_fields=True):
    """Home Assistant's voice protocol."""

    address: Address = "tcp://127.0.0.1:10400"
    most_clients: Annotated[int, Meta(ge=1, le=256)] = 8


class Mqtt(Struct, frozen=True, forbid_unknown_fields=True):
    """An MQTT broker, with last will and Home Assistant discovery."""

    host: Text
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    topic: Topic = "rearview"
    username: Text | None = None
    password_file: Path | None = None
    """Its first line is the password."""
    tls: bool = False
    discovery: Topic | None = "homeassistant"
    """Home Assistant's discovery prefix; null for none."""


class Hook(Struct, frozen=True, forbid_unknown_fields=True):
    """A command that is run for each event, which it gets as JSON in $MIRROR_EVENT."""

    command: Annotated[list[str], Meta(min_length=1, max_length=100)]
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 10.0


class Outlets(Struct, frozen=True, forbid_unknown_fields=True):
    """Where events go; none can hold up the others, or the listening."""

    json_lines: bool = True
    """On standard output."""
    control: Address | None = "unix:///run/mirror-device/control"
    """Events as JSON lines, and commands: mute, unmute, speaking, speed, status, model."""
    wyoming: Wyoming | None = None
    mqtt: Mqtt | None = None
    hook: Hook | None = None
    metrics: Address | None = None
    """Prometheus, over HTTP; keep it on loopback."""


class Reference(Struct, frozen=True, forbid_unknown_fields=True):
    """What the mirror itself plays, tapped before the loudspeaker: a word in it does not wake the mirror."""

    source: Source
    """The player's monitor as a microphone, or a socket that the player writes to."""
    window_s: Annotated[float, Meta(gt=0, le=30)] = 2.0
    """From the moment a word was played, so long it is not heard: the way through loudspeaker and cabin."""
    threshold_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """A word counts as played from this share of its threshold on."""

    def __post_init__(self) -> None:
        if self.source.kind in ("none", "stdin"):
            raise ValueError(f"a reference cannot be of kind {self.source.kind}")


class Capture(Struct, frozen=True, forbid_unknown_fields=True):
    """Triggers and near misses are kept for labelling. Nothing is, unless this is given."""

    folder: Path
    most_mb: Annotated[float, Meta(gt=0, le=100_000)] = 100.0
    before_s: Annotated[float, Meta(ge=0.5, le=30)] = 3.0
    after_s: Annotated[float, Meta(ge=0, le=30)] = 1.0


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    models: Annotated[list[Text], Meta(min_length=1, max_length=16)] = msgspec.field(
        default_factory=lambda: ["smart_mirror"]
    )
    """Shipped models' names, paths, or ``slot:NAME`` for what `mirror-device bundle` installed."""
    slots: Path = FOLDER
    """Folder of what was installed."""
    words: dict[str, Word] = {}
    """By phrase."""
    source: Source = Source()
    decision: DecisionRules = DecisionRules()
    outlets: Outlets = Outlets()
    preroll_s: Annotated[float, Meta(ge=0, le=10)] = 1.5
    """Sound before the end of the word that goes with an event."""
    capture: Capture | None = None
    reference: Reference | None = None


def load_config(path: Path) -> Config:
    """Reads and validates a ``.yaml``, ``.yml`` or ``.toml`` file.

    Raises ConfigError.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); give the configuration's path"
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: more than {MAX_FILE_BYTES} bytes; this is no configuration")
    return parse_config(content, str(path), toml=path.suffix == ".toml")


def parse_config(content: bytes, source: str, toml: bool) -> Config:
    """The same of a file's bytes."""
    try:
        text = content.decode("utf-8")
        document = tomllib.loads(text) if toml else _yaml(text)
    except (ValueError, RecursionError) as error:
        kind = "TOML" if toml else "YAML"
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{source}: not {kind} ({first[:200]})") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{source}: keys and values are wanted, not {type(document).__name__}")
    return validated(document, source)


def validated(document: dict[Any, Any], source: str) -> Config:
    """``document`` as a configuration. Raises ConfigError naming the first wrong key and its value."""
    words = document.get("words")
    for phrase, word in words.items() if isinstance(words, dict) else ():
        _converted(word, Word, source, f"words.{str(phrase)[:80]}")  # by name, where there may be several
    return _converted(document, Config, source, "")


_Kind = TypeVar("_Kind", bound=Struct)


def _converted(document: Any, kind: type[_Kind], source: str, place: str) -> _Kind:
    try:
        _refuse_what_is_no_number(document, "")
        return msgspec.convert(document, kind, dec_hook=_path)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        problem, _, where = str(error).partition(" - at `$")
        keys = re.findall(r"\[?\.?([^.\[\]`]+)", where)
        found: Any = document
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        value = f" (found {str(found)[:80]!r})" if found is not None and keys else ""
        named = ".".join(filter(None, [place, *keys]))
        raise ConfigError(f"{source}: {named}{': ' if named else ''}{problem[:400]}{value}") from error


def to_document(config: Config) -> dict[str, Any]:
    """What `validated` takes."""
    return msgspec.to_builtins(config, enc_hook=str)


def _refuse_what_is_no_number(value: Any, place: str, depth: int = 0) -> None:
    """NaN is neither too small nor too large."""
    if depth > 20:
        raise ValueError("nested too deep")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{place.lstrip('.')[:80]} = {value}: a finite number is wanted")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_what_is_no_number(item, f"{place}.{key}", depth + 1)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_what_is_no_number(item, f"{place}.{number}", depth + 1)


def _path(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, (str, Path)) and str(value):
        return Path(value)
    raise ValueError(f"a path is wanted, not {type(value).__name__}")


def _yaml(text: str) -> Any:
    import yaml

    class Plain(yaml.SafeLoader):
        """Without aliases: a few lines of them stand for more than fits in any memory."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases (*name) are not understood here")
            return super().compose_node(parent, index)

    try:
        return Plain(text).get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
