"""What planning refuses, and the audio that cannot be used."""


class PlanError(ValueError):
    """A demand that cannot be met; the message names the constraint and the remedy."""


class AudioError(ValueError):
    """Audio that cannot be used; the message names the file, what is wrong and the remedy."""


class ShardError(AudioError):
    """A shard that is missing, truncated or not a tar; the message names it and the remedy."""
