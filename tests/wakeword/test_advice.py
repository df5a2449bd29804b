from mirror_device.logmel import frontend_constants
from wakeword.advice import doubts


def test_transfer_is_doubted_for_other_features_and_for_too_little_source() -> None:
    good = {"kind": "recogniser", "front_end": frontend_constants(), "hours": 500.0}
    assert doubts(good, 10) == []
    other = {**good, "front_end": {**frontend_constants(), "n_mels": 80}}
    assert "n_mels 80 for 40" in doubts(other, 10)[0]
    assert "it heard 500.0 h and there are 600.0 h" in doubts(good, 600)[0]
    assert doubts({"kind": "trigger", "hours": 1.0}, 600) == []
