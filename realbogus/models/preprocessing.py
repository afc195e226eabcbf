"""The version of a saved model's preprocessing of stored triplets, importable without Keras.

It changes with the rule for missing values, the normalisations (`realbogus.models.layers`) or the order of channels.
Models of another version are rejected.
"""

from typing import Literal

PREPROCESSING_VERSION = "realbogus-1"
Normalisation = Literal["sky-asinh", "sky-mean", "min-max", "asinh-min-max", "standard-asinh", "l2", "sky-asinh-l2"]
"""Normalisations of stamps to values of order one; see `realbogus.models.layers.Normalise`."""
