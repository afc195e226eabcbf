"""Training of galaxy networks from the store against a bare Keras fit on an array in memory; simulated pixels of noise.

Each network is measured twice: with the random views of its preset, which the bare fit does not have, and with the
centred view alone, as the bare fit has it. See `tests.benchmarks.bare_fits`. Xception and ViT-B/16 of full size are
left out: on two cores a step of theirs takes seconds, of which reading is a thousandth.
"""

from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.bare_fits import BareFit, EpochPair, beside_a_bare_fit, spread

SIZE_PX, CLASSES = 128, 3


class Measured(NamedTuple):
    """A network, and the images of one epoch: some seconds on two cores."""

    network: str
    preset: str
    images: int


NETWORKS = (
    Measured("cnn", "deck", 4096),
    Measured("cnn", "tuned", 4096),
    Measured("xception-small", "tuned", 1024),
    Measured("vit-small", "tuned", 2048),
    Measured("googlenet", "tuned", 512),
    Measured("efficientnet-lite0", "tuned", 512),
)


def run(networks: tuple[Measured, ...] = NETWORKS) -> dict[str, Any]:
    """Return images a second, and the ratios of processor and of clock time with views and without."""
    shape = (max(one.images for one in networks), SIZE_PX, SIZE_PX, 3)
    stored, figures = np.random.default_rng(0).integers(0, 256, shape, np.uint8), dict[str, Any]()
    for one in networks:
        name = f"{one.network}_{one.preset}".replace("-", "_")
        pairs = _beside_a_bare_fit(one, stored[: one.images], with_views=True)
        figures[f"{name}_images_per_s"] = median(pair.ours_by_clock for pair in pairs)
        figures |= spread(f"{name}_of_bare", [pair.ours / pair.bare for pair in pairs])
        figures[f"{name}_of_bare_by_clock"] = median(pair.ours_by_clock / pair.bare_by_clock for pair in pairs)
        plain = _beside_a_bare_fit(one, stored[: one.images], with_views=False)
        figures |= spread(f"{name}_plain_of_bare", [pair.ours / pair.bare for pair in plain])
    return figures


def _beside_a_bare_fit(one: Measured, stored: NDArray[np.uint8], *, with_views: bool) -> list[EpochPair]:
    from galaxy.models.augmentation import centre_view, random_view
    from galaxy.models.networks import build_network, view_px
    from tasks.galaxies.presets import for_random_start, load_preset
    from tasks.learning.fits.fit_spec import FitSpec

    preset = for_random_start(load_preset(one.network, one.preset))
    width = view_px(preset, SIZE_PX)
    learner = FitSpec(
        lambda precision: build_network(preset, SIZE_PX, CLASSES, grey=False, precision=precision),
        lambda images, seed: random_view(images, seed, preset.augmentation, width),
        lambda images: centre_view(images, width),
        CLASSES,
    )
    if not with_views:
        learner = replace(learner, random_view=lambda images, seed: centre_view(images, width))
    batch = preset.training.batch_size
    labels = np.arange(len(stored)) % CLASSES
    bare = BareFit(np.ascontiguousarray(centre_view(stored, width)), batch, validated=batch)
    return beside_a_bare_fit(learner, preset, preset.optimizer, stored, labels, bare)
