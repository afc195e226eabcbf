"""Relabelling of galaxies: what becomes of suspects, what a training makes of it, strata, calibrated probabilities."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.galaxies.relabelling.relabel import GalaxyRelabelRequest, GalaxyRelabelTask, soft_targets
from tasks.galaxies.training import GalaxyTrainRequest, open_galaxy_training
from tasks.learning import measures
from tasks.learning.labels.relabelling import publish_relabelling
from tasks.learning.labels.suspects import SuspectError
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import sha256_of_file
from tasks.training.relabel import score_folds, select_suspects
from tasks.training.training_task import model_card, run_tags
from tests.small_galaxies import CLASSES, SCHEME, publish_galaxies

WRONG = [3, 10, 21, 40]  # samples of the training part
LOGIT = 2.0


def task(workspace: Workspace, **options: Any) -> GalaxyRelabelTask:
    asked = {"dataset": "sky", "preset": "deck", "rule": "misclassified", **options}
    return GalaxyRelabelTask(workspace, GalaxyRelabelRequest(**asked))


def scores_of(relabel: GalaxyRelabelTask, doubted: list[int], temperature: float = 1.0) -> pa.Table:
    """Scores of networks that are sure of every label but those doubted: 0.88 against 0.12."""
    part = relabel.open().part("train")
    against = np.isin([int(name[-4:]) for name in part.ids], doubted)
    sure = 1 / (1 + np.exp(-LOGIT))
    bright = np.where((part.labels == 1) ^ against, sure, 1 - sure)
    return pa.table(
        {
            "id": part.ids,
            "fold": pa.array([1] * len(part), pa.int32()),
            "output_faint": (1 - bright).astype(np.float32),
            "output_bright": bright.astype(np.float32),
            "temperature": np.full(len(part), temperature, np.float32),
            "label": pa.array(part.labels, pa.int32()),
        }
    ).sort_by("id")


@pytest.fixture
def sky(workspace: Workspace) -> Dataset:
    return publish_galaxies(workspace, "sky", 100, wrong=WRONG)


def relabelled_part(workspace: Workspace, **options: Any) -> tuple[str, dict[str, tuple[int, list[float] | None]]]:
    """Relabel the doubted; return the name, and label and targets of the training part by the end of the id."""
    relabel = task(workspace, **options)
    name, suspect = select_suspects(relabel, scores_of(relabel, WRONG), None, 1)
    assert suspect.sum() == len(WRONG)
    part = relabel.open(labels=name).part("train")
    targets = [None] * len(part) if part.targets is None else part.targets.tolist()
    return name, {
        sample[-4:]: (int(label), target) for sample, label, target in zip(part.ids, part.labels, targets, strict=True)
    }


def originals(workspace: Workspace) -> dict[str, int]:
    part = task(workspace).open().part("train")
    return {name[-4:]: int(label) for name, label in zip(part.ids, part.labels, strict=True)}


def test_the_removed_are_absent_and_the_relabelled_have_the_other_class(workspace: Workspace, sky: Dataset) -> None:
    before, wrong = originals(workspace), [f"{row:04d}" for row in WRONG]
    _, removed = relabelled_part(workspace, handling="remove")
    assert set(removed) == set(before) - set(wrong)
    _, flipped = relabelled_part(workspace, handling="relabel")
    assert {name: label for name, (label, _) in flipped.items()} == {
        name: 1 - label if name in wrong else label for name, label in before.items()
    }
    _, kept = relabelled_part(workspace, handling="keep")
    assert {name: label for name, (label, _) in kept.items()} == before
    assert {target is None for _, target in (*removed.values(), *flipped.values(), *kept.values())} == {True}


@pytest.mark.parametrize(("asked", "weight"), [(None, 1 / (1 + np.exp(LOGIT))), (0.5, 0.5), (0.0, 0.0)])
def test_the_weight_of_a_suspect_is_the_probability_of_its_label_or_the_stated_one(
    workspace: Workspace, sky: Dataset, asked: float | None, weight: float
) -> None:
    before, wrong = originals(workspace), [f"{row:04d}" for row in WRONG]
    _, rows = relabelled_part(workspace, handling="weight", suspect_weight=asked)
    for name, (label, target) in rows.items():
        assert label == before[name]
        expected = (weight if name in wrong else 1.0) * np.eye(2)[label]
        np.testing.assert_allclose(target, expected, atol=1e-6)  # type: ignore[arg-type]


def test_without_votes_a_soft_target_is_half_the_label_and_half_the_networks(
    workspace: Workspace, sky: Dataset
) -> None:
    _, rows = relabelled_part(workspace, handling="soft")
    for name, (label, target) in rows.items():
        own = 0.5 + 0.5 / (1 + np.exp(LOGIT)) if int(name) in WRONG else 1.0
        np.testing.assert_allclose(target, [own, 1 - own] if label == 0 else [1 - own, own], atol=1e-6)  # type: ignore[arg-type]


def test_votes_are_the_soft_target_where_they_are_known() -> None:
    probabilities, labels = np.array([[0.2, 0.8], [0.4, 0.6]]), np.array([0, 1])
    votes = np.array([[0.7, 0.3], [np.nan, np.nan]])
    np.testing.assert_allclose(soft_targets(probabilities, labels, votes), [[0.7, 0.3], [0.2, 0.8]])
    np.testing.assert_allclose(soft_targets(probabilities, labels, None), [[0.6, 0.4], [0.2, 0.8]])


def test_a_relabelling_concerns_the_train_part_alone_and_its_digest_is_recorded(
    workspace: Workspace, sky: Dataset
) -> None:
    """It names one sample of each part; only that of the train part has another label."""
    name, ids = "eyes", ["sky-0001", "sky-0008", "sky-0009"]  # of train, validation and test
    given = dict(zip(*(sky.labels(SCHEME)[column].to_pylist() for column in ("id", "label")), strict=True))
    record = {"reason": ["looked at"] * 3, "score": [0.5] * 3, "round": pa.array([1] * 3, pa.int32()), "by": ["me"] * 3}
    other = [CLASSES[1 - CLASSES.index(given[sample])] for sample in ids]
    publish_relabelling(sky, SCHEME, name, pa.table({"id": ids, "label": other, **record}), None, datetime.now(UTC))
    plain, changed = (
        open_galaxy_training(workspace, GalaxyTrainRequest(dataset="sky", preset="deck", labels=labels))
        for labels in (None, name)
    )
    for part, changes in (("train", 1), ("validation", 0), ("test", 0)):
        assert (plain.part(part).labels != changed.part(part).labels).sum() == changes
    digest = sha256_of_file(changed.dataset.path / "labels" / f"{SCHEME}.{name}.parquet")
    card, tags = model_card(changed), run_tags(changed, "cpu")  # type: ignore[arg-type]
    assert (card["labels"], card["labels_sha256"]) == (name, digest)
    assert (tags["relabelling"], tags["relabelling_sha256"], tags["labels"]) == (name, digest, "votes")
    assert "labels" not in model_card(plain)
    assert f"labels {name}" in changed.description.words


def test_relabellings_of_different_content_have_different_names(workspace: Workspace, sky: Dataset) -> None:
    half, third = (relabelled_part(workspace, handling="weight", suspect_weight=at)[0] for at in (0.5, 0.3))
    assert half != third
    assert relabelled_part(workspace, handling="weight", suspect_weight=0.5)[0] == half


def test_folds_of_other_targets_are_fitted_anew(workspace: Workspace, sky: Dataset) -> None:
    """A weight changes no label, and yet the networks of the next round."""

    class Recording(GalaxyRelabelTask):
        def out_of_fold(self, training: Any, part: Any, folder: Path, executor: Any) -> pa.Table:
            folders.append(folder)
            return scores_of(self, WRONG).drop_columns(["label"])

    folders: list[Path] = []
    names = [relabelled_part(workspace, handling="weight", suspect_weight=at)[0] for at in (0.5, 0.3)]
    relabel = Recording(workspace, task(workspace).request)
    for labels in (None, *names, names[0]):
        score_folds(relabel, labels, InProcess())
    assert len(set(folders[:3])) == 3
    assert folders[3] == folders[1]


def test_a_stated_weight_goes_with_its_handling() -> None:
    with pytest.raises(ValidationError, match=r"suspect_weight=0.5 goes with handling=weight, not handling=remove"):
        GalaxyRelabelRequest(dataset="sky", suspect_weight=0.5)


def test_a_rule_that_takes_most_of_a_bin_stops(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", 300, wrong=[])
    relabel = task(workspace)
    trained = set(relabel.open().part("train").ids)
    rows = [row for row in dataset.samples(["id", "redshift"]).to_pylist() if row["id"] in trained]
    known = sorted((row["redshift"], int(row["id"][-4:])) for row in rows if row["redshift"] is not None)
    farthest = [number for _, number in known[-len(known) // 4 :]]
    with pytest.raises(SuspectError, match=r"labels with redshift bin 4 of 4 are suspect, more than 50%"):
        select_suspects(relabel, scores_of(relabel, farthest), None, 1)
    select_suspects(relabel, scores_of(relabel, farthest[::3]), None, 1)


def test_strata_are_class_and_quartiles_of_what_is_known(workspace: Workspace, sky: Dataset) -> None:
    relabel = task(workspace)
    scores = scores_of(relabel, WRONG)
    strata = relabel.strata(relabel.open(), scores)
    assert set(strata) == {"class", "redshift", "vote fraction of the label"}
    assert strata["class"].tolist() == [CLASSES[label] for label in scores["label"].to_pylist()]
    quartiles, counts = np.unique(strata["vote fraction of the label"], return_counts=True)
    assert quartiles.tolist() == [f"bin {number} of 4" for number in (1, 2, 3, 4)]
    assert set(counts) == {20}


def test_each_fold_has_its_own_temperature(workspace: Workspace, sky: Dataset) -> None:
    relabel = task(workspace)
    hot, cold = (relabel.probabilities(scores_of(relabel, WRONG, temperature)) for temperature in (2.0, 1.0))
    np.testing.assert_allclose(hot, measures.apply_temperature(cold, 2.0), atol=1e-6)
    np.testing.assert_allclose(cold.max(axis=1), 1 / (1 + np.exp(-LOGIT)), atol=1e-6)
    mixed = pa.concat_tables([scores_of(relabel, WRONG, 2.0).slice(0, 5), scores_of(relabel, WRONG).slice(5)])
    np.testing.assert_allclose(relabel.probabilities(mixed), np.concatenate([hot[:5], cold[5:]]))
