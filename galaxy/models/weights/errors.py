"""The error of this package."""


class WeightsError(ValueError):
    """Weights that cannot be read, or belong to another network."""
