"""The rows of a study: what a handling of suspects implies, its rule, and the network that places noise."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realbogus.records import RANDOM_INJECTION
from tasks.candidates.methods import CandidateMethods
from tasks.learning.split_parts import PartError
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.studies.choices import StudyHandling
from tasks.studies.handlings import HANDLINGS
from tasks.studies.row_training import (
    MATCHING_NETWORK,
    fit_folder,
    fits_folder,
    run_rows,
    second_request,
    train_row,
    treat_suspects,
    with_hidden_positives,
)
from tasks.studies.rows import StudyRequest, StudyRow, StudySetup, study_folder
from tests.small_candidates import publish_candidates


@pytest.mark.parametrize(
    ("handling", "changes"),
    [
        ("none", {}),
        ("none-last", {"keep": "last"}),
        ("label-wave", {"keep": "label-wave"}),
        ("flip", {"keep": "last"}),
        ("unlabel", {"keep": "last", "smoothness": "vat"}),
        ("consistency", {"keep": "last", "smoothness": "consistency"}),
        ("remove", {"keep": "last", "loss_lds": 0.0}),
        ("confident", {"keep": "last", "loss_lds": 0.0}),
        ("elr", {"keep": "last", "robust_loss": "elr"}),
    ],
)
def test_treated_suspects_keep_the_last_epoch_and_removed_ones_take_part_in_no_loss(
    handling: str, changes: dict[str, object]
) -> None:
    row = StudyRow.model_validate({"name": "a", "seed": 0, "handling": handling})
    assert second_request(row) == changes


def test_every_handling_has_a_rule_and_noise_is_placed_by_another_network() -> None:
    assert set(HANDLINGS) == set(get_args(StudyHandling))
    for name, method in HANDLINGS.items():
        if name.startswith("anchored-"):
            plain = HANDLINGS[name.removeprefix("anchored-")]  # type: ignore[index]
            assert method == replace(plain, suspect_injections=False)
        if name.startswith("recurrence-"):
            anchored = HANDLINGS["anchored-" + name.removeprefix("recurrence-")]  # type: ignore[index]
            assert method == replace(anchored, recurrence=True)
        left_alone = name in ("none", "none-last", "label-wave") or method.robust_loss == name
        assert (method.handling == "keep") == left_alone
    assert all(network != other for network, other in MATCHING_NETWORK.items())


COUNT = 320


@pytest.fixture
def survey(workspace: Workspace) -> StudySetup:
    """Surveys whose even rows are real and labelled real, every second of them an injection."""
    real = [row % 2 == 0 for row in range(COUNT)]
    labels = ["real" if flag else "bogus" for flag in real]
    parts = [("validation", "test", *8 * ["train"])[row // 4 % 10] for row in range(COUNT)]
    cells = [f"cell {row // 4:03d}" for row in range(COUNT)]
    kinds = [RANDOM_INJECTION if row % 4 == 0 else "detection" for row in range(COUNT)]
    for name in ("survey", "testsurvey"):
        publish_candidates(workspace, name, labels, cells, parts, real=real, columns={"kind": kinds})
    request = StudyRequest(dataset="survey", test_dataset="testsurvey", epochs=3, folds=2)
    return StudySetup(workspace, request, study_folder(workspace, "x", request), InProcess())


@pytest.mark.parametrize("handling", ["elr", "nnpu", "label-wave", "anchored-dynamics", "anchored-two-views"])
def test_a_row_is_trained_by_its_method_and_reports_what_it_memorises(
    survey: StudySetup, handling: StudyHandling
) -> None:
    """Of one-sided noise a fifth of the bogus is hidden; injections are never suspect, so only bogus can be found."""
    survey.folder.mkdir(parents=True)
    row = StudyRow(name="a", seed=0, network="first", handling=handling, noise_kind="one-sided", noise=0.2)
    result = train_row(survey, row)
    bogus, injections = COUNT // 2 * 8 // 10, COUNT // 4 * 8 // 10
    assert result["noise_reached"] == pytest.approx(0.2, abs=0.01)
    assert len(result["memorised_share"]) == 3
    assert all(0 <= share <= 1 for share in result["memorised_share"])
    if handling.startswith("anchored"):
        assert result["suspects"] <= bogus + result["wrong"]
        assert result["trained_on"] == bogus + injections + result["wrong"] - result["suspects"]
    else:
        assert result["trained_on"] == bogus + injections + result["wrong_trained_on"]
        assert result.keys() >= ({"hidden_share"} if handling == "nnpu" else set())
    assert 0 <= result["fpr_at_tpr90"] <= 1


def test_suspects_are_found_without_the_methods_of_the_second_fit(survey: StudySetup) -> None:
    """Rows that differ in methods alone share the folds of the first fits, so that a step changes one thing."""
    survey.folder.mkdir(parents=True)
    plain = StudyRow(name="a", seed=0, network="first", handling="remove", noise_kind="uniform", noise=0.1)
    changed = plain.model_copy(update={"epochs": 2, "methods": CandidateMethods(stamp_scalars=True, partial_auc=0.1)})
    first = train_row(survey, plain)
    folds = {path: path.stat().st_mtime_ns for path in survey.folder.glob("folds-*/*.parquet")}
    second = train_row(survey, changed)
    assert {path: path.stat().st_mtime_ns for path in survey.folder.glob("folds-*/*.parquet")} == folds
    assert len(folds) == 2
    assert [second[name] for name in ("suspects", "wrong", "precision")] == [
        first[name] for name in ("suspects", "wrong", "precision")
    ]
    assert (len(first["memorised_share"]), len(second["memorised_share"])) == (3, 2)


def test_fresh_reals_are_drawn_in_the_first_stage_too(survey: StudySetup) -> None:
    """All reals are scored out of fold, by networks that saw half of the others in each epoch."""
    survey.folder.mkdir(parents=True)
    scores = []
    for fresh in (None, 0.5):
        methods = CandidateMethods(fresh_reals=fresh, partial_auc=0.1)
        row = StudyRow(name="a", seed=0, network="first", handling="remove", methods=methods, epochs=1)
        training = survey.training(row, **second_request(row))
        parts = survey.train_part(training, row), survey.part(training, "validation")
        treat_suspects(survey, row, training, *parts)
        tables = [pq.read_table(path) for path in fits_folder(survey, row, parts[0], "folds").glob("*.parquet")]
        scores.append(pa.concat_tables(tables).sort_by("id"))
    assert len(list(survey.folder.glob("folds-*"))) == 2
    assert scores[0]["id"] == scores[1]["id"]
    assert (scores[0]["logit"].to_numpy() != scores[1]["logit"].to_numpy()).all()


def test_a_row_that_was_stopped_goes_on_from_the_state_of_its_own_fit(survey: StudySetup) -> None:
    """A teacher that is finished, and sure of the opposite of all labels, is not fitted again but followed."""
    methods = CandidateMethods(distill_teachers=1, distill_weight=1.0)
    row = StudyRow(name="a", seed=0, network="first", methods=methods)
    part, state = survey.train_part(survey.training(row), row), fit_folder(survey, row, {})
    state.mkdir(parents=True)
    np.save(state / "teacher-1.npy", np.eye(2, dtype=np.float32)[1 - part.labels])
    assert train_row(survey, row)["auc"] < 0.5
    assert not state.exists()
    assert fit_folder(survey, row, {}) != fit_folder(survey, row, {"detector": "a"})


def test_too_few_triplets_are_refused_before_the_first_row(survey: StudySetup) -> None:
    rows = [
        StudyRow(name=str(count), seed=0, network="first", train_reals=10, train_bogus=count) for count in (20, 500)
    ]
    with pytest.raises(PartError, match="500 training triplets labelled bogus"):
        run_rows(survey.workspace, "x", survey.request, rows, InProcess())
    assert not list(survey.folder.glob("row-*.json"))


def test_hidden_positives_are_counted_in_targets_and_in_the_account(survey: StudySetup) -> None:
    training = survey.training(StudyRow(name="a", seed=0, network="first"))
    clean = survey.part(training, "train")
    hidden = (clean.labels == 1) & (np.arange(len(clean)) % 8 == 0)
    part = replace(clean, labels=np.where(hidden, 0, clean.labels).astype(np.int32))
    sure = np.where((clean.labels == 1)[:, None], [0.01, 0.99], [0.99, 0.01])
    sure[part.labels == 1] = [0.1, 0.9]
    weighted, account = with_hidden_positives(training.dataset, part, sure)
    assert account["hidden_share"] == pytest.approx(hidden.sum() / (part.labels == 0).sum())
    assert weighted.targets is not None
    assert weighted.targets[:, 1].sum() == pytest.approx((clean.labels == 1).sum(), rel=1e-5)
    assert (weighted.targets[part.labels == 0] == [1, 0]).all()


def test_too_few_hidden_reals_are_refused_before_the_first_row(survey: StudySetup) -> None:
    rows = [
        StudyRow(name=str(share), seed=0, network="first", noise_kind="one-sided", noise=share) for share in (0.1, 0.5)
    ]
    with pytest.raises(ValueError, match="one-sided noise of 50% beside 144 true bogus takes 144 hidden reals"):
        run_rows(survey.workspace, "x", survey.request, rows, InProcess())
    assert not list(survey.folder.glob("row-*.json"))
