"""Scoring: a model's outputs for rows of a pixel array, read shard by shard."""

from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray

IMAGE_BATCH = 64
"""Images a step: of a galaxy model, and of any model's validation part after training."""
STAMP_BATCH = 256
"""Stamps a step when a real/bogus model is evaluated. The batch size can change the last bit of an output."""


class Scorer(Protocol):
    """The method of a Keras model that `score` calls."""

    def predict_on_batch(self, x: NDArray) -> NDArray:
        """Return the outputs (n, classes) of images (n, y, x, channel)."""


def score(
    model: Scorer,
    pixels: zarr.Array,
    rows: NDArray,
    batch_size: int,
    alter: Callable[[NDArray], NDArray] = lambda images: images,
    not_finite: Literal["refuse", "keep"] = "refuse",
) -> NDArray[np.float32]:
    """Return the outputs of ``rows``, in their order.

    Parameters
    ----------
    model : Scorer
        Takes images (batch_size, y, x, channel) as they are stored.
    pixels : zarr.Array, (sample, y, x, channel)
    rows : (n,) int
        In any order, repeats allowed.
    batch_size : int
        Images a step. The last step is padded, so that a compiled model sees a single shape.
    alter : callable
        Applied to the images of each step first.
    not_finite : refuse or keep
        What becomes of outputs that are not finite.

    Returns
    -------
    (n, classes) float32

    Raises
    ------
    ValueError
        An output is not finite and they are refused; the message names the row.
    """
    rows = np.asarray(rows, np.int64)
    if not len(rows):
        raise ValueError("there are no rows to score")
    order = np.argsort(rows, kind="stable")
    scores = []
    for images in image_blocks(pixels, rows[order], batch_size):
        missing = batch_size - len(images)
        full = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
        scores.append(np.asarray(model.predict_on_batch(alter(full)), np.float32)[: len(images)])
    in_order = np.empty((len(rows), scores[0].shape[-1]), np.float32)
    in_order[order] = np.concatenate(scores)
    if not_finite == "refuse":
        _refuse_not_finite(in_order, rows)
    return in_order


def image_blocks(pixels: zarr.Array, sorted_rows: NDArray, batch_size: int) -> Iterator[NDArray]:
    """Yield the images (b, y, x, channel) of ascending rows (n,), ``batch_size`` at a time; the last may be fewer.

    One shard is in memory at a time, and each is read once.
    """
    pending: list[NDArray] = []
    count = 0
    for part in _by_shard(sorted_rows, (pixels.shards or pixels.chunks)[0]):
        pending.append(_read_rows(pixels, part))
        count += len(part)
        if count >= batch_size:
            images = np.concatenate(pending) if len(pending) > 1 else pending[0]
            whole = count - count % batch_size
            yield from (images[start : start + batch_size] for start in range(0, whole, batch_size))
            pending, count = [images[whole:].copy()] if whole < count else [], count - whole
    if count:
        yield np.concatenate(pending)


def _read_rows(pixels: zarr.Array, rows: NDArray) -> NDArray:
    """Return the images (m, y, x, channel) of ascending rows (m,) of one shard; not copied where none is left out."""
    first, last = int(rows[0]), int(rows[-1])
    block = np.asarray(pixels[first : last + 1])
    is_whole = len(block) == len(rows) and bool((np.diff(rows) == 1).all())
    return block if is_whole else block[rows - first]


def _by_shard(sorted_rows: NDArray, shard_rows: int) -> list[NDArray]:
    return np.split(sorted_rows, np.flatnonzero(np.diff(sorted_rows // shard_rows)) + 1)


def _refuse_not_finite(scores: NDArray, rows: NDArray) -> None:
    broken = rows[~np.isfinite(scores).all(axis=1)]
    if len(broken):
        raise ValueError(f"the model's probabilities are not finite for {len(broken)} rows, first row {broken[0]}")
