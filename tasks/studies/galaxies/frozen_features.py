"""Features of a dataset's images by a network whose weights stay as they were loaded, kept on disk."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.galaxies.training import GalaxyTraining
from tasks.learning.scoring import IMAGE_BATCH, image_blocks
from tasks.learning.split_parts import SplitPart
from tasks.runtime.progress import progress
from tasks.runtime.run_log import run_logger
from tasks.store.files import whole_file

RANDOM_SEED = 0
"""Of the weights of a random network, whose features are a baseline of their own."""


def features_digest(training: GalaxyTraining) -> str:
    """Return the digest of all that determines the features of a training's network before it is fitted."""
    network = training.preset.model_dump(mode="json", exclude={"training", "augmentation", "optimizer"})
    facts = {
        "dataset_digest": training.dataset.digest,
        "scheme": training.scheme,
        "settings": network,
        "grey": training.request.grey,
        "weights_sha256": training.initial.sha256 or f"random {RANDOM_SEED}",
        "mirrored": training.mirrored,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def frozen_features(training: GalaxyTraining, part: SplitPart, folder: Path) -> NDArray[np.float32]:
    """Return the features (n, f) of the samples of a part, from `folder` where they were computed before.

    They are the mean over the eight symmetries of the centred view; over the four rotations alone where a mirror image
    is of another class.

    Parameters
    ----------
    training : GalaxyTraining
        Names the network and the weights.
    part : SplitPart
        All n labelled samples, sorted by row.
    folder : Path
    """
    path = folder / f"features-{features_digest(training)}.npy"
    if not path.exists():
        run_logger().info("features of %d images: %s", len(part), " ".join(training.description.words))
        features = _compute(training, part)
        with whole_file(path) as beside, beside.open("wb") as stream:
            np.save(stream, features, allow_pickle=False)
    return np.asarray(np.load(path, allow_pickle=False))


def _compute(training: GalaxyTraining, part: SplitPart) -> NDArray[np.float32]:
    import keras

    from galaxy.models.layers import VIEWS
    from galaxy.models.networks import build_feature_model, build_network
    from tasks.learning.fits.seeding import seeded

    preset, size_px = training.preset, training.size_px
    with seeded(RANDOM_SEED):
        network = build_network(preset, size_px, len(training.classes), grey=training.request.grey, precision="float32")
    training.initial.load_into(network, preset)
    model = build_feature_model(network, preset, size_px)
    views = VIEWS if training.mirrored is None else VIEWS // 2
    blocks = []
    with progress("features", len(part)) as advance:
        for images in image_blocks(training.dataset.pixels, part.rows, IMAGE_BATCH):
            blocks.append(_mean(model, images, views))
            advance(len(images))
    keras.backend.clear_session()
    return np.concatenate(blocks)


def _mean(model: Any, images: NDArray, views: int) -> NDArray[np.float32]:
    """Return the mean features (n, f) over the first `views` symmetries; a short block is padded to one shape."""
    full = np.concatenate([images, np.repeat(images[-1:], IMAGE_BATCH - len(images), axis=0)])
    outputs = np.asarray(model.predict_on_batch(full), np.float32)
    return outputs.reshape(-1, len(full), outputs.shape[-1])[:views, : len(images)].mean(axis=0)
