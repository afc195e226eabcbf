"""The named choices of the galaxy flows: sources of images, networks, optimisers, presets, suspects.

Flows and request models take their types from here; this module imports nothing heavy.
"""

from typing import Literal

SourceName = Literal["sdss", "legacy", "archive", "simulated"]
NetworkName = Literal["cnn", "xception", "vit", "xception-small", "vit-small", "googlenet", "efficientnet-lite0"]
OptimizerName = Literal["sgd", "adam"]
"""The optimisers of `tasks.learning.fits.fit_settings` for which the presets have a learning rate."""
PresetName = Literal["deck", "tuned"]
Handling = Literal["keep", "remove", "weight", "relabel", "soft"]
"""What is done with suspect labels before the second training."""
