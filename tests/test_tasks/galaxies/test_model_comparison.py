"""Which galaxies two models are compared on: the truth where it is known, else volunteers' classes and verdicts."""

from typing import Any

import numpy as np
import pytest

from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.kept_scores import Contender
from tasks.decisions.labelling_queue import Verdict
from tasks.decisions.model_rows import KnownRows
from tasks.galaxies.model_comparison import GalaxyComparison
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.model_registry import ModelRef
from tasks.training.evaluation_record import EvaluationError
from tests.small_galaxies import CLASSES, SCHEME, card_of, publish_galaxies


def known(dataset: Dataset, workspace: Workspace, verdicts: dict[str, Verdict] | None = None) -> KnownRows:
    contender = Contender(ModelRef("models:/g/1", "g", 1, "run", workspace.root), {})
    ids = dataset.samples(["id"])["id"].to_pylist()
    return GalaxyComparison().known_rows(dataset, SCHEME, "all", ids, verdicts or {}, contender, GateSettings())


def with_kind(dataset: Dataset, kind: str) -> Dataset:
    return Dataset(dataset.path, dataset.manifest | {"label_kind": kind})


def classes_of(dataset: Dataset) -> list[Any]:
    return dataset.labels(SCHEME)["label"].to_pylist()


def test_the_truth_rules_over_labels(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", count=30, wrong=[3, 4])
    rows = known(dataset, workspace)
    labelled = np.array([CLASSES.index(word) for word in classes_of(dataset)])
    by_id = dict(zip(rows.part.ids, rows.part.labels.tolist(), strict=True))
    found = np.array([by_id[f"sky-{number:04d}"] for number in range(30)])
    assert np.flatnonzero(found != labelled).tolist() == [3, 4]
    assert rows.strata["class"].tolist() == [CLASSES[label] for label in rows.part.labels]


def test_votes_count_and_weak_labels_do_not(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", count=30)
    assert len(known(dataset, workspace).part) == 30
    weak = known(with_kind(dataset, "weak"), workspace)
    assert (len(weak.part), weak.left_out) == (0, {"weak_label": 30})


def test_verdicts_correct_labels_and_count_with_their_weight(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", count=30)
    other = {"faint": "bright", "bright": "faint"}[classes_of(dataset)[0]]
    corrected = known(dataset, workspace, {"sky-0000": Verdict(other, None)})
    at = corrected.part.ids.index("sky-0000")
    assert (CLASSES[corrected.part.labels[at]], corrected.weights[at]) == (other, 1.0)
    weak = with_kind(dataset, "weak")
    chosen = known(weak, workspace, {"sky-0000": Verdict("bright", 0.25), "sky-0001": Verdict("faint", None)})
    assert (chosen.part.ids, chosen.weights.tolist()) == (["sky-0000"], [4.0])
    assert chosen.left_out == {"weak_label": 28, "verdict_without_probability": 1}


def test_a_model_of_other_classes_is_refused(workspace: Workspace) -> None:
    dataset = publish_galaxies(workspace, "sky", count=30)
    GalaxyComparison().require_fit(dataset, SCHEME, card_of(dataset))
    with pytest.raises(EvaluationError, match="has, under 'bright-2', the classes"):
        GalaxyComparison().require_fit(dataset, SCHEME, card_of(dataset, classes=["round", "flat"]))


def test_the_figure_is_the_error_rate_of_the_most_probable_class() -> None:
    comparison = GalaxyComparison()
    figure = comparison.figure(CLASSES, GateSettings())
    outputs = comparison.outputs(np.array([[0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]))
    assert figure.wrong(outputs, np.array([0, 0, 1]), np.ones((2, 3))).tolist() == [[False, True, True]] * 2
