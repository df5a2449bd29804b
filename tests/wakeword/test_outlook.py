"""What a run says before it starts."""

from __future__ import annotations

from asr_pretrain.augment.noise import NoiseBank
from wakeword.outlook import noise_outlook


def test_little_noise_is_warned_of():
    bank = NoiseBank.build(None, None, part="train", procedural=12)
    told = list(noise_outlook(bank, 3600.0))
    assert len(told) == 1 and "2 min, 0 recorded and 12 made; 1 h" in told[0]
    assert "warning" in list(noise_outlook(bank, 3600.0 * 200))[1]
    one = bank.some(5.0, 0)
    assert len(one) == 1 and "warning: 1 noises" in list(noise_outlook(one, 60.0))[1]
