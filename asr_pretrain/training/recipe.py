"""What every training recipe shares: pydantic models over one YAML file, unknown keys refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from asr_pretrain.augment.car import CarRecipe
from asr_pretrain.encoder import EncoderConfig

HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path in a recipe, where ``~`` is the user's home."""


class RecipeError(ValueError):
    """A recipe that cannot be read, or a value in it that cannot be used."""


DEFAULT_STEPS = 2000


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Optimisation(Strict):
    """How the weights move."""

    steps: int | None = Field(None, ge=1)
    """Wins over ``epochs``; 2000 where neither is given."""
    epochs: float | None = Field(None, gt=0, le=10000)
    """Times the training rows are gone through."""
    accumulate: int = Field(1, ge=1, le=1024)
    """Batches a process adds up before the weights move: processes × accumulate batches are one step."""
    learning_rate: float = Field(2e-3, gt=0)
    warmup_steps: int = Field(200, ge=0)
    final_rate: float = Field(0.02, ge=0, le=1)
    """Share of the learning rate that the cosine ends at."""
    weight_decay: float = Field(1e-2, ge=0)
    max_grad_norm: float = Field(5.0, gt=0)
    average_decay: float = Field(0.998, ge=0, lt=1)
    """Exponential average of the weights; the average is what is kept."""
    checkpoint_every_steps: int = Field(100, ge=1)
    seed: int = 0
    device: str = "cpu"
    precision: str = Field("fp32", pattern="^(fp32|bf16|fp16)$")
    batch_statistics: Literal["shared", "frozen"] = "shared"
    """Batch norms see the batches of all processes, or keep the running statistics that they have."""
    workers: int = Field(1, ge=0, le=64)
    """Processes that decode and augment while the device trains."""
    log_every_s: float = Field(30.0, ge=0)

    def total_steps(self, steps_in: Callable[[float], int] | None) -> int:
        """The run's length, where ``steps_in`` tells the steps of a number of epochs.

        Raises RecipeError for epochs of batches that are drawn anew each time and know none (None).
        """
        if self.steps is not None or self.epochs is None:
            return self.steps or DEFAULT_STEPS
        if steps_in is None:
            raise RecipeError(
                f"optimisation.epochs: {self.epochs:g}: these batches are drawn, not gone through; "
                "give optimisation.steps"
            )
        return steps_in(self.epochs)

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of ``step``, from 0: linear warm-up, then a cosine down to ``final_rate``."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * cosine)


class Perturbation(Strict):
    """Voices are the bottleneck: each cut is spoken by a slightly different person at another pace."""

    speed: tuple[float, float] = (0.88, 1.14)
    """Resampling: pitch, formants and tempo together."""
    warp: tuple[float, float] = (0.85, 1.18)
    """Vocal-tract length by a warped filterbank: formants without pitch."""
    tempo: tuple[float, float] = (0.85, 1.18)
    """Pace without pitch, by the hop of the front end; one draw a batch."""
    tilt_db_per_octave: tuple[float, float] = (0.0, 0.0)
    """Of the voice before the car: dark voices and bright ones, far and near recordings."""
    mask_bands: int = Field(8, ge=0, le=30)
    """Widest SpecAugment band mask (mels)."""
    mask_frames: int = Field(12, ge=0, le=100)
    """Longest SpecAugment time mask (log-mel frames)."""


class Surroundings(Strict):
    """The simulated car that training hears through."""

    car: CarRecipe = CarRecipe()
    cabins: int = Field(200, ge=1, le=5000)
    impulse_responses: HomePath | None = None
    """A folder of measured ones, heard instead of the simulated cabins."""
    noise: HomePath | None = None
    """A folder of recorded car noise, beside that of the manifests. None of it may be in dev or test."""
    procedural_noises: int = Field(200, ge=1, le=10000)
    unique_noise_s: float | None = Field(None, gt=0)
    """Keep so many seconds of noise and repeat them; null keeps all. To measure what little noise costs."""
    seed: int = 0


class TeacherConfig(Strict):
    """A recipe's `teacher:`."""

    kind: Literal["torchaudio", "speechbrain", "speech-embedding"]
    path: HomePath
    """The weights (safetensors, or a state_dict saved by torch), or a folder that holds one such file; a JSON
    beside it says what model it is (`docs/corpora.md`), unless torchaudio knows the file."""
    licence: str = Field(min_length=1)
    """Under which the teacher may be used, as its makers write it; it goes into the model's card."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """Expected hash of the weights; null records the one found."""
    layer: int | None = Field(None, ge=1)
    """Transformer layer to learn from, counted from 1; null is the last one."""
    weight: float = Field(1.0, gt=0, le=100)
    """Of this loss beside the CTC loss."""
    trust: bool = False
    """Run the Python that a SpeechBrain `hyperparams.yaml` names. Only for a file that you wrote yourself."""

    @field_validator("licence")
    @classmethod
    def _named(cls, licence: str) -> str:
        if not licence.strip():
            raise ValueError("name the licence under which the teacher may be used")
        return licence


class AuditConfig(Strict):
    """A recipe's `audit:`. What is trained on is audited first (`docs/audit.md`)."""

    rules: HomePath | None = None
    """A rules file with limits and waivers, as `data-splits audit --rules` takes."""
    off: str | None = Field(None, min_length=1)
    """Why there is to be no audit; the reason goes into the checkpoint and the device model."""


class TrainingRecipe(Strict):
    """What pretraining and fine-tuning have in common."""

    manifests: list[HomePath] = Field(min_length=1)
    """Planned manifests; rows of split ``train`` are learnt from, noise rows of it are the car."""
    out: HomePath
    init: HomePath | None = None
    """A run's encoder.safetensors or trigger.safetensors to start from; none starts from scratch."""
    teacher: TeacherConfig | None = None
    """A larger model on disk whose features are learnt beside the targets."""
    encoder: EncoderConfig | None = None
    """Its shape; where it is left out, the one of ``init``, or the default."""
    optimisation: Optimisation = Optimisation()
    perturbation: Perturbation = Perturbation()
    surroundings: Surroundings = Surroundings()
    audit: AuditConfig = AuditConfig()


Recipe = TypeVar("Recipe", bound=BaseModel)


def load_recipe(path: Path, model: type[Recipe]) -> Recipe:
    """Reads and validates a YAML recipe.

    Raises RecipeError naming the file, the key and the value that is wrong.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); give the path of a recipe") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML ({error})") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, found {type(document).__name__}")
    return validated(document, model, str(path))


def validated(document: dict[str, Any], model: type[Recipe], source: str) -> Recipe:
    """``document`` as a recipe. Raises RecipeError naming ``source``, each wrong key and its value."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'recipe'}: {item['msg']} "
            f"(found {str(item.get('input'))[:80]!r})"
            for item in error.errors()
        ]
        raise RecipeError(f"{source}: " + "; ".join(lines)) from error


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """``key: before → now`` for each value that differs, keys of nested mappings joined by dots."""
    old, new = _flat(before), _flat(now)
    keys = sorted(key for key in old | new if old.get(key) != new.get(key))
    return [f"{key}: {old.get(key)!r} → {new.get(key)!r}" for key in keys]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
    return flat
