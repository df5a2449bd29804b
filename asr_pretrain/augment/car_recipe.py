"""What the car may do to a recording: ranges and shares, from which each drive is drawn."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

Range = tuple[float, float]
CAR_KINDS = frozenset(
    {"drive", "road", "engine", "wind", "blower", "rain", "traffic", "fan", "wipers", "car"}
)


class CarRecipe(BaseModel):
    """What the car may do to a recording; every range is uniform, every share a probability."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    snr_db: Range = (-5.0, 25.0)
    """SNR by the project's definition (level.py), at the microphone."""
    quiet_share: float = Field(default=0.1, ge=0, le=1)
    """Cuts without car noise."""
    dry_share: float = Field(default=0.1, ge=0, le=1)
    """Cuts without a cabin."""
    speech_level_dbfs: float | None = -30.0
    """Nominal active-speech level at the microphone; null leaves the level as it is."""
    gain_db: Range = (-12.0, 12.0)
    """Deviation from the nominal level; ignored where that is null."""
    noise_level_dbfs: Range = (-65.0, -30.0)
    """Level of the noise where there is no speech (below -80 dBFS active) to set an SNR against."""
    clip_share: float = Field(default=0.04, ge=0, le=1)
    """Cuts that are clipped."""
    clip_db: Range = (0.5, 9.0)
    """How far below its peak a clipped cut is cut off."""
    microphone_share: float = Field(default=0.8, ge=0, le=1)
    """Cuts that pass a random microphone response."""
    tilt_db_per_octave: Range = (-1.5, 1.5)
    """Tilt of that response about 1 kHz."""
    highpass_hz: Range = (20.0, 220.0)
    """Corner of its second-order high-pass."""
    lowpass_share: float = Field(default=0.0, ge=0, le=1)
    """Cuts from a capture of little bandwidth: a telephone's, a low-bit-rate codec's."""
    lowpass_hz: Range = (2800.0, 7000.0)
    """Where that ends, steeply; drawn uniformly over the logarithm."""
    floor_dbfs: Range | None = (-90.0, -72.0)
    """The microphone's own white noise; null for none. Digital silence is no quiet car."""
    noise_kinds: tuple[str, ...] | None = None
    """Kinds of noise to choose from; null for all of the bank."""
    recorded_share: float = Field(default=0.4, ge=0, le=1)
    """Share of recorded noises, where there are some."""
    mix_share: float = Field(default=0.25, ge=0, le=1)
    """Share of cuts with a second noise on top."""
    talker_share: float = Field(default=0.0, ge=0, le=1)
    """Cuts in which another passenger talks."""
    radio_share: float = Field(default=0.0, ge=0, le=1)
    """Cuts in which the car's loudspeakers play speech."""
    music_share: float = Field(default=0.0, ge=0, le=1)
    """Cuts in which they play music."""
    company_db: Range = (0.0, 20.0)
    """How far these lie below the speaker."""
    gain_control_share: float = Field(default=0.0, ge=0, le=1)
    """Cuts that pass an automatic gain control."""
    gain_control_dbfs: Range = (-32.0, -16.0)
    """Level that it aims at."""
    codec_share: float = Field(default=0.0, ge=0, le=1)
    """Cuts that pass a codec of low bit rate."""

    @classmethod
    def for_scoring(cls) -> CarRecipe:
        """Return the neutral car of the scoring rules: cabin and noise, level and microphone untouched."""
        return cls(
            quiet_share=0,
            dry_share=0,
            speech_level_dbfs=None,
            clip_share=0,
            microphone_share=0,
            floor_dbfs=None,
            noise_kinds=tuple(sorted(CAR_KINDS)),
        )
