"""What decides the layers of a galaxy network; stated apart from Keras, which is slow to import."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class GalaxyNetworkSettings(BaseModel):
    """Layers of a galaxy network; see `galaxy.models.networks`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Literal["deck", "residual"]
    """See `galaxy.models.networks`."""
    filters: tuple[int, ...]
    """Filters of each convolution stage."""
    view_fraction: float
    """Share of the frame's width that the network sees."""
    average_views: bool
    """The saved model averages over the eight symmetries of the square."""
    dropout: float = 0.0
    """Share of features dropped while fitting."""
