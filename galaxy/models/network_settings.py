"""What decides the layers of a galaxy network; stated apart from Keras, which is slow to import."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class BackboneSettings(BaseModel):
    """What every published kind of network has: its input, its head, its normalisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_px: int = Field(ge=1)
    """Width to which the views are resized inside the network."""
    dense: int | None = None
    """Nodes of the dense layer before the output; None: the features go to the output."""
    dense_normalised: bool = False
    """Batch normalisation before and after the dense layer."""
    frozen_normalisation: bool = False
    """The body's batch normalisation keeps the statistics of its loaded weights."""


class XceptionSettings(BackboneSettings):
    """Xception (Chollet 2017), whole or narrower and shallower."""

    kind: Literal["xception"] = "xception"
    width: float = 1.0
    """Factor of the published numbers of filters, which are rounded to multiples of 8."""
    middle_blocks: int = 8
    """Blocks of the middle flow."""


class VitSettings(BackboneSettings):
    """Vision Transformer (Dosovitskiy et al. 2021); the defaults are ViT-B/16."""

    kind: Literal["vit"] = "vit"
    patch_px: int = 16
    width: int = 768
    """Numbers that describe a patch."""
    depth: int = 12
    """Encoder blocks."""
    heads: int = 12
    """Attention heads of a block."""

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        if self.input_px % self.patch_px or self.width % self.heads:
            raise ValueError(
                f"input_px={self.input_px} must be a multiple of patch_px={self.patch_px}, and width={self.width} one "
                f"of heads={self.heads}"
            )
        return self


class GoogLeNetSettings(BackboneSettings):
    """GoogLeNet (Szegedy et al. 2015)."""

    kind: Literal["googlenet"] = "googlenet"


class EfficientNetLite0Settings(BackboneSettings):
    """EfficientNet-Lite0 (Liu et al. 2020)."""

    kind: Literal["efficientnet-lite0"] = "efficientnet-lite0"


Backbone = Annotated[
    XceptionSettings | VitSettings | GoogLeNetSettings | EfficientNetLite0Settings, Field(discriminator="kind")
]


class GalaxyNetworkSettings(BaseModel):
    """Layers of a galaxy network; see `galaxy.models.networks`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Literal["deck", "residual", "backbone"]
    """``deck`` and ``residual`` are in `galaxy.models.convolutions`, ``backbone`` is in `galaxy.models.backbones`."""
    filters: tuple[int, ...] = ()
    """Filters of each convolution stage (``deck``, ``residual``)."""
    backbone: Backbone | None = None
    """A published kind of network (``backbone``)."""
    view_fraction: float
    """Share of the frame's width that the network sees."""
    average_views: bool
    """The saved model averages over the eight symmetries of the square."""
    dropout: float = 0.0
    """Share of features dropped while fitting."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.architecture == "backbone") != (self.backbone is not None) or bool(self.filters) == bool(
            self.backbone
        ):
            raise ValueError("architecture=backbone goes with backbone, any other with filters")
        return self
