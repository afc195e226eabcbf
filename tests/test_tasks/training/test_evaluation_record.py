"""What every evaluation shares: the checks, the context of the report, its file's name, and the record."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.reports.page import Figure, Table
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.mlflow_runs import open_run
from tasks.training.evaluation_record import (
    UNKNOWN_OVERLAP,
    EvaluationError,
    EvaluationRecord,
    EvaluationRequest,
    evaluation_context,
    none_for_nan,
    publish_record,
    report_path,
    require_fit,
    training_dataset,
    training_samples_of,
)
from tests.image_bytes import encoded
from tests.small_galaxies import SCHEME, Threshold, card_of, publish_galaxies


@pytest.fixture(scope="module")
def home(tracked_workspace: Workspace) -> tuple[Workspace, Dataset]:
    return tracked_workspace, publish_galaxies(tracked_workspace, "recorded", count=40)


def request(
    home: tuple[Workspace, Dataset], part: str = "test", card: dict[str, Any] | None = None, **more: Any
) -> EvaluationRequest:
    workspace, dataset = home
    return EvaluationRequest(workspace, dataset, Threshold(), card_of(dataset, **(card or {})), part, SCHEME, **more)


def test_a_model_that_fits_is_accepted(home: tuple[Workspace, Dataset]) -> None:
    require_fit(request(home))
    require_fit(request(home), preprocessing_version=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"problem": "realbogus"}, "dataset 'recorded' is of problem galaxy, the model's is realbogus"),
        ({"classes": ["bright", "faint"]}, "under 'bright-2', the classes"),
        ({"input_shape": [8, 8, 3]}, r"images of shape \[16, 16, 3\], the model's is \[8, 8, 3\]"),
        ({"preprocessing_version": 2}, "preprocessing 1, the model's is 2"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    home: tuple[Workspace, Dataset], change: dict[str, Any], says: str
) -> None:
    with pytest.raises(EvaluationError, match=says):
        require_fit(request(home, card=change), preprocessing_version=1)


def test_the_dataset_of_the_training_is_opened_by_the_card(home: tuple[Workspace, Dataset]) -> None:
    dataset, notes = training_dataset(request(home))
    assert dataset is not None
    assert (dataset.digest, notes) == (home[1].digest, [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": "gone"}, "No fitted baselines: the model was trained on gone@1, which cannot be opened"),
        ({"dataset_version": 9}, "recorded@9, which cannot be opened"),
        ({"dataset_digest": "0"}, "recorded@1 here is not the dataset the model was trained on."),
    ],
)
def test_a_dataset_that_is_not_the_trainings_gives_a_note(
    home: tuple[Workspace, Dataset], change: dict[str, Any], says: str
) -> None:
    dataset, (note,) = training_dataset(request(home, card=change))
    assert dataset is None
    assert says in note


def test_the_models_own_list_of_samples_comes_before_the_dataset(home: tuple[Workspace, Dataset]) -> None:
    own = pa.table({"id": ["a"]})
    assert training_samples_of(request(home, training_samples=own), home[1]) is own
    assert training_samples_of(request(home, training_samples=own), None) is own
    assert training_samples_of(request(home), None) is None
    from_dataset = training_samples_of(request(home), home[1])
    assert from_dataset is not None
    assert from_dataset.num_rows == 36  # nine of ten samples are in the training or validation part


def test_the_context_says_what_was_evaluated(home: tuple[Workspace, Dataset]) -> None:
    context = evaluation_context(request(home, best_epoch=3), "a title", "votes", 4, ["a note"])
    assert (context.title, context.version, context.origin) == ("a title", 1, "simulated pixels, votes labels")
    assert (context.overlap, context.best_epoch, context.notes) == (4, 3, ["a note"])
    facts = dict(context.facts)
    assert (facts["dataset"], facts["part"], facts["scheme"]) == ("recorded@1", "test", SCHEME)
    assert facts["dataset digest"] == home[1].digest
    assert (facts["model: dataset version"], facts["model: temperature"]) == (1, 2.0)
    rows = [list(row) for row in context.provenance.rows]
    assert ["model: input shape", "[16, 16, 3]"] in rows
    assert ["labels", "votes"] in rows


def test_an_unknown_overlap_is_noted(home: tuple[Workspace, Dataset]) -> None:
    assert evaluation_context(request(home), "a title", "votes", None, ["a note"]).notes == ["a note", UNKNOWN_OVERLAP]
    assert evaluation_context(request(home), "a title", "votes", 0, []).notes == []


def test_the_report_is_named_by_dataset_version_scheme_part_and_model(home: tuple[Workspace, Dataset]) -> None:
    path = report_path(replace(request(home), scheme="a scheme/ü"))
    assert path == home[0].reports / "evaluation-recorded-000001-a_scheme_-test-55555555.html"


def record(**more: Any) -> EvaluationRecord:
    fields: dict[str, Any] = {
        "page": "<html>a page</html>",
        "summary": {"accuracy": 0.5, "count": 4, "auc": None, "notes": ["a note"]},
        "figures": {"roc": Figure("caption", encoded(np.zeros((2, 3, 3), np.uint8)), "alt")},
        "tables": {"models": Table("caption", ["name", "right"], [["a", 1], ["b", 2]])},
        "predictions": pa.table({"id": ["a"]}),
        "metrics": {"recall_a+b": 0.25, "recall_none": None},
    }
    return EvaluationRecord(**fields | more)


def test_without_a_run_the_page_and_the_summary_are_all(home: tuple[Workspace, Dataset]) -> None:
    summary = publish_record(request(home, "all"), record())
    report = report_path(request(home, "all"))
    assert summary == {"accuracy": 0.5, "count": 4, "auc": None, "notes": ["a note"], "report": str(report)}
    assert report.read_text() == "<html>a page</html>"


def test_a_run_gets_numbers_tables_figures_predictions_and_page(home: tuple[Workspace, Dataset]) -> None:
    import mlflow

    workspace, dataset = home
    options: dict[str, Any] = {"problem": "galaxy", "run_name": "r", "params": {}, "tags": {}, "dataset": dataset}
    with open_run(workspace, **options) as run:
        publish_record(request(home, run=run), record())
    metrics = mlflow.MlflowClient(tracking_uri=workspace.mlflow_uri).get_run(run.id).data.metrics
    assert metrics == {"test_accuracy": 0.5, "test_count": 4, "test_recall_a_b": 0.25}
    folder = workspace.mlartifacts / "galaxy" / run.id / "artifacts"
    assert (folder / "tables" / "test_models.csv").read_text().split() == ["name,right", "a,1", "b,2"]
    assert len(list((folder / "images").glob("test_roc+step+0+*.png"))) == 1
    assert pq.read_table(folder / "predictions" / "test_predictions.parquet").to_pylist() == [{"id": "a"}]
    assert (folder / "report" / report_path(request(home)).name).read_text() == "<html>a page</html>"


def test_nan_becomes_none_however_deep() -> None:
    nan = float("nan")
    assert none_for_nan({"a": nan, "b": {"c": nan, "d": 1.0}, "e": [1], "f": "nan", "g": 0}) == {
        "a": None,
        "b": {"c": None, "d": 1.0},
        "e": [1],
        "f": "nan",
        "g": 0,
    }
    assert none_for_nan(np.float64("nan")) is None
