"""Learning to tell real from bogus, flow by flow: what each gives, what goes on, what must not leak."""

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.compare_volumes import compare_volumes
from flows.cross_validate import cross_validate
from flows.evaluate_holdout import evaluate_holdout
from flows.label_noise_bench import label_noise_bench
from flows.make_night import make_night
from flows.relabel_and_retrain import relabel_and_retrain
from flows.score_night import score_night
from flows.survey_label_errors import survey_label_errors
from flows.train_realbogus import train_realbogus
from flows.transfer_to_survey import transfer_to_survey
from tasks.candidates.folds import out_of_fold
from tasks.candidates.methods import CandidateMethods
from tasks.candidates.relabelling.relabel import CandidateRelabelRequest, CandidateRelabelTask
from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.learning.models.saved_models import SavedModelError, load_model
from tasks.learning.split_parts import PartError
from tasks.night.models import NightError
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.store.dataset import Dataset
from tasks.studies.row_training import run_rows
from tasks.studies.rows import StudyRequest, StudyRow
from tasks.tracking.database import open_client
from tasks.tracking.mlflow_runs import PARENT
from tasks.tracking.model_registry import resolve_model
from tasks.tracking.notes import NOTE
from tasks.training.relabel import relabel_and_retrain as relabel_rounds
from tests.hidden_truth import tell_truth

from .conftest import write_triplets

COUNT = 320
QUICK: dict[str, Any] = {"network": "first", "epochs": 2, "batch_size": 32}


@pytest.fixture(scope="module")
def shared(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace of this file: dataset ``made`` with its hidden truth, 5 % of the labels wrong, and a first model."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("learning")
        patch.setenv(ENVIRONMENT_NAME, str(folder / "workspace"))
        workspace = Workspace.current()
        true = 1 - np.arange(COUNT) % 2
        wrong = np.random.default_rng(1).random(COUNT) < 0.05
        source = write_triplets(folder / "triplets", np.where(wrong, 1 - true, true))
        build_realbogus_dataset(dataset="made", source="triplets", path=str(source))
        tell_truth(workspace, "made", {f"c{number:04d}": bool(label) for number, label in enumerate(true)})
        yield workspace


@pytest.fixture(scope="module")
def first_model(shared: Workspace) -> dict[str, Any]:
    return train_realbogus(dataset="made", **QUICK)


def test_a_training_tells_its_operating_point_and_is_the_same_in_another_process(
    shared: Workspace, first_model: dict[str, Any], tmp_path: Path
) -> None:
    test = first_model["test"]
    assert test["auc_low"] <= test["auc"] <= test["auc_high"]
    assert test["fpr_at_tpr90_low"] <= test["fpr_at_tpr90"] <= test["fpr_at_tpr90_high"]
    assert first_model["model_uri"] == "models:/realbogus-first/1"
    folder = resolve_model(shared, "champion", "realbogus-first").folder
    stamps = np.random.default_rng(0).normal(100, 5, (4, 29, 29, 3)).astype(np.float32)
    stamps[0, 3:9, :, 1] = np.nan
    np.save(tmp_path / "stamps.npy", stamps)
    code = (
        "import sys, numpy as np; from pathlib import Path; from tasks.learning.models.saved_models import load_model\n"
        "print(load_model(Path(sys.argv[1]))[0].predict_on_batch(np.load(sys.argv[2])).tolist())"
    )
    words = [sys.executable, "-c", code, str(folder), str(tmp_path / "stamps.npy")]
    answer = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    model, _ = load_model(folder)
    np.testing.assert_allclose(json.loads(answer.stdout), model.predict_on_batch(stamps), atol=1e-5)


JUDGED = {
    *("count", "real", "bogus", "overlap_with_training", "auc", "auc_low", "auc_high", "fpr_at_tpr90"),
    *("fpr_at_tpr90_low", "fpr_at_tpr90_high", "fpr_at_tpr95", "fpr_at_tpr99", "ece", "report"),
}
POOLED = {"folds", "count", "accuracy", "accuracy_low", "accuracy_high", "auc", "per_fold", "report", "seconds"}


def test_summaries_have_the_keys_of_the_contract_and_their_counts_add_up(
    shared: Workspace, first_model: dict[str, Any]
) -> None:
    assert {"run_id", "model_uri", "best_epoch", "epochs", "validation", "test", "report", "seconds"} <= set(
        first_model
    )
    assert JUDGED - {"overlap_with_training", "fpr_at_tpr95", "fpr_at_tpr99", "ece", "report"} == set(
        first_model["test"]
    )
    split = Dataset.open(shared, "made").split()
    assert split is not None
    of_part = Counter(split["part"].to_pylist())
    asked: dict[str, Any] = {"model": first_model["model_uri"], "dataset": "made"}
    tested, every = evaluate_holdout(**asked), evaluate_holdout(**asked, split="all")
    for judged, seen in ((tested, 0), (every, of_part["train"] + of_part["validation"])):
        assert set(judged) >= JUDGED
        assert (judged["count"], judged["overlap_with_training"]) == (of_part["test"], seen)
        assert judged["real"] + judged["bogus"] == judged["count"]
        assert judged["auc_low"] <= judged["auc"] <= judged["auc_high"]
        assert judged["fpr_at_tpr90"] <= judged["fpr_at_tpr95"] <= judged["fpr_at_tpr99"]
        assert Path(judged["report"]).is_file()
    assert tested["auc"] == pytest.approx(first_model["test"]["auc"])
    summary = cross_validate(dataset="made", folds=3, **QUICK)
    assert set(summary) >= POOLED
    assert (summary["folds"], len(summary["per_fold"])) == (3, 3)
    assert sum(fold["count"] for fold in summary["per_fold"]) == summary["count"] == COUNT
    assert summary["accuracy_low"] < summary["accuracy"] < summary["accuracy_high"]
    assert Path(summary["report"]).is_file()
    table = pa.parquet.read_table(shared.scores / f"{Path(summary['report']).stem}.parquet")
    assert table["id"].to_pylist() == sorted(split["id"].to_pylist())


def test_every_detector_has_a_row_of_its_own_and_an_unknown_one_is_named(shared: Workspace) -> None:
    with pytest.raises(PartError, match="detector 'chip99' has no sample"):
        train_realbogus(dataset="made", treatment="each", detector="chip99", **QUICK)


def test_holdout_labels_decide_nothing(shared: Workspace, tmp_path: Path) -> None:
    """Folds, suspects and both stages: with the labels of the test part scrambled the weights are the same bits."""
    labels = 1 - np.arange(COUNT) % 2
    at: list[int] = []
    weights = []
    for name in ("honest", "scrambled"):
        written = labels.copy()
        written[at] = 1 - written[at]  # both of a cell, so that the split stays as it is
        source = write_triplets(tmp_path / name, written)
        build_realbogus_dataset(dataset=name, source="triplets", path=str(source))
        split = Dataset.open(shared, name).split()
        assert split is not None
        tested = sorted(int(row["id"][1:]) for row in split.to_pylist() if row["part"] == "test")
        assert tested
        assert at in ([], tested)
        at = tested
        request = CandidateRelabelRequest(
            dataset=name,
            folds=2,
            most_of_stratum=1.0,
            most_wrong=1.0,
            rule="threshold",
            handling="unlabel",
            suspect_injections=True,
            loss_ech=0.1,
            loss_lds=0.5,
            **QUICK | {"epochs": 4},
        )
        summary = relabel_rounds(CandidateRelabelTask(shared, request), InProcess())
        model, _ = load_model(resolve_model(shared, summary["model_uri"], "realbogus-first").folder)
        weights.append(model.get_weights())
    for honest, scrambled in zip(*weights, strict=True):
        np.testing.assert_array_equal(honest, scrambled)


def test_stages_go_on_where_they_stopped_and_originals_stay(shared: Workspace) -> None:
    asked = {
        **{"dataset": "made", "folds": 3, "most_of_stratum": 1.0, "most_wrong": 1.0},
        **{"epochs": 4, "network": "first", "batch_size": 32},
    }
    earlier = set((shared.root / "training").glob("*/fold-*.parquet"))

    def run(request: CandidateRelabelRequest) -> dict[str, Any]:
        return relabel_rounds(CandidateRelabelTask(shared, request), InProcess())

    assert run(CandidateRelabelRequest(stage="folds", **asked))["folds"] == 3
    folds = sorted(set((shared.root / "training").glob("*/fold-*.parquet")) - earlier)
    assert len(folds) == 3
    folds[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in folds[1:]}
    selected = run(CandidateRelabelRequest(stage="select", **asked))
    assert folds[0].exists()
    assert {path: path.stat().st_mtime_ns for path in folds[1:]} == before
    summary = relabel_and_retrain(**asked, loss_ech=None, loss_lds=None)
    assert summary["labels"] == selected["labels"]
    assert summary["suspects"] == selected["suspects"]
    dataset = Dataset.open(shared, "made")
    original = {row["id"]: row["label"] for row in dataset.labels("real-bogus").to_pylist()}
    relabelled = dataset.labels("real-bogus", summary["labels"]).to_pylist()
    split = dataset.split()
    assert split is not None
    part_of = {row["id"]: row["part"] for row in split.to_pylist()}
    changed = [row for row in relabelled if row["label"] != row["previous"]]
    assert len(changed) == sum(summary["suspects"].values())
    for row in relabelled:
        assert row["previous"] == original[row["id"]]
    for row in changed:
        assert part_of[row["id"]] == "train"
        assert (row["label"], row["round"], row["reason"]) == (None, 1, "two-views:remove")
        assert row["score"] is not None
    found = summary["noise_found"]
    assert found["wrong"] > 0
    assert found["recall"] == pytest.approx(found["both"] / found["wrong"])


def test_a_person_finds_the_true_objects_among_the_bogus_that_pass(
    shared: Workspace, first_model: dict[str, Any], tmp_path: Path
) -> None:
    """A dataset without hidden truth asks people; what they call wrong leaves the bogus."""
    labels = 1 - np.arange(80) % 2
    labels[1::8] = 1  # so many that the threshold of TPR 0.9 lies among what looks bogus
    source = write_triplets(tmp_path / "people", labels, seed=9, prefix="new-")
    build_realbogus_dataset(dataset="people", source="triplets", path=str(source))
    asked = {"model": "realbogus-first@champion", "dataset": "people", "split": "all"}
    raw = evaluate_holdout(**asked)
    table = Path(raw["verdicts"]["table"])
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == raw["verdicts"]["asked"] == raw["points"]["tpr90"]["passed"]
    assert rows
    said = ["wrong", *["right"] * (len(rows) - 1)]
    with (tmp_path / "filled.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "verdict"])
        writer.writerows((row["id"], word) for row, word in zip(rows, said, strict=True))
    told = evaluate_holdout(**asked, verdicts=str(tmp_path / "filled.csv"))["verdicts"]
    passed, bogus, wrong = len(rows), raw["points"]["tpr90"]["negatives"], said.count("wrong")
    assert told["fpr_at_tpr90"] == pytest.approx((passed - wrong) / (bogus - wrong))


def test_a_cross_validation_judges_each_once_beside_what_needs_no_network(shared: Workspace) -> None:
    summary = cross_validate(dataset="made", folds=3, **QUICK)
    assert summary["count"] == COUNT
    assert summary["real"] + summary["bogus"] == COUNT
    assert summary["rivals"]["this network, out of fold"]["auc"] == pytest.approx(summary["auc"])
    assert {"forest, frame border alone", "the stamp's S/N in the middle"} <= set(summary["rivals"])
    assert summary["rivals"]["forest, frame border alone"]["auc"] < 0.75


def test_a_transfer_is_measured_with_few_labels_and_without(
    shared: Workspace, first_model: dict[str, Any], tmp_path: Path
) -> None:
    source = write_triplets(tmp_path / "far", 1 - np.arange(90) % 2, seed=12, prefix="far-")
    build_realbogus_dataset(dataset="far", source="triplets", path=str(source))
    summary = transfer_to_survey(model="realbogus-first@champion", dataset="far", labels=[0, 10], draws=3)
    rows = {(row["score"], row["labels"]): row for row in summary["rows"] if row["scope"] == "all nights"}
    assert [key[1] for key in rows] == [0, 0, 0, 0, 10]
    assert [row["draws"] for row in rows.values()] == [1, 1, 1, 1, 3]
    raw = evaluate_holdout(model="realbogus-first@champion", dataset="far", split="all")
    assert rows["the network, stamps as stored", 0]["auc"] == pytest.approx(raw["auc"])
    best = max(areas["all nights"] for areas in summary["untrained"].values())
    for row in rows.values():
        assert row["draws"] > 1 or row["lead"] == pytest.approx(row["auc"] - best)
    assert len(summary["weights"]) == 6
    assert summary["counts"]["all nights"] == [45, 45]
    _, card = load_model(resolve_model(shared, first_model["model_uri"], "realbogus-first").folder)
    assert summary["source"] == f"{card['dataset']}@{card['dataset_version']}"
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert "Lead over the best score without training" in page


def test_the_error_survey_reads_verdicts_or_the_truth(shared: Workspace, tmp_path: Path) -> None:
    asked = {"dataset": "made", "folds": 3, "per_bin": 400, "network": "first", "epochs": 2}
    drawn = survey_label_errors(**asked)
    rows = list(csv.DictReader(Path(drawn["table"]).read_text().splitlines()))
    assert len(rows) == drawn["sampled"] == drawn["count"]
    by_truth = survey_label_errors(**asked, answers="truth")["rates"]
    dataset = Dataset.open(shared, "made")
    truth_table = dataset.truth()
    assert truth_table is not None
    truth = {row["id"]: row["truth"] for row in truth_table.to_pylist()}
    for label in ("real", "bogus"):
        mine = [row for row in rows if row["label"] == label]
        share = np.mean([truth[row["id"]] != label for row in mine])
        assert by_truth[label]["value"] == pytest.approx(share)
        assert by_truth[label]["low"] <= share <= by_truth[label]["high"]
    filled = tmp_path / "filled.csv"
    with filled.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "verdict"])
        writer.writerows((row["id"], "right" if truth[row["id"]] == row["label"] else "wrong") for row in rows)
    assert survey_label_errors(**asked, answers=str(filled))["rates"] == by_truth


def study_runs(workspace: Workspace, name: str) -> tuple[Any, list[Any]]:
    """Return the one run of a study, and those of its rows."""
    client = open_client(workspace)
    experiment = client.get_experiment_by_name("realbogus").experiment_id
    of_study = client.search_runs([experiment], f"tags.study = '{name}'", order_by=["params.train_reals"])
    (study,) = [run for run in of_study if run.data.tags["kind"] == "study"]
    rows = [run for run in of_study if run.data.tags.get(PARENT) == study.info.run_id]
    assert len(rows) == len(of_study) - 1
    return study, rows


def test_studies_write_rows_as_they_go_and_do_not_repeat_them(shared: Workspace) -> None:
    asked: dict[str, Any] = {
        **{"dataset": "made", "test_dataset": "made", "network": "first", "matched": [], "uniform": [0.1]},
        **{"handlings": ["none", "unlabel"], "epochs": 1, "limit": 150, "folds": 2},
    }
    summary = label_noise_bench(**asked, seeds=[0])
    folder = next((shared.root / "studies").glob("label-noise-bench-*"))
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("row-*.json")}
    assert len(before) == len(summary["rows"]) == 2
    for row in summary["rows"]:
        assert {"noise", "kind", "handling", "network", "seed", "auc", "fpr_at_tpr90"} <= set(row)
        assert row["noise_reached"] == pytest.approx(0.1, abs=0.01)
        assert (row["largest_bin_rate"], len(row["memorised_share"])) == (None, 1)
    assert list(summary["noise_finder"]) == ["uniform 10%, unlabel"]
    assert Path(summary["report"]).is_file()
    study, runs = study_runs(shared, "label-noise-bench")
    note = study.data.tags[NOTE]
    assert Path(summary["report"]).name in note
    assert "starloom run label-noise-bench -p dataset=made" in note
    assert "-p network=first" in note
    assert {run.data.tags["arm"]: run.data.metrics["test_auc"] for run in runs} == {
        row["name"]: pytest.approx(row["auc"]) for row in summary["rows"]
    }
    request = StudyRequest(dataset="made", test_dataset="made", seeds=[0, 1], epochs=1, limit=150, folds=2)
    own = [{name: row[name] for name in StudyRow.model_fields} for row in summary["rows"]]
    rows = [StudyRow(**own[0] | {"seed": seed}) for seed in (0, 1)]
    again = run_rows(shared, "label-noise-bench", request, rows, InProcess())
    assert again[0] == {name: value for name, value in summary["rows"][0].items() if name != "kind"}
    assert again[1]["seed"] == 1
    assert {name: (folder / name).stat().st_mtime_ns for name in before} == before


def test_a_learning_curve_has_its_exponents_and_continues(shared: Workspace) -> None:
    asked: dict[str, Any] = {"dataset": "made", "test_dataset": "made", "network": "first", "epochs": 1, "seeds": [0]}
    summary = compare_volumes(**asked, reals=[20, 60], bogus=[30, 80])
    assert [(row["train_reals"], row["train_bogus"], row["trained_on"]) for row in summary["rows"]] == [
        (20, 30, 50),
        (60, 30, 90),
        (20, 80, 100),
        (60, 80, 140),
    ]
    assert set(summary["exponents"]) == {"reals", "bogus", "both"}
    assert all(np.isfinite(of["exponent"]) for of in summary["exponents"].values())
    assert "rates against volume" in Path(summary["report"]).read_text(encoding="utf-8")
    folder = next((shared.root / "studies").glob("compare-volumes-*"))
    before = {path: path.stat().st_mtime_ns for path in folder.glob("row-*.json")}
    recorded = study_runs(shared, "compare-volumes")
    compare_volumes(**asked, reals=[20, 60], bogus=[30, 80])
    assert [run.info.run_id for run in study_runs(shared, "compare-volumes")[1]] == [
        run.info.run_id for run in recorded[1]
    ]
    assert {path: path.stat().st_mtime_ns for path in folder.glob("row-*.json")} == before


def test_a_training_has_its_methods_in_card_and_summary(shared: Workspace) -> None:
    """Scalars of the stamp and the mean over symmetries are in the saved model, which has one input."""
    methods = CandidateMethods(stamp_scalars=True, average_views=True, partial_auc=0.1)
    summary = train_realbogus(dataset="made", methods=methods, **QUICK)
    assert summary["methods"] == methods.given
    model, card = load_model(resolve_model(shared, summary["model_uri"], "realbogus-first").folder)
    assert card["methods"] == methods.given
    stamps = np.random.default_rng(0).normal(100, 5, (2, 29, 29, 3)).astype(np.float32)
    turned = np.rot90(stamps, axes=(1, 2)).copy()
    np.testing.assert_allclose(model.predict_on_batch(stamps), model.predict_on_batch(turned), atol=1e-4)
    assert len(model.inputs) == 1


def test_a_study_needs_a_survey_with_truth(shared: Workspace, tmp_path: Path) -> None:
    build_realbogus_dataset(
        dataset="blind", source="triplets", path=str(write_triplets(tmp_path / "blind", 1 - np.arange(60) % 2, seed=4))
    )
    with pytest.raises(PartError, match="no hidden truth"):
        run_rows(
            shared,
            "x",
            StudyRequest(dataset="made", test_dataset="blind", epochs=1),
            [StudyRow(name="a", seed=0)],
            InProcess(),
        )


def test_a_drawn_night_is_scored_row_by_row(shared: Workspace, first_model: dict[str, Any]) -> None:
    """The night is drawn as asked, and of one model alone every candidate is judged in full."""
    night = make_night(dataset="made", count=900, real_share=0.2)
    assert make_night(dataset="made", count=900, real_share=0.2) == night
    assert abs(night["reals"] - 180) < 5 * np.sqrt(900 * 0.2 * 0.8)
    summary = score_night(path=night["path"], model="realbogus-first@champion", first=None, max_candidates=100)
    assert (summary["count"], summary["scored"], summary["not_scored"]) == (900, 900, {})
    assert summary["selected"] == 100
    made = pa.parquet.read_table(Path(night["path"]) / "made.parquet")["real"].to_numpy()
    scores = pa.parquet.read_table(summary["path"])
    assert scores["id"].to_pylist() == [f"{row:09d}" for row in range(900)]
    selected = np.array(scores["decision"].to_pylist()) == "real"
    assert selected.sum() == 100
    assert made[selected].mean() > 2 * made.mean()


def test_folds_that_would_leave_a_class_out_are_refused(shared: Workspace, tmp_path: Path) -> None:
    training = open_candidate_training(shared, CandidateTrainRequest(dataset="made", **QUICK))
    part = training.part("train")
    one_cell = np.array([group == part.groups[0] for group in part.groups])
    alone = replace(part, labels=one_cell.astype(np.int32))
    with pytest.raises(PartError, match=r"outside of fold \d no sample is real"):
        out_of_fold(training, alone, 3, tmp_path, InProcess())
    assert not list(tmp_path.iterdir())


def test_a_model_that_was_touched_or_is_of_another_preprocessing_scores_nothing(
    shared: Workspace, first_model: dict[str, Any]
) -> None:
    folder = resolve_model(shared, "champion", "realbogus-first").folder
    asked: dict[str, Any] = {"path": "made", "model": "realbogus-first@champion", "first": None}
    card = folder / "model.json"
    text = card.read_text()
    card.write_text(text.replace('"realbogus-1"', '"realbogus-0"'))
    try:
        with pytest.raises(NightError, match="preprocessing 'realbogus-0'"):
            score_night(**asked)
    finally:
        card.write_text(text)
    model = folder / "model.keras"
    content = model.read_bytes()
    model.write_bytes(content + b" ")
    try:
        with pytest.raises(SavedModelError, match="sha256"):
            score_night(**asked)
    finally:
        model.write_bytes(content)


BAD: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (train_realbogus, {"dataset": "made", "network": "compact", "profile": "published"}, "no preset network=compact"),
    (train_realbogus, {"dataset": "made", "treatment": "all", "detector": "a"}, "goes with treatment=each"),
    (relabel_and_retrain, {"dataset": "made", "handling": "remove", "loss_lds": 1.0}, "takes part in nothing"),
    (score_night, {"path": "made", "tpr": 0.9, "max_candidates": 5}, "choose one of"),
    (score_night, {"path": "made", "model": "classifier.h5"}, "HDF5 models of the public code are not supported"),
    (score_night, {"path": "nowhere"}, "no file or folder, and no dataset"),
    (evaluate_holdout, {"dataset": "made", "verdicts": "a.csv", "model": "realbogus-first@champion"}, "needs none"),
    (evaluate_holdout, {"dataset": "made", "explain": ["a"], "model": "realbogus-first@champion"}, "not of realbogus"),
]


@pytest.mark.parametrize(("run", "asked", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_requests_name_the_thing(
    shared: Workspace, first_model: dict[str, Any], run: Callable[..., Any], asked: dict[str, Any], message: str
) -> None:
    if run is score_night:
        asked = {"model": "realbogus-first@champion", "first": None} | asked
    with pytest.raises(Exception, match=message):
        run(**asked)


def test_labels_of_one_kind_train_nothing(shared: Workspace, tmp_path: Path) -> None:
    for name, label, message in (("ones", 1, "no sample of bogus"), ("none", -1, "no sample labelled")):
        build_realbogus_dataset(
            dataset=name, source="triplets", path=str(write_triplets(tmp_path / name, np.full(60, label)))
        )
        with pytest.raises(PartError, match=message):
            train_realbogus(dataset=name, **QUICK)
