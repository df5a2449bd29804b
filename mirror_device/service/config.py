"""The daemon's one file, YAML or TOML: every key with its range, unknown keys refused by name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mirror_device.service.decision import Rules

MAX_FILE_BYTES = 1 << 20

Address = Annotated[str, Field(pattern=r"^(tcp://[^/\s]+:\d{1,5}|unix:///\S+)$")]
"""``tcp://127.0.0.1:10400`` or ``unix:///run/mirror/events``."""


def _ascending(curve: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if any(right[0] <= left[0] for left, right in zip(curve, curve[1:], strict=False)):
        raise ValueError("its first numbers must ascend")
    return curve


Curve = Annotated[
    list[tuple[Annotated[float, Field(ge=-200, le=1000)], Annotated[float, Field(ge=-1, le=1)]]],
    Field(max_length=64),
    AfterValidator(_ascending),
]


class ConfigError(ValueError):
    """A configuration that cannot be used; names the file, the key, the value and the remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Word(_Strict):
    """What one wake word has of its own; the model's values where nothing is given."""

    threshold: float | None = Field(None, ge=0, le=1)
    refractory_s: float | None = Field(None, ge=0, le=600)


class Source(_Strict):
    """Where the sound comes from."""

    kind: Literal["sounddevice", "pyaudio", "wav", "stdin", "socket", "none"] = "sounddevice"
    device: str | None = Field(None, min_length=1, max_length=200)
    """Microphone: number, part of its name, or ALSA name such as ``plughw:1,0``."""
    path: Path | None = None
    """Of a WAV file."""
    address: Address | None = None
    """Raw int16 16 kHz mono is accepted there, from one client at a time."""

    @model_validator(mode="after")
    def _complete(self) -> Source:
        wanted = {"wav": "path", "socket": "address"}.get(self.kind)
        if wanted and getattr(self, wanted) is None:
            raise ValueError(f"a source of kind {self.kind} needs {wanted}")
        return self


class DecisionRules(_Strict):
    """The rules between a score and an event; `mirror_device/service/decision.py` has them."""

    smoothing_steps: int = Field(1, ge=1, le=50)
    double_trigger_s: float = Field(1.0, ge=0, le=60)
    by_noise_dbfs: Curve = []
    by_speed_kmh: Curve = []
    while_speaking: float | None = Field(None, ge=-1, le=1)
    speaking_tail_s: float = Field(0.5, ge=0, le=60)
    voice_gate_db: float | None = Field(None, ge=0, le=60)
    near_miss: float | None = Field(None, ge=0, le=1)

    def rules(self) -> Rules:
        return Rules(**self.model_dump())


class Wyoming(_Strict):
    """Home Assistant's voice protocol."""

    address: Address = "tcp://127.0.0.1:10400"
    most_clients: int = Field(8, ge=1, le=256)


class Mqtt(_Strict):
    """An MQTT broker, with last will and Home Assistant discovery."""

    host: str = Field(min_length=1, max_length=255)
    port: int = Field(1883, ge=1, le=65535)
    topic: str = Field("rearview", pattern=r"^[^#+\s]{1,200}$")
    username: str | None = Field(None, max_length=200)
    password_file: Path | None = None
    """Its first line is the password."""
    tls: bool = False
    discovery: str | None = Field("homeassistant", pattern=r"^[^#+\s]{1,200}$")
    """Home Assistant's discovery prefix; null for none."""


class Hook(_Strict):
    """A command that is run for each event, which it gets as JSON in $MIRROR_EVENT."""

    command: list[str] = Field(min_length=1, max_length=100)
    timeout_s: float = Field(10.0, gt=0, le=600)


class Outlets(_Strict):
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


class Capture(_Strict):
    """Triggers and near misses are kept for labelling. Nothing is, unless this is given."""

    folder: Path
    most_mb: float = Field(100.0, gt=0, le=100_000)
    before_s: float = Field(3.0, ge=0.5, le=30)
    after_s: float = Field(1.0, ge=0, le=30)


class Config(_Strict):
    """All of it."""

    models: list[str] = Field(["smart_mirror"], min_length=1, max_length=16)
    """Shipped models' names, or paths."""
    words: dict[str, Word] = {}
    """By phrase."""
    source: Source = Source()
    decision: DecisionRules = DecisionRules()
    outlets: Outlets = Outlets()
    preroll_s: float = Field(1.5, ge=0, le=10)
    """Sound before the end of the word that goes with an event."""
    capture: Capture | None = None


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
    """``document`` as a configuration. Raises ConfigError naming each wrong key and its value."""
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']} "
            f"(found {str(item.get('input'))[:80]!r})"
            for item in error.errors()[:20]
        ]
        raise ConfigError(f"{source}: " + "; ".join(lines)) from error


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
