"""Which candidates two models are compared on: truth, recovered injections and people's words, never weak labels."""

from typing import Any

import numpy as np
import pytest

from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION
from realbogus.sources.object_kinds import KNOWN_TRANSIENT
from tasks.candidates.model_comparison import CandidateComparison, strata_of
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.kept_scores import Contender
from tasks.decisions.labelling_queue import Verdict
from tasks.decisions.model_rows import KnownRows
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.model_registry import ModelRef
from tasks.training.evaluation_record import EvaluationError
from tests.small_candidates import SCHEME, SIDE, publish_candidates
from tests.small_scores import made_rows


def contender(workspace: Workspace, **card: Any) -> Contender:
    return Contender(ModelRef("models:/realbogus/1", "realbogus", 1, "run", workspace.root), card)


def published(workspace: Workspace, labels: list[str | None], label_kind: str = "injection", **more: Any) -> Dataset:
    count = len(labels)
    cells = [f"cell {row}" for row in range(count)]
    dataset = publish_candidates(workspace, "night", labels, cells, ["test"] * count, **more)
    return Dataset(dataset.path, dataset.manifest | {"label_kind": label_kind})


def known(
    dataset: Dataset, workspace: Workspace, verdicts: dict[str, Verdict] | None = None, least: int = 50, **card: Any
) -> KnownRows:
    ids = dataset.samples(["id"])["id"].to_pylist()
    settings = GateSettings(least_events=least)
    return CandidateComparison().known_rows(
        dataset, SCHEME, "test", ids, verdicts or {}, contender(workspace, **card), settings
    )


def by_id(rows: KnownRows) -> dict[str, tuple[int, float]]:
    return dict(zip(rows.part.ids, zip(rows.part.labels.tolist(), rows.weights.tolist(), strict=True), strict=True))


def test_the_truth_rules_over_labels_and_verdicts(workspace: Workspace) -> None:
    dataset = published(workspace, ["bogus", "real", None], real=[True, False, True])
    rows = known(dataset, workspace, {"c0000": Verdict("bogus", 1.0)})
    assert by_id(rows) == {"c0000": (1, 1.0), "c0001": (0, 1.0), "c0002": (1, 1.0)}
    assert rows.left_out == {}


def test_only_the_rows_asked_for_count(workspace: Workspace) -> None:
    dataset = published(workspace, ["bogus", "real"] * 3, real=[False, True] * 3)
    rows = CandidateComparison().known_rows(
        dataset, SCHEME, "test", ["c0001", "c0002", "gone"], {}, contender(workspace), GateSettings()
    )
    assert rows.part.ids == ["c0001", "c0002"]


def test_unreviewed_detections_and_weak_labels_do_not_count(workspace: Workspace) -> None:
    kinds = ["detection", GALAXY_INJECTION, KNOWN_TRANSIENT, "detection"]
    dataset = published(workspace, ["bogus", "real", None, None], columns={"kind": kinds})
    rows = known(dataset, workspace)
    assert by_id(rows) == {"c0001": (1, 1.0), "c0002": (1, 1.0)}
    assert rows.left_out == {"injection_label": 1, "unlabelled": 1}
    weak = Dataset(dataset.path, dataset.manifest | {"label_kind": "weak"})
    assert known(weak, workspace).left_out == {"weak_label": 1, "unlabelled": 1}


def test_peoples_labels_count_and_a_verdict_corrects_them(workspace: Workspace) -> None:
    dataset = published(workspace, ["bogus", "bogus", "real", None], label_kind="human")
    rows = known(dataset, workspace, {"c0001": Verdict("real", None), "c0003": Verdict("bogus", None)})
    assert by_id(rows) == {"c0000": (0, 1.0), "c0001": (1, 1.0), "c0002": (1, 1.0)}
    assert rows.left_out == {"verdict_without_probability": 1}


def test_a_verdict_of_known_chance_makes_a_row_count_with_its_weight(workspace: Workspace) -> None:
    kinds = ["detection", "detection", RANDOM_INJECTION]
    dataset = published(workspace, ["bogus", "bogus", "real"], columns={"kind": kinds})
    verdicts = {"c0000": Verdict("bogus", 0.1), "c0001": Verdict("real", None), "c0002": Verdict("bogus", 1.0)}
    rows = known(dataset, workspace, verdicts)
    assert by_id(rows) == {"c0000": (0, pytest.approx(10.0)), "c0002": (1, 1.0)}
    assert rows.left_out == {"verdict_without_probability": 1}
    assert rows.to_json()["weighted"] == 1


def test_injections_serve_as_reals_only_where_others_are_few(workspace: Workspace) -> None:
    kinds = ["detection"] * 3 + [RANDOM_INJECTION, "detection"]
    dataset = published(workspace, ["real"] * 4 + ["bogus"], real=[True] * 4 + [False], columns={"kind": kinds})
    few = known(dataset, workspace, least=4)
    assert len(few.part) == 5
    assert few.notes == (
        "The part has only 3 true transients that were not injected, so injections count as reals too.",
    )
    enough = known(dataset, workspace, least=3)
    assert enough.part.ids == ["c0000", "c0001", "c0002", "c0004"]
    assert enough.left_out == {"injection": 1}
    assert enough.notes == ()


@pytest.mark.parametrize("real", [None, [True, False, True]])
def test_a_model_of_one_detector_is_judged_on_it(workspace: Workspace, real: list[bool] | None) -> None:
    columns = {"detector": ["one", "two", "one"]}
    dataset = published(workspace, ["real", "bogus", "real"], label_kind="human", real=real, columns=columns)
    rows = known(dataset, workspace, detector="one")
    assert rows.part.ids == ["c0000", "c0002"]
    assert rows.left_out == {"other_detector": 1}


def test_strata_are_of_reals_or_of_bogus() -> None:
    columns = {
        "mag": [18.2, 18.99, None, 17.0, 19.0],
        "galaxy_separation_re": [0.5, 2.0, 2.1, 0.1, None],
        "detector": ["a", "a", "b", "b", None],
    }
    origins = ["transient", "variable", "", "noise", "noise"]
    strata = strata_of(made_rows([True, True, True, False, False], origins=origins, columns=columns))
    assert {name: words.tolist() for name, words in strata.items()} == {
        "magnitude": ["18 to 19", "18 to 19", "", "", ""],
        "host": ["nuclear", "near a galaxy", "far from galaxies", "", ""],
        "class": ["transient", "variable", "", "", ""],
        "detector": ["", "", "", "b", ""],
    }


def test_a_model_of_other_stamps_or_preprocessing_is_refused(workspace: Workspace) -> None:
    dataset = published(workspace, ["real", "bogus"])
    card = {"problem": "realbogus", "classes": ["bogus", "real"], "preprocessing_version": "none of ours"}
    with pytest.raises(EvaluationError, match=r"has images of shape \[21, 21, 3\], the model's is \[22, 22, 3\]"):
        CandidateComparison().require_fit(dataset, SCHEME, card | {"input_shape": [SIDE + 1, SIDE + 1, 3]})
    with pytest.raises(EvaluationError, match="is read here by the preprocessing"):
        CandidateComparison().require_fit(dataset, SCHEME, card | {"input_shape": [SIDE, SIDE, 3]})


def test_the_figure_is_of_real_against_bogus() -> None:
    comparison = CandidateComparison()
    figure = comparison.figure(["bogus", "real"], GateSettings(tpr=0.95))
    assert (figure.tpr, figure.negative, figure.positive) == (0.95, "bogus", "real")
    np.testing.assert_allclose(comparison.outputs(np.array([[1.0, 3.0], [2.0, -1.0]])), [2.0, -3.0])
