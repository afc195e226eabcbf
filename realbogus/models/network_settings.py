"""Settings of a real/bogus network, importable without Keras, which is slow to import.

Profiles: ``published`` is what the public code of Takahashi et al. 2022 executes, including its mistakes;
``as-written`` is what the paper describes; ``fixed``, the default, is the corrected design.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from realbogus.models.preprocessing import Normalisation

Network = Literal["simple", "complex", "compact", "first"]
Size = Literal["small", "full"]
Profile = Literal["published", "as-written", "fixed"]
Smoothness = Literal["vat", "consistency"]
"""What a training asks of unlabelled candidates; see `realbogus.models.losses.LossSettings`."""


class CandidateNetworkSettings(BaseModel):
    """Layers of a real/bogus network; see `realbogus.models.networks`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Network
    """See `realbogus.models.networks`."""
    size: Size
    profile: Profile
    filters: tuple[int, ...]
    """Filters of the first convolutions and of each later stage."""
    feature_layers: int = 0
    """Number of convolutions after the first with its number of filters (complex network)."""
    normalisation: Normalisation
    inside: bool = False
    """The normalisation is part of the fitted network, so that an adversarial step is in raw units."""
    exchange_fainter: bool = False
    """Sources that are fainter in the new image are seen as brighter ones, with new and reference exchanged."""
    average_views: bool = False
    """The saved model averages over the eight symmetries of the square."""
    stamp_scalars: bool = False
    """Scalars measured of the stamp join the features; see `realbogus.models.stamp_scalars`."""
    dropout: float = 0.0
    """Fraction of features dropped during fitting."""
