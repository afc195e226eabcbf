"""Studies: rows are written as they are done and not computed again; what rows share; comparisons of rows."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from realbogus.records import RANDOM_INJECTION
from tasks.candidates import presets
from tasks.learning import operating_points
from tasks.learning.split_parts import PartError, SplitPart
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.studies.report import compare_rows
from tasks.studies.resumable_rows import row_name, run_study
from tasks.studies.row_training import with_noise
from tasks.studies.rows import StudyRequest, StudyRow, StudySetup, study_folder
from tests.small_candidates import publish_candidates

COUNT = 400
SETTINGS = st.dictionaries(
    st.text("abcd", min_size=1, max_size=3), st.integers(0, 3) | st.booleans() | st.none() | st.text("xy", max_size=2)
)


class Counting:
    """A row's work: squares its number, and dies at one."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.done: list[int] = []
        self.dies_at = dies_at

    def __call__(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        if settings["number"] == self.dies_at:
            raise KeyboardInterrupt
        self.done.append(settings["number"])
        return {"square": settings["number"] ** 2}


def grid(count: int) -> list[dict[str, Any]]:
    return [{"number": number, "handling": "none"} for number in range(count)]


def test_a_killed_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first, second, told = Counting(dies_at=2), Counting(), list[str]()
    with pytest.raises(KeyboardInterrupt):
        run_study(tmp_path, grid(4), first, told.append)
    paths = [tmp_path / f"row-{row_name(settings)}.json" for settings in grid(4)]
    assert [path.exists() for path in paths] == [True, True, False, False]
    assert json.loads(paths[1].read_text())["square"] == 1
    before = [path.stat().st_mtime_ns for path in paths[:2]]

    told.clear()
    results = run_study(tmp_path, grid(4), second, told.append)
    assert (first.done, second.done) == ([0, 1], [2, 3])
    assert [path.stat().st_mtime_ns for path in paths[:2]] == before
    assert [(row["number"], row["square"]) for row in results] == [(0, 0), (1, 1), (2, 4), (3, 9)]
    assert all(row["seconds"] >= 0 for row in results)
    assert told[0] == "4 rows, 2 are there already"
    assert [line.partition(";")[0] for line in told[1:]] == [
        "row 1 of 2: number 2, handling none",
        "row 2 of 2: number 3, handling none",
    ]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_the_remaining_time_is_estimated_before_the_first_row_and_after_each(tmp_path: Path) -> None:
    asked: list[tuple[list[int], list[int]]] = []

    def estimate(results: list[dict[str, Any]], missing: Sequence[Mapping[str, Any]]) -> float:
        asked.append(([row["square"] for row in results], [row["number"] for row in missing]))
        return 60.0 * len(missing)

    told = list[str]()
    run_study(tmp_path, grid(1), Counting(), told.append)
    run_study(tmp_path, grid(3), Counting(), told.append, estimate)
    assert asked == [([0], [1, 2]), ([0, 1], [2]), ([0, 1, 4], [])]
    assert told[2] == "3 rows, 1 are there already; about 2 min remaining"
    assert [line.partition("; ")[2] for line in told[3:]] == ["about 1 min remaining", "less than 1 min remaining"]


def test_a_larger_grid_computes_what_is_new_and_results_are_in_the_order_asked(tmp_path: Path) -> None:
    run_study(tmp_path, grid(3), Counting(), lambda _: None)
    more = Counting()
    results = run_study(tmp_path, grid(5)[::-1], more, lambda _: None)
    assert more.done == [4, 3]
    assert [row["number"] for row in results] == [4, 3, 2, 1, 0]
    assert [row["number"] for row in run_study(tmp_path, grid(2), more, lambda _: None)] == [0, 1]
    assert more.done == [4, 3]


@given(one=SETTINGS, two=SETTINGS)
def test_a_row_s_name_follows_from_its_settings_whatever_their_order(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert row_name(one) == row_name(dict(reversed(one.items())))
    assert (row_name(one) == row_name(two)) == (json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True))


def survey(workspace: Workspace, name: str, **columns: Any) -> Dataset:
    """A simulated survey: even rows are real; of ten cells of four three validate and one tests."""
    real = [row % 2 == 0 for row in range(COUNT)]
    parts = [("validation", "validation", "validation", "test", *6 * ["train"])[row // 4 % 10] for row in range(COUNT)]
    labels = ["real" if flag else "bogus" for flag in real]
    cells = [f"cell {row // 4:03d}" for row in range(COUNT)]
    return publish_candidates(workspace, name, labels, cells, parts, real=real, columns=columns)


def bench(workspace: Workspace, **asked: Any) -> StudySetup:
    request = StudyRequest(dataset="survey", test_dataset="testsurvey", epochs=1, **asked)
    return StudySetup(workspace, request, study_folder(workspace, "x", request), InProcess())


def test_rows_are_kept_by_datasets_and_sizes_not_by_what_else_is_asked(workspace: Workspace) -> None:
    survey(workspace, "survey")
    survey(workspace, "testsurvey", kind=["detection"] * COUNT)
    same = {bench(workspace, seeds=seeds, limit=100).folder for seeds in ([0], [0, 1, 2])}
    assert len(same) == 1
    other = {bench(workspace, limit=limit, folds=folds).folder for limit, folds in ((100, 2), (200, 5), (None, 5))}
    assert len(same | other) == 4


def test_rows_of_other_presets_are_none(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    survey(workspace, "survey")
    survey(workspace, "testsurvey", kind=["detection"] * COUNT)
    earlier = bench(workspace).folder
    monkeypatch.setitem(presets._SHAPES, ("simple", "small"), ((32, 65), 0))
    assert bench(workspace).folder != earlier


def test_a_larger_limit_holds_the_smaller_and_limits_training_alone(workspace: Workspace) -> None:
    survey(workspace, "survey")
    survey(workspace, "testsurvey")
    parts: dict[int | None, dict[str, SplitPart]] = {}
    for limit in (100, 200, None):
        one = bench(workspace, limit=limit)
        training = one.training(StudyRow(name="a", seed=0, network="first"))
        parts[limit] = {name: one.part(training, name) for name in ("train", "validation")}
    few, more, every = (parts[limit]["train"] for limit in (100, 200, None))
    assert (len(few), len(more), len(every)) == (100, 200, COUNT * 6 // 10)
    assert set(few.ids) < set(more.ids) < set(every.ids)
    assert (np.diff(few.rows) > 0).all()
    label_of = dict(zip(every.ids, every.labels.tolist(), strict=True))
    assert few.labels.tolist() == [label_of[name] for name in few.ids]
    assert {len(one["validation"]) for one in parts.values()} == {COUNT * 3 // 10}


def test_numbers_of_a_class_are_taken_apart_and_more_hold_fewer(workspace: Workspace) -> None:
    survey(workspace, "survey")
    survey(workspace, "testsurvey")
    one = bench(workspace)
    training = one.training(StudyRow(name="a", seed=0, network="first"))

    def taken(**numbers: int) -> dict[int, set[str]]:
        part = one.train_part(training, StudyRow(name="a", seed=0, network="first", **numbers))
        assert (np.diff(part.rows) > 0).all()
        return {
            label: {name for name, of in zip(part.ids, part.labels, strict=True) if of == label} for label in (0, 1)
        }

    every = taken()
    assert {label: len(names) for label, names in every.items()} == {0: 120, 1: 120}
    few, more = taken(train_reals=30, train_bogus=50), taken(train_reals=60)
    assert {label: len(names) for label, names in few.items()} == {0: 50, 1: 30}
    assert few[1] < more[1] < every[1]
    assert more[0] == every[0]
    assert taken(train_bogus=50)[0] == few[0]
    with pytest.raises(
        PartError, match="121 training triplets labelled bogus: part 'train' of dataset 'survey' has 120"
    ):
        taken(train_bogus=121)


def test_a_share_of_the_reals_is_that_many_and_is_given_once(workspace: Workspace) -> None:
    survey(workspace, "survey")
    survey(workspace, "testsurvey")
    one = bench(workspace)
    training = one.training(StudyRow(name="a", seed=0, network="first"))
    share, number = (
        one.train_part(training, StudyRow.model_validate({"name": "a", "seed": 0, **reals}))
        for reals in ({"real_share": 0.25}, {"train_reals": 30})
    )
    assert share.ids == number.ids
    assert np.bincount(share.labels).tolist() == [120, 30]
    with pytest.raises(ValidationError, match=r"train_reals=30 and real_share=0.25: give one of them"):
        StudyRow(name="a", seed=0, train_reals=30, real_share=0.25)


def test_a_row_comes_back_from_its_file_and_methods_are_part_of_its_name() -> None:
    rows = [
        StudyRow.model_validate({"name": "a", "seed": 0, "methods": methods, "epochs": epochs})
        for methods, epochs in (({}, None), ({"shift_px": 0.5}, None), ({"shift_px": 0.5}, 9))
    ]
    written = [json.loads(json.dumps(row.model_dump())) for row in rows]
    assert [StudyRow(**fields) for fields in written] == rows
    assert written[1]["methods"] == {"shift_px": 0.5}
    assert len({row_name(fields) for fields in written}) == 3


def test_methods_and_epochs_of_a_row_change_its_training(workspace: Workspace) -> None:
    survey(workspace, "survey")
    survey(workspace, "testsurvey")
    one = bench(workspace)
    row = StudyRow.model_validate(
        {"name": "a", "seed": 0, "methods": {"noise": 0.2, "weight_average": 0.9}, "epochs": 7}
    )
    training = one.training(row)
    assert (training.request.epochs, training.preset.augmentation.noise) == (7, 0.2)
    assert training.preset.training.weight_average == 0.9
    assert one.training(row.model_copy(update={"epochs": None})).request.epochs == 1


def test_noise_falls_on_training_and_validation_alike_whatever_is_done_about_it(workspace: Workspace) -> None:
    survey(workspace, "survey")
    survey(workspace, "testsurvey")
    one = bench(workspace)
    flipped = {}
    for handling in ("none", "unlabel"):
        row = StudyRow(name=handling, seed=0, network="first", handling=handling, noise_kind="uniform", noise=0.25)
        training = one.training(row)
        clean = [one.part(training, name) for name in ("train", "validation")]
        *noisy, account = with_noise(one, row, *clean)
        assert [part.ids for part in noisy] == [part.ids for part in clean]
        flipped[handling] = [before.labels != after.labels for before, after in zip(clean, noisy, strict=True)]
        assert sum(map(np.sum, flipped[handling])) == 0.25 * sum(map(len, clean))
        assert account == {"noise_reached": 0.25, "largest_bin_rate": None}
    for side in (0, 1):
        assert 0.15 < flipped["none"][side].mean() < 0.35
        np.testing.assert_array_equal(flipped["none"][side], flipped["unlabel"][side])


def test_one_sided_noise_hides_real_detections_and_no_injection(workspace: Workspace) -> None:
    """Even rows are real; of those every second is an injection, the others are hidden in both noisy parts."""
    survey(workspace, "survey", kind=[RANDOM_INJECTION if row % 4 == 0 else "detection" for row in range(COUNT)])
    survey(workspace, "testsurvey")
    one, hidden_at = bench(workspace), {}
    for share in (0.0, 0.1, 0.2):
        row = StudyRow(name="a", seed=0, network="first", noise_kind="one-sided", noise=share)
        training = one.training(row)
        clean = [one.part(training, name) for name in ("train", "validation")]
        *noisy, account = with_noise(one, row, *clean)
        labels = {int(name[1:]): label for part in noisy for name, label in zip(part.ids, part.labels, strict=True)}
        hidden_at[share] = {number for number in labels if number % 4 == 2}
        bogus = [number for number, label in labels.items() if label == 0]
        assert {number % 4 for number, label in labels.items() if label == 1} == {0}, "injections alone are real"
        assert set(bogus) - hidden_at[share] == {
            int(name[1:]) for part in clean for name in part.ids if int(name[1:]) % 2
        }
        assert account["noise_reached"] == pytest.approx(len(hidden_at[share]) / len(bogus))
        assert account["noise_reached"] == pytest.approx(share, abs=0.01)
    assert hidden_at[0.0] == set()
    assert hidden_at[0.1] < hidden_at[0.2]


def test_the_test_survey_counts_all_its_parts_but_no_injection(workspace: Workspace) -> None:
    """However few reals were not injected, they alone stand against the bogus, whatever their labels and parts."""
    survey(workspace, "survey")
    injected = [row % 2 == 0 and row >= 40 for row in range(COUNT)]
    survey(workspace, "testsurvey", kind=[RANDOM_INJECTION if flag else "detection" for flag in injected])
    test = bench(workspace).test
    assert (int(test.real.sum()), int((~test.real).sum())) == (20, COUNT // 2)
    assert not test.injected.any()
    assert [int(name[1:]) % 2 == 0 for name in test.part.ids] == test.real.tolist()
    publish_candidates(workspace, "blind", ["real", "bogus"], ["a", "b"], ["train", "test"])
    blind = StudySetup(
        workspace, StudyRequest(dataset="survey", test_dataset="blind", epochs=1), workspace.root, InProcess()
    )
    with pytest.raises(PartError, match="dataset 'blind' has no hidden truth"):
        _ = blind.test


def test_rows_are_compared_on_the_same_test_survey_over_seeds(workspace: Workspace) -> None:
    survey(workspace, "survey")
    survey(workspace, "testsurvey")
    one = bench(workspace, seeds=[0, 1])
    real, rng, results = one.test.real, np.random.default_rng(0), []
    scores: dict[str, list[np.ndarray]] = {"poor": [], "good": []}
    one.folder.mkdir(parents=True)
    for name, apart in (("poor", 1.0), ("good", 2.5)):
        for seed in one.request.seeds:
            row = StudyRow(name=name, seed=seed, network="first").model_dump()
            scores[name].append(rng.normal(size=len(real)) + apart * real)
            np.save(one.folder / f"scores-{row_name(row)}.npy", scores[name][-1])
            results.append(row | {"auc": 0.0})
    found = compare_rows(workspace, "x", one.request, results, ["poor", "good"])
    rates = {
        name: [operating_points.fpr_at_tpr(values, real, 0.9) for values in of_seeds]
        for name, of_seeds in scores.items()
    }
    for name, told in found.items():
        assert told["per_seed"] == rates[name]
        assert told["fpr_at_tpr90"] == pytest.approx(np.mean(rates[name]))
        assert told["fpr_at_tpr90_low"] < told["fpr_at_tpr90"] < told["fpr_at_tpr90_high"]
        of_bogus = one.test.origins[~real]
        assert told["passed_by_origin"].keys() == set(of_bogus)
        assert sum(told["passed_by_origin"].values()) == pytest.approx(told["fpr_at_tpr90"] * len(of_bogus))
    assert "ratio_to_previous" not in found["poor"]
    value, low, high = found["good"]["ratio_to_previous"]
    assert value == pytest.approx(np.mean(rates["poor"]) / np.mean(rates["good"]), rel=1e-3)
    assert 1 < low < value < high
    assert found["good"]["ratio_to_first"] == [value, low, high]
    beside = compare_rows(workspace, "x", one.request, results, ["poor", "good"], {"poor": "good", "good": "good"})
    assert {name: sorted(word for word in told if "ratio" in word) for name, told in beside.items()} == {
        "poor": ["ratio_to_plain"],
        "good": ["ratio_to_first"],
    }
    assert beside["poor"]["ratio_to_plain"][0] == pytest.approx(1 / value, rel=1e-6)
