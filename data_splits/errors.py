"""What planning refuses."""


class PlanError(ValueError):
    """A demand that cannot be met; the message names the constraint and the remedy."""
