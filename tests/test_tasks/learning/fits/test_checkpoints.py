"""The state of a fit on disk: what is read back is what was written, and only the newest whole epoch counts."""

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.learning.fits.checkpoints import CURVES, EpochRecord, FitState, load_state, save_state


def record(epoch: int, loss: float) -> EpochRecord:
    return EpochRecord(epoch, 0.5, 0.75, loss, 0.625, 0.01, 2.0)


def state(epochs: int) -> FitState:
    variables = [np.arange(3, dtype=np.float32), np.full((2, 2), 7, np.int64)]
    history = [record(epoch, 1 / epoch) for epoch in range(1, epochs + 1)]
    followed = {"means": np.full((2, 2), 0.5, np.float32), "predicted": np.array([1, 0]), "changes": [5, 3]}
    return FitState(history, 1, 2, 3, variables, [np.array([1.5])], settled_weights=[np.array([2.5])], **followed)


def arrays_of(state: FitState) -> list[list[np.ndarray]]:
    assert state.means is not None
    assert state.predicted is not None
    return [state.variables, state.best_weights, state.settled_weights, [state.means, state.predicted]]


def test_a_fresh_state_has_no_epoch_and_no_best_loss(tmp_path: Path) -> None:
    fresh = load_state(tmp_path / "absent")
    assert fresh == FitState()
    assert (fresh.epoch, fresh.best_epoch, fresh.stalled, fresh.plateau) == (0, 0, 0, 0)
    assert fresh.best_loss == float("inf")


def test_the_best_loss_is_that_of_the_best_epoch() -> None:
    history = [record(1, 0.9), record(2, 0.4), record(3, 0.6)]
    assert FitState(history, best_epoch=2).best_loss == 0.4
    assert FitState(history, best_epoch=1).best_loss == 0.9
    assert FitState(history, best_epoch=3).epoch == 3


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    save_state(tmp_path, state(2))
    loaded = load_state(tmp_path)
    assert loaded.history == state(2).history
    assert (loaded.best_epoch, loaded.stalled, loaded.plateau, loaded.changes) == (1, 2, 3, [5, 3])
    for arrays, expected in zip(arrays_of(loaded), arrays_of(state(2)), strict=True):
        assert [array.dtype for array in arrays] == [array.dtype for array in expected]
        assert all(np.array_equal(one, other) for one, other in zip(arrays, expected, strict=True))


def test_the_newest_epoch_counts_and_older_ones_are_removed(tmp_path: Path) -> None:
    for epochs in (9, 10):
        save_state(tmp_path, state(epochs))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000010"]
    assert load_state(tmp_path).epoch == 10


def test_many_variables_keep_their_order(tmp_path: Path) -> None:
    variables = [np.array([number]) for number in range(12)]
    save_state(tmp_path, FitState([record(1, 1.0)], variables=variables))
    assert [int(array[0]) for array in load_state(tmp_path).variables] == list(range(12))


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        save_state(tmp_path, FitState([record(1, 1.0)], variables=[np.array([{}], dtype=object)]))
    assert not list(tmp_path.glob("epoch-*"))


def test_curves_are_fields_of_a_record_and_its_text_has_them(tmp_path: Path) -> None:
    save_state(tmp_path, state(1))
    written = json.loads((tmp_path / "epoch-000001" / "state.json").read_text())["history"][0]
    assert set(CURVES) <= set(written)
    expected = "loss 0.500, accuracy 0.750; validation loss 1.000, accuracy 0.625; 2 s"
    assert str(record(1, 1.0)) == expected
