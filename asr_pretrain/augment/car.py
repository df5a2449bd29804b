"""The car: speech as the mirror's microphone hears it while driving, by draw-then-apply.

``draw`` makes plain parameters (:class:`Drive`) from a seed; ``apply`` turns a batch of clean speech into
what the device records. The parameters are the provenance: their parents go into the manifest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from asr_pretrain.augment.cabin import DIRECT_INDEX, RirBank
from asr_pretrain.augment.capture import CODECS, AutomaticGain, Codec, automatic_gain, through_codec
from asr_pretrain.augment.car_recipe import CAR_KINDS, CarRecipe, Range
from asr_pretrain.augment.company import (
    Company,
    CompanyKind,
    company_response,
    draw_company,
    loudspeaker_gain,
)
from asr_pretrain.augment.level import (
    LEVEL_FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    SILENCE_DBFS,
    active_power,
    band_bins,
    fft_length,
    power_db,
    spectrum,
    waveform,
)
from asr_pretrain.augment.noise import NoiseBank, NoiseChoice

__all__ = ["CAR_KINDS", "Car", "CarRecipe", "Drive"]

_CACHED_SPECTRA_BYTES = 256 * 2**20
_HISS_SAMPLES = 2**19  # half a minute of the microphone's own noise; longer cuts repeat it
_BLOCK_SAMPLES = 2**20  # batches are applied in blocks of about this size: they stay in the CPU's cache


@dataclass(frozen=True)
class Drive:
    """Everything drawn for one cut of ``n_samples``; None switches that step off."""

    seed: int
    n_samples: int
    rir_index: int | None
    rir_id: str | None
    noise: NoiseChoice | None
    snr_db: float | None
    noise_level_dbfs: float
    level_dbfs: float | None
    gain_db: float
    clip_db: float | None
    tilt_db_per_octave: float
    highpass_hz: float | None
    floor_dbfs: float | None
    lowpass_hz: float | None = None
    company: Company | None = None
    gain_control: AutomaticGain | None = None
    codec: Codec | None = None

    def parents(self) -> dict[str, object]:
        """Return the manifest's columns for this drive."""
        noise = self.noise
        return {
            "rir_parent": self.rir_id,
            "noise_parent": list(noise.parents) if noise else None,
            "interferer_parent": list(self.company.sound.parents) if self.company else None,
            "noise_kind": noise.kind if noise else None,
            "noise_offset_s": noise.offset_s if noise else None,
            "snr_db": self.snr_db if noise else None,
        }


class Car:
    """Cabins and noises of one part, applied by a recipe."""

    def __init__(
        self, recipe: CarRecipe, rirs: RirBank, noise: NoiseBank, company: NoiseBank | None = None
    ) -> None:
        """``company``: who else may be heard (`company_bank`); without it nobody is."""
        self.recipe, self.rirs, self.noise, self.company = recipe, rirs, noise, company
        self._company_shares: dict[CompanyKind, float] = {
            "talker": recipe.talker_share,
            "radio": recipe.radio_share,
            "music": recipe.music_share,
        }
        self._kinds = frozenset(recipe.noise_kinds) if recipe.noise_kinds is not None else None
        self._spectra: dict[tuple[int, str], torch.Tensor] = {}
        self._latest: tuple[int, str] | None = None
        self._asked: dict[int, int] = {}
        self._hiss = torch.from_numpy(
            np.random.default_rng(0).standard_normal(_HISS_SAMPLES).astype(np.float32)
        )

    def draw(
        self,
        rng: np.random.Generator | int,
        count: int,
        n_samples: int,
        snr_db: float | None = None,
        cabin: bool | None = None,
    ) -> list[Drive]:
        """Draw ``count`` drives for cuts of ``n_samples``.

        ``snr_db`` and ``cabin`` force what the recipe would draw; ``snr_db=math.inf`` means no noise.
        Each drive has its own seed, so a drive can be drawn again alone by :meth:`draw_one`.
        """
        rng = np.random.default_rng(rng) if isinstance(rng, int) else rng
        return [self.draw_one(int(s), n_samples, snr_db, cabin) for s in rng.integers(2**62, size=count)]

    def draw_one(
        self, seed: int, n_samples: int, snr_db: float | None = None, cabin: bool | None = None
    ) -> Drive:
        """Draw the drive that ``seed`` stands for."""
        r, rng = self.recipe, np.random.default_rng(seed)
        # Every number is drawn whether used or not: forcing one choice leaves the others as they were.
        u = rng.random(12).tolist()

        def within(bounds: Range, share: float) -> float:
            return bounds[0] + (bounds[1] - bounds[0]) * share

        wet = u[0] >= r.dry_share if cabin is None else cabin
        noisy = u[1] >= r.quiet_share if snr_db is None else math.isfinite(snr_db)
        drawn_snr = within(r.snr_db, u[2]) if snr_db is None else float(snr_db)
        index = min(int(u[3] * len(self.rirs.ids)), len(self.rirs.ids) - 1)
        gain_db = within(r.gain_db, u[4]) if r.speech_level_dbfs is not None else 0.0
        microphone = u[5] < r.microphone_share
        noise = None
        if noisy:
            noise = self.noise.choose(rng, n_samples, self._kinds, r.recorded_share, r.mix_share)
        # Drawn last: what stands above is as it was before there was this.
        narrow, corner = rng.random(2).tolist()
        low, high = r.lowpass_hz
        controlled, aim, pace, reach, coded, codec = rng.random(6).tolist()
        company = None
        if self.company is not None:
            shares = self._company_shares
            company = draw_company(rng, shares, r.company_db, self.company, index, n_samples)
        return Drive(
            seed=seed,
            n_samples=n_samples,
            rir_index=index if wet else None,
            rir_id=self.rirs.ids[index] if wet else None,
            noise=noise,
            snr_db=drawn_snr if noisy else None,
            noise_level_dbfs=within(r.noise_level_dbfs, u[6]),
            level_dbfs=r.speech_level_dbfs + gain_db if r.speech_level_dbfs is not None else None,
            gain_db=gain_db,
            clip_db=within(r.clip_db, u[7]) if u[8] < r.clip_share else None,
            tilt_db_per_octave=within(r.tilt_db_per_octave, u[9]) if microphone else 0.0,
            highpass_hz=within(r.highpass_hz, u[10]) if microphone else None,
            floor_dbfs=within(r.floor_dbfs, u[11]) if r.floor_dbfs is not None else None,
            lowpass_hz=low * (high / low) ** corner if narrow < r.lowpass_share else None,
            company=company,
            gain_control=AutomaticGain(
                target_dbfs=within(r.gain_control_dbfs, aim),
                attack_s=0.005 * 20**pace,
                release_s=0.1 * 20**pace,
                most_db=6 + 18 * reach,
            )
            if controlled < r.gain_control_share
            else None,
            codec=CODECS[int(codec * len(CODECS))] if coded < r.codec_share else None,
        )

    def apply(self, speech: torch.Tensor, drives: list[Drive]) -> torch.Tensor:
        """Return what the microphone records, float32 ``(batch, samples)`` on the 16-bit grid in [-1, 1).

        ``speech`` is float32 ``(batch, samples)`` in [-1, 1]; the direct path keeps its time. Raises
        ValueError when shapes and drives disagree.
        """
        if speech.ndim != 2 or speech.shape[0] != len(drives):
            raise ValueError(
                f"Car.apply: speech {tuple(speech.shape)} for {len(drives)} drives; one row a drive"
            )
        n = speech.shape[1]
        wrong = [d.n_samples for d in drives if d.n_samples != n]
        if wrong:
            raise ValueError(
                f"Car.apply: a drive of {wrong[0]} samples for speech of {n}; draw with n_samples={n}"
            )
        block = max(1, _BLOCK_SAMPLES // max(n, 1))
        parts = [
            self._apply(speech[i : i + block].float(), drives[i : i + block])
            for i in range(0, len(drives), block)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _apply(self, speech: torch.Tensor, drives: list[Drive]) -> torch.Tensor:
        n, device = speech.shape[1], speech.device
        n_fft = fft_length(n + max(self.rirs.responses.shape[1], LEVEL_FRAME_SAMPLES))
        band = band_bins(n_fft)
        image = spectrum(speech, n_fft)
        image *= self._responses(drives, n_fft, device)
        microphone = self._microphone(drives, n_fft, device)
        if microphone is not None:
            image *= microphone

        def column(values: list[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        banded = torch.zeros_like(image)
        banded[:, band] = image[:, band]
        speech_power = active_power(waveform(banded, n_fft)[:, :n])
        heard = power_db(speech_power) > SILENCE_DBFS
        has_level = torch.tensor([d.level_dbfs is not None for d in drives], device=device)
        target = column([10 ** (d.level_dbfs / 20) if d.level_dbfs is not None else 1.0 for d in drives])
        one = torch.ones_like(target)
        speech_gain = torch.where(heard & has_level, target * speech_power.clamp_min(1e-20).rsqrt(), one)
        torch.view_as_real(image).mul_(speech_gain[:, None, None])  # real times complex is twice the work

        if any(d.noise is not None for d in drives):
            noise = spectrum(self._noise(drives, n).to(device), n_fft)
            if microphone is not None:
                noise *= microphone
            parts = torch.view_as_real(noise)
            noise_power = torch.linalg.vector_norm(parts[:, band], dim=(1, 2)).square() * (2.0 / n_fft / n)
            ratio = column([10 ** (-(d.snr_db or 0.0) / 20) for d in drives])
            fixed = column([10 ** (d.noise_level_dbfs / 20) for d in drives])
            wanted = torch.where(heard, speech_power.sqrt() * speech_gain * ratio, fixed)
            scale = noise_power.clamp_min(1e-20).rsqrt()
            gain = torch.where(noise_power > 1e-19, wanted * scale, torch.zeros_like(wanted))
            torch.view_as_real(image).addcmul_(parts, gain[:, None, None])
        level = torch.where(heard, speech_power.sqrt() * speech_gain, torch.zeros_like(speech_gain))
        self._add_company(image, drives, n, level, microphone)
        out = waveform(image, n_fft)[:, :n]
        return self._convert(out, drives)

    def _add_company(
        self,
        image: torch.Tensor,
        drives: list[Drive],
        n: int,
        level: torch.Tensor,
        microphone: torch.Tensor | None,
    ) -> None:
        """Add to the spectra ``image`` who else is heard, relative to the speaker's active ``level``."""
        n_fft = 2 * (image.shape[1] - 1)
        band = band_bins(n_fft)
        for row, d in enumerate(drives):
            if d.company is None or self.company is None:
                continue
            sound = torch.from_numpy(self.company.cut(d.company.sound, n)).to(image.device)
            heard = spectrum(sound[None], n_fft)[0]
            response = torch.zeros(n_fft)
            places = company_response(d.company, self.rirs)
            response[: places.numel()] = places
            heard *= spectrum(response[None].to(image.device), n_fft)[0]
            heard *= loudspeaker_gain(d.company, heard.numel()).to(image.device)
            if microphone is not None:
                heard *= microphone[row]
            banded = torch.zeros_like(heard)
            banded[band] = heard[band]
            power = active_power(waveform(banded[None], n_fft)[0, :n])
            alone = 10 ** (d.noise_level_dbfs / 20)
            wanted = torch.where(level[row] > 0, level[row] * 10 ** (-d.company.below_db / 20), alone)
            image[row] += heard * (wanted * power.clamp_min(1e-20).rsqrt())

    def _convert(self, x: torch.Tensor, drives: list[Drive]) -> torch.Tensor:
        """Add the microphone's own noise, then what `capture` does, and round to 16 bits without dither."""
        n = x.shape[1]
        for row, d in enumerate(drives):
            if d.floor_dbfs is not None:
                hiss = self._hiss.repeat(n // _HISS_SAMPLES + 2) if n > _HISS_SAMPLES else self._hiss
                start = d.seed % (hiss.numel() - n + 1)
                x[row] += hiss[start : start + n].to(x.device) * 10 ** (d.floor_dbfs / 20)
            if d.gain_control is not None:
                x[row] = torch.from_numpy(automatic_gain(x[row].cpu().numpy(), d.gain_control))
            if d.clip_db is not None:
                ceiling = float(x[row].abs().max()) * 10 ** (-d.clip_db / 20)
                x[row].clamp_(-ceiling, ceiling)
            if d.codec is not None:
                x[row] = torch.from_numpy(through_codec(x[row].cpu().numpy(), d.codec))
        return x.mul_(32768.0).round_().clamp_(-32768.0, 32767.0).div_(32768.0)

    def _noise(self, drives: list[Drive], n: int) -> torch.Tensor:
        out = np.zeros((len(drives), n), dtype=np.float32)
        for row, d in enumerate(drives):
            if d.noise is not None:
                self.noise.cut(d.noise, n, out[row])
        return torch.from_numpy(out)

    def _responses(self, drives: list[Drive], n_fft: int, device: torch.device) -> torch.Tensor:
        """Spectra ``(batch, bins)`` of the drawn cabins, the direct path moved to time zero."""
        rows = [d.rir_index if d.rir_index is not None else -1 for d in drives]
        count, key = len(self.rirs.ids), (n_fft, str(device))
        if key not in self._spectra:
            self._asked[n_fft] = self._asked.get(n_fft, 0) + len(rows)
            held = sum(spectra.numel() for spectra in self._spectra.values())
            fits = (held + (count + 1) * (n_fft // 2 + 1)) * 8 <= _CACHED_SPECTRA_BYTES
            # Recordings of ever other lengths would fill the cache with spectra used once; and what is held
            # stays, for with more lengths than fit each would drive out the next.
            if not fits or self._asked[n_fft] < count // 4:
                return self._transform(rows, n_fft).to(device)
            self._spectra[key] = self._transform([*range(count), -1], n_fft).to(device)
        return self._spectra[key][rows]  # row -1, the last, is no cabin

    def _transform(self, rows: list[int], n_fft: int) -> torch.Tensor:
        responses = torch.zeros(len(rows), n_fft)
        length = self.rirs.responses.shape[1]
        for row, index in enumerate(rows):
            if index < 0:
                responses[row, DIRECT_INDEX] = 1.0
            else:
                responses[row, :length] = self.rirs.responses[index]
        return spectrum(responses.roll(-DIRECT_INDEX, dims=1), n_fft)

    def _microphone(self, drives: list[Drive], n_fft: int, device: torch.device) -> torch.Tensor | None:
        """Gains ``(batch, bins)``, zero phase: a tilt, a Butterworth high-pass, a steep low-pass."""
        if all(d.highpass_hz is None and d.tilt_db_per_octave == 0 and d.lowpass_hz is None for d in drives):
            return None
        f = torch.fft.rfftfreq(n_fft, 1 / SAMPLE_RATE_HZ, device=device)
        octave = torch.log2(f.clamp(100.0, 8000.0) / 1000.0)
        tilt = torch.tensor([d.tilt_db_per_octave for d in drives], dtype=torch.float32, device=device)
        corner = torch.tensor([d.highpass_hz or 0.0 for d in drives], dtype=torch.float32, device=device)
        gain = torch.exp(tilt[:, None] * (octave * (math.log(10) / 20)))
        f4 = f.square().square()
        highpass = torch.sqrt(f4 / (f4 + corner[:, None] ** 4).clamp_min(1e-12))
        highpass[corner == 0] = 1.0  # 0 / 0 at 0 Hz
        gain *= highpass
        for row, d in enumerate(drives):
            if d.lowpass_hz is not None:  # 12th order: 72 dB an octave
                gain[row] *= torch.rsqrt(1 + (f / d.lowpass_hz) ** 24)
        return gain
