"""MLflow in a workspace: what a run leaves, what the registry finds, and a workspace that moves."""

import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from PIL import Image

from tasks.runtime.workspace import Workspace
from tasks.tracking import mlflow_runs
from tasks.tracking.database import prepare
from tasks.tracking.mlflow_runs import PARENT, newest_run, open_run
from tasks.tracking.model_registry import UnknownModelError, resolve_model
from tasks.tracking.notes import NOTE
from tests.image_bytes import encoded

NAME = "galaxy-tracked"
DATASET = SimpleNamespace(name="sky", version=3, digest="0123456789abcdef" * 4, path=None)
THREE_CLASSES = SimpleNamespace(output_shape=(None, 3))
PNG = encoded(np.zeros((2, 3, 3), np.uint8))
EXAMPLE = np.zeros((2, 8, 8, 3), np.uint8)


def start(workspace, run_name="cnn", **more):
    options = {"problem": "galaxy", "params": {"seed": 0, "epochs": None}, "tags": {"pixels": "simulated"}}
    return open_run(workspace, run_name=run_name, dataset=DATASET, **(options | more))


def saved_folder(parent, mark):
    folder = parent / mark
    folder.mkdir()
    (folder / "model.keras").write_bytes(mark.encode())
    (folder / "model.json").write_text(json.dumps({"mark": mark}))
    return folder


def register(workspace, parent, mark, name=NAME):
    with start(workspace, run_name=mark) as run:
        return run.log_model(THREE_CLASSES, saved_folder(parent, mark), name, EXAMPLE)


@pytest.fixture(scope="module")
def workspace(tracked_workspace):
    return tracked_workspace


@pytest.fixture(scope="module")
def registered(workspace, tmp_path_factory):
    """Two versions of one name, in order, and one of another name."""
    parent = tmp_path_factory.mktemp("saved")
    return [
        register(workspace, parent, mark, name)
        for mark, name in (("first", NAME), ("second", NAME), ("third", "galaxy-deck-11"))
    ]


def client(workspace):
    import mlflow

    return mlflow.MlflowClient(tracking_uri=workspace.mlflow_uri)


def test_a_run_keeps_metrics_tags_dataset_and_files(workspace):
    with start(workspace) as run:
        run.log_metrics({"train_loss": 0.5, "validation_loss": float("nan"), "auc": None}, step=1)
        run.log_metrics({"train_loss": 0.25}, step=2)
        run.log_tags({"preset": "tuned"})
        run.log_figure(PNG, "test_confusion+", step=4)
        run.log_table(pa.table({"class": ["S", "E"], "recall": [0.5, 1.0]}), "classes")
        run.log_text("<!doctype html>", "page.html")
    found = client(workspace).get_run(run.id)
    history = client(workspace).get_metric_history(run.id, "train_loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
    assert found.data.metrics == {"train_loss": 0.25}
    assert found.data.params == {"seed": "0", "epochs": "None"}
    assert {"pixels": "simulated", "preset": "tuned"}.items() <= found.data.tags.items()
    assert found.info.status == "FINISHED"
    (seen,) = found.inputs.dataset_inputs
    assert seen.dataset.name == "sky"
    assert DATASET.digest.startswith(seen.dataset.digest)
    assert DATASET.digest in seen.dataset.source
    folder = workspace.mlartifacts / "galaxy" / run.id / "artifacts"
    (stored,) = (folder / "images").glob("test_confusion_+step+4+*.png")
    with Image.open(stored) as image:
        assert image.size == (3, 2)
    assert (folder / "tables" / "classes.csv").read_text() == "class,recall\nS,0.5\nE,1.0\n"
    assert (folder / "page.html").read_text() == "<!doctype html>"


def test_the_note_names_the_report_and_the_command(workspace, tmp_path, monkeypatch):
    report, command = tmp_path / "evaluation-sky.html", "starloom run train-galaxy -p dataset=sky"
    report.write_text("<!doctype html>")
    monkeypatch.setattr(mlflow_runs, "flow_command", lambda: command)
    with start(workspace) as run:
        before = client(workspace).get_run(run.id)
        run.log_report(report)
    found = client(workspace).get_run(run.id)
    assert before.data.tags[NOTE] == f"The same again:\n\n```sh\n{command}\n```"
    note, page = found.data.tags[NOTE], f"#/experiments/{found.info.experiment_id}/runs/{run.id}/artifacts/report"
    assert note.startswith(f"Report: [{report.name}]({page}/{report.name}), in the workspace `reports/{report.name}`.")
    assert note.endswith(before.data.tags[NOTE])
    assert (workspace.mlartifacts / "galaxy" / run.id / "artifacts" / "report" / report.name).is_file()


def test_a_run_outside_of_a_flow_has_no_note(workspace):
    with start(workspace) as run:
        pass
    assert NOTE not in client(workspace).get_run(run.id).data.tags


def test_the_newest_run_is_one_that_belongs_to_no_other(workspace):
    found = {}
    for name, tags in (("alone", {}), ("row of a study", {PARENT: "0" * 32}), ("other", {"scheme": "deck-7"})):
        with start(workspace) as run:
            run.log_tags({"scheme": "deck-3", **tags})
            run.log_metrics({"test_accuracy": 0.9})
        found[name] = run.id
    newest = newest_run(workspace, "galaxy", {"scheme": "deck-3"}, "test_accuracy")
    assert newest == (found["alone"], {"test_accuracy": 0.9})


def test_a_run_that_raises_is_marked_failed_and_goes_on_by_its_id(workspace):
    runs = []

    def train(loss, step, **more):
        with start(workspace, **more) as run:
            runs.append(run.id)
            run.log_metrics({"train_loss": 1 / loss}, step=step)

    with pytest.raises(ZeroDivisionError):
        train(loss=0, step=1)
    assert client(workspace).get_run(runs[0]).info.status == "FAILED"
    train(loss=2, step=2, run_id=runs[0])
    assert runs[0] == runs[1]
    assert client(workspace).get_run(runs[0]).info.status == "FINISHED"
    assert [point.step for point in client(workspace).get_metric_history(runs[0], "train_loss")] == [2]


def test_a_registered_model_is_files_and_no_pickle(registered):
    folder = registered[0].folder.parent
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "MLmodel",
        "conda.yaml",
        "data/keras_module.txt",
        "data/model.json",
        "data/model.keras",
        "python_env.yaml",
        "requirements.txt",
    ]
    assert (folder / "data" / "model.keras").read_bytes() == b"first"


def test_signature_takes_raw_images(registered, workspace):
    from mlflow.models import Model

    signature = Model.load(str(registered[0].folder.parent / "MLmodel")).signature
    assert signature.inputs.inputs[0].shape == (-1, 8, 8, 3)
    assert signature.inputs.inputs[0].type == np.uint8
    assert signature.outputs.inputs[0].shape == (-1, 3)


def test_challenger_is_the_last_and_champion_the_first(registered, workspace):
    first, second, third = registered
    assert resolve_model(workspace, "champion", NAME) == first
    assert resolve_model(workspace, "challenger", NAME) == second
    assert resolve_model(workspace, "champion", "galaxy-deck-11") == third


def test_every_address_finds_the_same_model(registered, workspace):
    second = registered[1]
    for address in (second.run_id, second.uri, f"models:/{NAME}@challenger", f"{NAME}@challenger"):
        assert resolve_model(workspace, address, None) == second
    assert json.loads((second.folder / "model.json").read_text()) == {"mark": "second"}


@pytest.mark.parametrize(
    ("model", "registered_name", "says"),
    [
        ("f" * 32, NAME, "run ffff.* has no registered model"),
        (f"models:/{NAME}/9", None, f"no model {NAME}, version 9"),
        (f"{NAME}@nightly", None, f"no model {NAME}@nightly"),
        ("nightly", NAME, f"no model {NAME}@nightly"),
        ("models:/nothing@champion", None, "no model nothing@champion"),
        ("champion", None, "alias alone"),
        ("models:/../../etc/passwd", None, "no address of a model"),
    ],
)
def test_an_unknown_model_is_refused(registered, workspace, model, registered_name, says):
    with pytest.raises(UnknownModelError, match=says) as refusal:
        resolve_model(workspace, model, registered_name)
    if "address" not in says:
        assert f"{NAME} (@challenger, @champion)" in str(refusal.value)


def test_a_moved_workspace_still_finds_its_models(registered, workspace, tmp_path):
    copied, moved = Workspace(tmp_path / "copied"), Workspace(tmp_path / "deep" / "moved_%20")
    shutil.copytree(workspace.root, copied.root)
    assert resolve_model(copied, "champion", NAME).folder.is_relative_to(copied.root)
    moved.root.parent.mkdir()
    copied.root.rename(moved.root)
    champion = resolve_model(moved, "champion", NAME)
    assert champion.folder.is_relative_to(moved.root)
    assert (champion.folder / "model.keras").read_bytes() == b"first"
    newcomer = register(moved, tmp_path, "after the move")
    assert newcomer.folder.is_relative_to(moved.root)
    assert not copied.root.exists()
    assert resolve_model(workspace, "champion", NAME) == registered[0]


def test_no_address_of_the_old_place_stays_after_a_move(registered, workspace, tmp_path):
    moved = Workspace(tmp_path / "moved")
    shutil.copytree(workspace.root, moved.root)
    prepare(moved)
    with closing(sqlite3.connect(moved.root / "mlflow.db")) as connection:
        dump = "\n".join(connection.iterdump())
    assert moved.mlartifacts.as_uri() in dump
    assert workspace.mlartifacts.as_uri() not in dump


def test_the_database_is_made_by_one_process_at_a_time(tmp_path):
    waiting = Workspace(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        with FileLock(tmp_path / "mlflow.lock"):
            made = pool.submit(prepare, waiting)
            with pytest.raises(TimeoutError):
                made.result(timeout=0.5)
            assert not (tmp_path / "mlflow.db").exists()
        made.result(timeout=120)
    experiments = client(waiting).search_experiments()
    assert sorted(experiment.name for experiment in experiments) == ["Default", "galaxy", "realbogus"]
