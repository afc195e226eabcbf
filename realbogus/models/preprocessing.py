"""The version of all that a saved model does to stored triplets before its network, known without loading Keras.

It changes with the rule for missing values, the normalisations (`realbogus.models.layers`) or the order of channels.
A model of another version is refused by name.
"""

from typing import Literal

PREPROCESSING_VERSION = "realbogus-1"
Normalisation = Literal["sky-asinh", "sky-mean", "min-max", "asinh-min-max", "standard-asinh", "l2"]
"""How stamps are brought to numbers of order one; see `realbogus.models.layers.Normalise`."""
