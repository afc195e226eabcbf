"""Soft labels in a dataset: columns beside unchanged labels, and targets of a fit."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from galaxy.labels.votes import QUESTIONS
from tasks.galaxies.soft_labels import with_soft_labels
from tasks.galaxies.training import GalaxyTrainRequest, open_galaxy_training
from tasks.learning.split_parts import part_rows
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.training.methods import MethodError
from tests.small_backfills import DATASET, archive_request, backfill, build, write_archive, write_scheme

COUNT = 60
TEXTS = ("Er", "Sb", "SBb")
SHARES = ["fraction_E", "fraction_S", "fraction_SB"]


def write_tables(folder: Path) -> tuple[Path, Path]:
    """Write an archive whose table has classes alone, and another table of classes and votes."""
    kinds = write_archive(folder / "archive", COUNT)
    ids = pa_csv.read_csv(kinds)
    rng = np.random.default_rng(0)
    plain = {"id": ids["id"], "ra": ids["ra"], "dec": ids["dec"]}
    plain["gz2_class"] = [TEXTS[number % 3] for number in range(COUNT)]
    votes = {}
    for question, answers in QUESTIONS.items():
        drawn = rng.dirichlet(np.ones(len(answers)), COUNT)
        drawn[:3] = 0 if question == "t03_bar" else drawn[:3]
        votes |= {f"{question}_{answer}_debiased": drawn[:, place] for place, answer in enumerate(answers)}
    tables = folder / "archive" / "classes.csv", folder / "archive" / "votes.csv"
    pa_csv.write_csv(pa.table(plain), tables[0])
    pa_csv.write_csv(pa.table(plain | votes), tables[1])
    return tables


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    return write_tables(tmp_path)


def test_a_build_with_votes_has_shares_and_the_digest_of_one_without(
    workspace: Workspace, tables: tuple[Path, Path]
) -> None:
    plain, voted = (
        build(workspace, archive_request(table, "deck-3", dataset=name))
        for table, name in zip(tables, ("plain", "voted"), strict=True)
    )
    assert plain.digest == voted.digest
    assert not set(SHARES) & set(plain.labels("deck-3").column_names)
    shares = voted.labels("deck-3").select(SHARES).to_pandas().to_numpy()
    assert np.isnan(shares[:3]).all()
    np.testing.assert_allclose(shares[3:].sum(axis=1), 1, atol=1e-6)
    part = with_soft_labels(part_rows(voted, "deck-3", "all"), voted, "deck-3")
    assert part.targets is not None
    by_id = dict(zip(voted.labels("deck-3")["id"].to_pylist(), shares, strict=True))
    for sample_id, label, target in zip(part.ids, part.labels, part.targets, strict=True):
        known = np.isfinite(by_id[sample_id]).all()
        np.testing.assert_allclose(target, by_id[sample_id] if known else np.eye(3)[label], atol=1e-6)
    assert 0 < sum((target == 1).any() for target in part.targets) <= 3


def test_a_backfill_of_the_same_scheme_adds_the_shares_and_is_then_done(
    workspace: Workspace, tables: tuple[Path, Path]
) -> None:
    before = build(workspace, archive_request(tables[0], "deck-3"))
    with pytest.raises(MethodError, match=r"no vote fractions: run backfill-class-scheme.*a table with votes"):
        with_soft_labels(part_rows(before, "deck-3", "train"), before, "deck-3")
    summary = backfill(workspace, "deck-3", str(tables[1]))
    after = Dataset.open(workspace, DATASET)
    assert (summary["version"], summary["fetched"], summary["dropped"]) == (2, 0, {})
    assert after.digest == before.digest
    assert after.labels("deck-3").select(["id", "label"]) == before.labels("deck-3").select(["id", "label"])
    part = with_soft_labels(part_rows(after, "deck-3", "train"), after, "deck-3")
    assert part.targets is not None
    np.testing.assert_allclose(part.targets.sum(axis=1), 1, atol=1e-6)
    assert backfill(workspace, "deck-3", str(tables[1]))["version"] == 2


def test_only_what_is_fitted_to_has_soft_labels(workspace: Workspace, tables: tuple[Path, Path]) -> None:
    build(workspace, archive_request(tables[1], "deck-3"))
    request = {"dataset": DATASET, "methods": {"soft_labels": True}}
    training = open_galaxy_training(workspace, GalaxyTrainRequest.model_validate(request))
    assert training.part("train").targets is not None
    assert training.part("all").targets is not None
    assert training.part("validation").targets is None
    assert training.part("test").targets is None
    hard = open_galaxy_training(workspace, GalaxyTrainRequest(dataset=DATASET))
    assert hard.part("train").targets is None
    np.testing.assert_array_equal(hard.part("train").labels, training.part("train").labels)


def test_a_scheme_without_questions_has_no_votes_to_learn(workspace: Workspace, tables: tuple[Path, Path]) -> None:
    table = write_archive(tables[0].parents[1] / "kinds", 48)
    dataset = build(workspace, archive_request(table, write_scheme(table.parent, "two", ("elliptical", "edge_on"))))
    with pytest.raises(MethodError, match="soft_labels: the labels of scheme 'two'"):
        with_soft_labels(part_rows(dataset, "two", "train"), dataset, "two")
