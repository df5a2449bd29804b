"""What each rule allows: the `limits` of a rules file, with the defaults and their reasons."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A mapping of a rules file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoiseBudget(Strict):
    """How often a noise may be heard again."""

    max_reuse: float = Field(default=20, gt=0)
    """Hours mixed for each hour of distinct noise that was heard."""
    max_rows_per_recording: float = Field(default=200, gt=0)
    """Rows for each effective recording: exp(entropy) of the time that each is heard."""


class TranscriptOverlap(Strict):
    """How much of dev and test may be said in train."""

    min_words: int = Field(default=4, ge=1)
    """Shorter texts are commands and names, which everybody says."""
    max_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the rows of dev or test with such a text that train may have word for word."""


class ClassBalance(Strict):
    """How the positives and negatives of a task are spread."""

    min_recordings: int = Field(default=10, ge=1)
    """Distinct recordings of each class in train, dev and test."""
    max_ratio: float = Field(default=3, gt=1)
    """Between the largest and the smallest share of positives among mirror rows of train, dev and test."""


class SliceCoverage(Strict):
    """Which conditions dev and test must hold."""

    columns: tuple[str, ...] = (
        "noise_kind",
        "speed_band",
        "blower_level",
        "distance",
        "accent",
        "gender",
        "age",
    )
    """Columns of conditions; those that a manifest lacks are passed over."""
    min_rows: int = Field(default=20, ge=1)
    """Mirror rows of a condition in train from which it must be in dev and test too, and the reverse."""


class Drift(Strict):
    """How differently two splits that should be alike may be drawn."""

    columns: tuple[str, ...] = ()
    """Further columns to compare."""
    min_effect: float = Field(default=0.15, ge=0, le=1)
    """Kolmogorov-Smirnov distance or Cramér's V; below it a difference is too small to matter."""
    min_auc: float = Field(default=0.65, ge=0.5, le=1)
    """Of the classifier that tells one split from the other by all columns."""
    alpha: float = Field(default=0.01, gt=0, lt=1)
    """Chance that alike splits differ this much, by permuting whole speakers."""


class SpuriousCue(Strict):
    """What may give a label away."""

    columns: tuple[str, ...] = ()
    """Further columns of numbers that may not tell the label."""
    max_auc: float = Field(default=0.65, ge=0.5, le=1)
    """The lower end of the 95 % interval of the area under the ROC curve may reach this."""


class SuspiciousLabels(Strict):
    """When the sound contradicts a label."""

    max_s: float = Field(default=6.0, gt=0)
    """Longer recordings are passed over: the word is somewhere in them."""
    min_auc: float = Field(default=0.85, ge=0.5, le=1)
    """Of the cross-validated classifier; one that tells less has nothing to say of single rows."""
    max_probability: float = Field(default=0.05, ge=0, le=1)
    """Of the label that is given; what is surer is not doubted."""


class SoundQuality(Strict):
    """From where on something went wrong with a recording."""

    max_clipped_share: float = Field(default=0.01, ge=0, le=1)
    """Of its samples."""
    max_dc_offset: float = Field(default=0.02, ge=0, le=1)
    """Of full scale."""
    max_silence_share: float = Field(default=0.9, ge=0, le=1)
    """Of its 20 ms frames, below -60 dBFS."""
    min_level_dbfs: float = -55.0
    """Of active speech."""
    min_bandwidth_hz: float = Field(default=3000, ge=0)
    """A telephone has 3.4 kHz."""


class Power(Strict):
    """What dev and test must be able to prove."""

    fa_per_h: float = Field(default=0.5, gt=0)
    """The false-accept rate that no false accept must prove: 0.5 an hour is the operating point."""
    frr_difference: float = Field(default=0.05, gt=0, lt=1)
    """The rise of the miss rate over `frr` that must be seen."""
    frr: float = Field(default=0.05, gt=0, lt=1)
    """The miss rate that such a rise starts from."""


class Overlap(Strict):
    """Names that stand for a kind of thing, not for one of them."""

    models: tuple[str, ...] = ()
    """Values that many units share by design, such as the type of the mirror's microphone."""


class Limits(Strict):
    """One section a rule, by its id, and what all of them ask."""

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, alias_generator=lambda name: name.replace("_", "-")
    )

    phrases: tuple[str, ...] = ()
    """The wake phrases that a score is claimed for; empty is the one that most mirror rows say."""
    noise_budget: NoiseBudget = NoiseBudget()
    transcript_overlap: TranscriptOverlap = TranscriptOverlap()
    class_balance: ClassBalance = ClassBalance()
    slice_coverage: SliceCoverage = SliceCoverage()
    drift: Drift = Drift()
    spurious_cue: SpuriousCue = SpuriousCue()
    suspicious_labels: SuspiciousLabels = SuspiciousLabels()
    sound_quality: SoundQuality = SoundQuality()
    power: Power = Power()
    device_overlap: Overlap = Overlap()
    microphone_overlap: Overlap = Overlap()
