"""Which galaxies have a known right answer: by the truth of a simulation, or by votes that all but agree."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.galaxies.labelling import FACTS, SURE_FRACTION, gold_labels, known_object
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tests.small_galaxies import CLASSES, SCHEME, publish_galaxies


def label(dataset: Dataset, fractions: list[float | None] | None) -> list[str]:
    """Give a dataset other vote fractions, or none; return its ids."""
    path = dataset.path / "labels" / f"{SCHEME}.parquet"
    table = pq.read_table(path)
    table = table.drop_columns(["vote_fraction"])
    if fractions is not None:
        table = table.append_column("vote_fraction", pa.array(fractions, pa.float32()))
    pq.write_table(table, path)
    return list(table["id"].to_pylist())


def test_the_truth_of_a_simulation_counts_before_the_votes_and_the_labels(workspace: Workspace) -> None:
    wrong = range(0, 40, 3)
    dataset = publish_galaxies(workspace, "sky", 40, wrong=wrong)
    labels = dict(zip(*(dataset.labels(SCHEME)[name].to_pylist() for name in ("id", "label")), strict=True))
    gold = gold_labels(dataset, SCHEME)
    differ = [row for row, (name, word) in enumerate(labels.items()) if gold[name] != word]
    assert differ == [*wrong]


def test_an_object_whose_true_kind_the_scheme_lacks_has_no_right_answer(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", 40, wrong=[0])
    path = dataset.path / "truth.parquet"
    truth = pq.read_table(path)
    words = truth["truth"].to_pylist()
    pq.write_table(
        truth.set_column(1, "truth", pa.array(["star" if word == "faint" else word for word in words])), path
    )
    gold = gold_labels(Dataset.open(workspace, "sky"), SCHEME)
    assert set(gold.values()) == {"bright"}
    assert len(gold) == words.count("bright") > 0


def test_votes_from_the_limit_on_make_a_label_a_known_answer(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", 6)
    limit = float(np.float32(SURE_FRACTION))
    below = float(np.nextafter(np.float32(SURE_FRACTION), np.float32(0)))
    ids = label(dataset, [1.0, below, None, limit + 1e-6, 0.2, float("nan")])
    assert set(gold_labels(Dataset.open(workspace, "sky"), SCHEME)) == {ids[0], ids[3]}


def test_without_votes_no_answer_is_known(workspace: Workspace) -> None:
    label(publish_galaxies(workspace, "sky", 6), None)
    assert gold_labels(Dataset.open(workspace, "sky"), SCHEME) == {}


def test_a_sure_vote_without_a_label_is_no_answer(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", 3)
    ids = label(dataset, [1.0, 1.0, 1.0])
    path = dataset.path / "labels" / f"{SCHEME}.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "label", pa.array([CLASSES[0], None, CLASSES[1]])), path)
    assert gold_labels(Dataset.open(workspace, "sky"), SCHEME) == {ids[0]: CLASSES[0], ids[2]: CLASSES[1]}


def test_a_scheme_that_does_not_label_the_dataset_is_refused(workspace: Workspace) -> None:
    with pytest.raises(StoreError, match=f"'sky' version 1 is not labelled by scheme 'deck-3'; it has: {SCHEME}"):
        gold_labels(publish_galaxies(workspace, "sky", 3), "deck-3")


def test_a_galaxy_is_the_known_object_itself_and_nothing_that_is_shown_tells_the_label() -> None:
    assert known_object({"id": "a", "parameters": "{}"}) is None
    assert not {"label", "vote_fraction", "group", "parameters", "truth"} & set(FACTS)
