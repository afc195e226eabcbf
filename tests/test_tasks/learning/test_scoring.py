"""Scoring: the order asked for, one shape for the model, one read a shard."""

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.scoring import image_blocks, score

ROWS, SHARD = 23, 8


def make_pixels():
    """Rows whose every pixel is the row's number, in shards of 8 rows, the last one not full."""
    array = zarr.create_array(
        {}, shape=(ROWS, 2, 2, 1), chunks=(4, 2, 2, 1), shards=(SHARD, 2, 2, 1), dtype="uint8", fill_value=0
    )
    array[:] = np.arange(ROWS, dtype=np.uint8)[:, None, None, None]
    return array


PIXELS = make_pixels()


class Recorder:
    """A model whose probabilities tell which row it saw, and that remembers the shapes it was given."""

    def __init__(self):
        self.shapes = set()

    def predict_on_batch(self, x):
        self.shapes.add(x.shape)
        share = x[:, 0, 0, 0] / 255
        return np.stack([share, 1 - share], axis=1)


@given(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=60), st.integers(1, 12))
def test_scores_come_in_the_order_asked_for(rows, batch_size):
    model = Recorder()
    scores = score(model, PIXELS, np.array(rows), batch_size)
    np.testing.assert_allclose(scores[:, 0], np.array(rows) / 255, rtol=1e-6)
    assert scores.dtype == np.float32
    assert model.shapes == {(batch_size, 2, 2, 1)}


def test_images_are_altered_before_the_model_sees_them():
    scores = score(Recorder(), PIXELS, np.array([3, 1]), 4, lambda images: images + 10)
    np.testing.assert_allclose(scores[:, 0], np.array([13, 11]) / 255, rtol=1e-6)


def test_every_shard_is_read_once():
    class Counted:
        shards, chunks, read = PIXELS.shards, PIXELS.chunks, []

        def __getitem__(self, rows):
            assert rows.start // SHARD == (rows.stop - 1) // SHARD
            self.read.append(rows.start // SHARD)
            return PIXELS[rows]

    wanted = np.array([0, 5, 7, 9, 20, 21, 22])
    blocks = list(image_blocks(Counted(), wanted, 3))
    assert Counted.read == [0, 1, 2]
    assert [len(block) for block in blocks] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(blocks)[:, 0, 0, 0], wanted)


def test_a_probability_that_is_not_finite_names_its_row():
    class Broken:
        def predict_on_batch(self, x):
            return np.where(x[:, 0, 0, :] == 5, np.nan, 0.5)

    with pytest.raises(ValueError, match="not finite for 1 rows, first row 5"):
        score(Broken(), PIXELS, np.array([4, 5, 6]), 2)
    kept = score(Broken(), PIXELS, np.array([4, 5, 6]), 2, not_finite="keep")
    assert np.isnan(kept[:, 0]).tolist() == [False, True, False]


def test_nothing_to_score_is_refused():
    with pytest.raises(ValueError, match="no rows"):
        score(Recorder(), PIXELS, np.array([], int), 2)
