"""Which galaxies of a part a model is evaluated on."""

from pathlib import Path

import numpy as np
import pytest

from tasks.galaxies.rows import unseen_rows
from tasks.learning.split_parts import part_rows
from tasks.learning.training_overlap import read_training_samples
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import EvaluationError
from tests.small_galaxies import SCHEME, publish_galaxies


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return publish_galaxies(Workspace(tmp_path_factory.mktemp("galaxies")), "home", count=60)


def test_unknown_training_samples_leave_all_rows_and_no_count(home: Dataset) -> None:
    rows, overlap = unseen_rows(home, SCHEME, "all", None)
    assert (len(rows), overlap) == (60, None)


def test_no_training_samples_leave_all_rows_and_count_none(home: Dataset) -> None:
    rows, overlap = unseen_rows(home, SCHEME, "test", read_training_samples(home).slice(0, 0))
    assert (len(rows), overlap) == (6, 0)


def test_the_samples_of_training_and_validation_are_left_out(home: Dataset) -> None:
    rows, overlap = unseen_rows(home, SCHEME, "all", read_training_samples(home))
    assert overlap == 54
    assert rows.ids == part_rows(home, SCHEME, "test").ids


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_part_that_the_model_has_seen_whole_is_refused(home: Dataset, part: str) -> None:
    with pytest.raises(EvaluationError, match=f"samples of part '{part}' of dataset 'home' were in the model's train"):
        unseen_rows(home, SCHEME, part, read_training_samples(home))


def test_rows_keep_their_order(home: Dataset, tmp_path: Path) -> None:
    rows, _ = unseen_rows(home, SCHEME, "all", read_training_samples(home).slice(0, 3))
    assert len(rows) == 57
    assert np.all(np.diff(rows.rows) > 0)
