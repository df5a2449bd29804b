"""The always-on wake-word detector of a rear-view mirror: numpy, onnxruntime and PortAudio, never torch.

    from mirror_device import Detector
    detector = Detector("smart_mirror")            # a shipped model's name, or a path
    for detection in detector.process(pcm_int16):  # 16 kHz mono, any chunk length
        print(detection.keyword, detection.time_s, detection.score)

Names are resolved on first use, so that ``mirror-device --help`` and ``import mirror_device`` load nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirror_device.detector import Detection, Detector
    from mirror_device.errors import ModelError

__all__ = ["Detection", "Detector", "ModelError"]


def __getattr__(name: str) -> Any:
    if name == "ModelError":
        from mirror_device.errors import ModelError

        return ModelError
    if name in __all__:
        from mirror_device import detector

        return getattr(detector, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
