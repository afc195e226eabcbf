"""The named choices of the real/bogus flows: sources, balance of injections, treatment of detectors and suspects.

Flows and request models take their types from here; this module imports nothing heavy. Networks, sizes and profiles
are named in `realbogus.models.network_settings`, subtraction engines in `realbogus.subtraction.engine_names`.
"""

from typing import Literal

SourceName = Literal["simulated", "frames", "zenodo", "alerts", "triplets"]
Balance = Literal["asked", "stored"]
"""Whether the share near galaxies is of the requested injections, or is met among the stored by further injections."""
WithoutEpoch = Literal["refuse", "position_only"]
"""What becomes of a detection without an epoch where known objects are given."""
Treatment = Literal["each", "mix", "all"]
"""Train on one detector, on a random subset of all detectors of that size, or on all samples."""
Handling = Literal["keep", "remove", "unlabel", "flip"]
"""What is done with suspect labels before the second training."""
RobustLoss = Literal["gce", "ce-eps-mae", "nnpu", "elr"]
"""A loss made for labels of which some are wrong; `tasks.candidates.presets.ROBUST_LOSSES` has their settings."""
