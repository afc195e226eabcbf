"""Which candidates of a part are evaluated: ground truth by survey, reasons to leave out, and the headline's reals."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION
from realbogus.sources.object_kinds import KNOWN_TRANSIENT
from tasks.candidates.rows import LEAST_SCENE_REALS, evaluation_rows, passed_bogus, unseen_rows, with_headline
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.training.evaluation_record import EvaluationError
from tests.small_candidates import SCHEME, publish_candidates
from tests.small_scores import made_rows


def published(workspace: Workspace, name: str, labels: list[str | None], **more: Any) -> Dataset:
    count = len(labels)
    return publish_candidates(
        workspace, name, labels, [f"cell {row}" for row in range(count)], ["test"] * count, **more
    )


def test_without_truth_the_label_rules_and_the_unlabelled_are_left_out(workspace: Workspace) -> None:
    kinds = ["detection", "detection", "detection", KNOWN_TRANSIENT, RANDOM_INJECTION]
    dataset = published(workspace, "labelled", ["real", "bogus", None, None, "real"], columns={"kind": kinds})
    rows = evaluation_rows(dataset, SCHEME, "test")
    assert rows.part.ids == ["c0000", "c0001", "c0003", "c0004"]
    assert rows.real.tolist() == [True, False, True, True]  # a known transient is real whatever its label
    assert rows.injected.tolist() == [False, False, False, True]
    assert rows.origins.tolist() == ["", "", "", ""]
    assert rows.left_out == {"unlabelled": 1}


def test_the_truth_rules_where_the_survey_has_one(workspace: Workspace) -> None:
    dataset = published(
        workspace,
        "true",
        ["bogus", "real", "real", "bogus"],
        real=[True, False, True, False],
        columns={"kind": ["detection", "detection", GALAXY_INJECTION, GALAXY_INJECTION]},
    )
    rows = evaluation_rows(dataset, SCHEME, "test")
    assert rows.part.ids == ["c0000", "c0001", "c0002"]
    assert rows.real.tolist() == [True, False, True]
    assert rows.origins.tolist() == ["made"] * 3
    assert rows.left_out == {"injection_outshone": 1}


def test_a_models_detector_leaves_the_others_out(workspace: Workspace) -> None:
    columns = {"detector": ["one", "two", None, "one"]}
    dataset = published(workspace, "detectors", ["real", "bogus", "real", "bogus"], columns=columns)
    rows = evaluation_rows(dataset, SCHEME, "test", "one")
    assert rows.part.ids == ["c0000", "c0003"]
    assert rows.left_out == {"other_detector": 2}


def test_a_part_has_its_own_rows(workspace: Workspace) -> None:
    parts = ["train", "train", "test", "validation"]
    dataset = publish_candidates(workspace, "parts", ["real", "bogus"] * 2, [f"cell {row}" for row in range(4)], parts)
    assert evaluation_rows(dataset, SCHEME, "train").part.ids == ["c0000", "c0001"]
    assert len(evaluation_rows(dataset, SCHEME, "all").part) == 4


@pytest.mark.parametrize("simulated", [True, False])
def test_with_enough_reals_of_the_scene_injections_are_not_in_the_headline(simulated: bool) -> None:
    real = [True] * LEAST_SCENE_REALS + [True, False, False]
    injected = [False] * LEAST_SCENE_REALS + [True, True, False]
    rows = with_headline(made_rows(real, injected=injected), simulated=simulated)
    assert rows.headline.tolist() == [True] * LEAST_SCENE_REALS + [False, True, True]
    assert rows.notes == []


@pytest.mark.parametrize(("simulated", "which"), [(True, "true transients"), (False, "reals")])
def test_with_one_real_less_they_count_and_a_note_says_so(simulated: bool, which: str) -> None:
    scene = LEAST_SCENE_REALS - 1
    rows = with_headline(made_rows([True] * (scene + 1), injected=[False] * scene + [True]), simulated=simulated)
    assert rows.headline.all()
    assert rows.notes == [
        f"The part has only {scene} {which} that were not injected, so injections count as reals too."
    ]


def test_few_reals_without_injections_need_no_note() -> None:
    rows = with_headline(made_rows([True, False]), simulated=True)
    assert rows.headline.all()
    assert rows.notes == []


def seen(ids: list[str]) -> pa.Table:
    nulls = {"pixel_sha256": pa.nulls(len(ids), pa.string())}
    positions = {name: pa.nulls(len(ids), pa.float64()) for name in ("ra_deg", "dec_deg")}
    return pa.table({"id": ids, **nulls, **positions})


def test_what_the_model_has_seen_is_left_out_and_counted() -> None:
    rows = made_rows([True, False, True, False])
    unseen, overlap = unseen_rows(rows, seen(["c000", "c003", "elsewhere"]), "all")
    assert (unseen.part.ids, overlap) == (["c001", "c002"], 2)
    assert unseen.samples["id"].to_pylist() == ["c001", "c002"]
    everything, unknown = unseen_rows(rows, None, "all")
    assert everything is rows
    assert unknown is None


@pytest.mark.parametrize(
    ("ids", "says"), [(["c000", "c002"], "has 0 real and 2 bogus"), (["c001", "c003"], "has 2 real and 0 bogus")]
)
def test_both_classes_must_be_left(ids: list[str], says: str) -> None:
    rows = made_rows([True, False, True, False])
    with pytest.raises(EvaluationError, match=rf"part 'all' {says} that the model has not seen \(2 were in its"):
        unseen_rows(rows, seen(ids), "all")


def test_bogus_that_pass_are_listed_from_the_highest() -> None:
    rows = made_rows([True] * 10 + [False] * 4)
    logits = np.array([*range(1, 11), 2.0, 1.9, 7.0, 2.5])
    # Nine of ten reals are at 2 or above; a bogus at the threshold passes.
    assert passed_bogus(rows, logits).tolist() == [12, 13, 10]


def test_the_threshold_is_that_of_the_headlines_reals() -> None:
    rows = made_rows([True] * 11 + [False], injected=[True] + [False] * 11)
    headline = np.array([False] + [True] * 11)
    rows = type(rows)(rows.part, rows.samples, rows.origins, headline, rows.injected, {})
    logits = np.array([-50.0, *range(1, 11), 1.5])
    assert passed_bogus(rows, logits).tolist() == []


def test_columns_are_numbers_or_text_with_nan_or_empty_for_null() -> None:
    rows = made_rows([True, False], columns={"snr": [7.5, None], "detector": [None, "one"]})
    assert rows.column("snr")[0] == 7.5
    assert np.isnan(rows.column("snr")[1])
    assert rows.words("detector").tolist() == ["", "one"]
    assert rows.take(np.array([1])).words("detector").tolist() == ["one"]
