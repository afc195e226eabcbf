"""The nightly retraining on triplets: a night from the inbox to the ledger, and the ordinary outcomes beside it."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flows.accept import accept
from flows.build_galaxy_dataset import build_galaxy_dataset
from flows.build_realbogus_dataset import build_realbogus_dataset
from flows.nightly_retrain import nightly_retrain
from tasks.decisions.ledger import read_ledger
from tasks.learning.labels.relabelling import publish_relabelling
from tasks.learning.models.saved_models import checked_card
from tasks.nightly.label_versions import replaced_rows
from tasks.nightly.night_record import open_record
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.mlflow_runs import newest_run
from tasks.tracking.model_registry import resolve_model

from .conftest import write_triplets

COUNT = 480
FAST: dict[str, Any] = {"source": "triplets", "network": "simple", "epochs": 2}


@pytest.fixture(scope="module")
def survey(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with the training set ``nightly``, and its inbox."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("nightly")
        patch.setenv(ENVIRONMENT_NAME, str(folder / "workspace"))
        workspace = Workspace.current()
        source = write_triplets(folder / "survey", 1 - np.arange(COUNT) % 2, prefix="s")
        build_realbogus_dataset(dataset="nightly", source="triplets", path=str(source))
        (workspace.root / "inbox").mkdir()
        yield workspace


def deliver(workspace: Workspace, night: str, seed: int, *, count: int = 120, wrong: float = 0.0) -> Path:
    """Deliver a night of triplets, of which a share has the wrong label."""
    folder = workspace.root / "inbox" / night
    shutil.rmtree(folder, ignore_errors=True)
    true = 1 - np.arange(count) % 2
    flips = np.random.default_rng(seed).random(count) < wrong
    write_triplets(folder / "v1", np.where(flips, 1 - true, true), seed=seed, prefix=f"n{seed}")
    (folder / "v1" / ".complete").touch()
    return folder


def answer(dataset: Dataset, name: str) -> dict[str, str]:
    """Publish a label version in which three training samples have the other label; return those labels."""
    part = dataset.split()
    ids = part.filter(pc.equal(part["part"], "train"))["id"].to_pylist()[:3]
    table = dataset.labels("real-bogus")
    before = dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))
    other = {sample: "bogus" if before[sample] == "real" else "real" for sample in ids}
    changes = pa.table(
        {
            "id": ids,
            "label": list(other.values()),
            "reason": ["answered"] * 3,
            "score": [1.0] * 3,
            "round": pa.array([0] * 3, pa.int32()),
            "by": ["a person"] * 3,
        }
    )
    publish_relabelling(dataset, "real-bogus", name, changes, None, datetime.now(UTC))
    return other


def run(night: str | None, **changes: Any) -> dict[str, Any]:
    return nightly_retrain(night=night, **{**FAST, **changes})


@pytest.fixture(scope="module")
def first(survey: Workspace) -> dict[str, Any]:
    """The first night, with which the first champion is trained and the holdout is frozen."""
    deliver(survey, "2026-11-02", 2)
    return run("2026-11-02")


def test_a_night_goes_from_the_inbox_to_the_ledger(survey: Workspace, first: dict[str, Any]) -> None:
    assert first["state"] == "done", first["message"]
    assert (first["ingested"], first["rejected"], first["scored"]) == (120, {}, 120)
    assert Dataset.open(survey, "nightly").manifest["stored"] == COUNT + 120
    scores = pq.read_table(first["scores"])
    assert scores.num_rows == 120
    assert set(scores["model"].to_pylist()) == {"realbogus/1"}
    assert (first["challenger"], first["champion"]) == ("models:/realbogus/2", "models:/realbogus/1")
    assert first["decision"] == "HOLD", "the holdout has too few rows to tell two models apart"
    rows = read_ledger(survey, "realbogus").decisions
    assert [(row.kind, row.verdict) for row in rows] == [("first", "RECORD"), ("gate", "HOLD")]
    assert rows[1].night == "2026-11-02"
    assert list(rows[1].reasons) == first["reasons"]
    assert Path(first["report"]).is_file()
    assert (survey.root / "decisions" / "queue" / "realbogus" / "2026-11-02.csv").is_file()


def test_the_challenger_starts_from_the_champion_and_stands_in_mlflow(survey: Workspace, first: dict[str, Any]) -> None:
    card = checked_card(resolve_model(survey, first["challenger"], None).folder)
    assert card["weights"]["source"] == "models:/realbogus/1"
    night = newest_run(survey, "realbogus", {"kind": "night", "state": "done", "night": "2026-11-02"}, "ingested")
    assert night is not None
    assert night[1]["ingested"] == 120


def test_the_same_delivery_again_does_no_work(survey: Workspace, first: dict[str, Any]) -> None:
    version = Dataset.open(survey, "nightly").version
    again = run("2026-11-02")
    assert again == first
    assert Dataset.open(survey, "nightly").version == version
    assert len(read_ledger(survey, "realbogus").decisions) == 2


def test_a_mislabelled_night_is_set_aside_until_a_person_accepts_it(survey: Workspace, first: dict[str, Any]) -> None:
    folder = deliver(survey, "2026-11-03", 3, wrong=0.5)
    night = run("2026-11-03")
    assert night["state"] == "set_aside"
    assert night["challenger"] is None
    assert "starloom run accept" in night["message"]
    (folder / "v1" / "notes.txt").write_text("the same rows, delivered again")
    again = run("2026-11-03")
    assert (again["state"], again["revision"], again["labels"]) == ("set_aside", 2, night["labels"])
    deliver(survey, "2026-11-04", 4)
    answered = answer(Dataset.open(survey, "nightly"), "people")
    refused = run("2026-11-04", labels="nobody")
    assert refused["state"] == "failed"
    assert "labels=nobody: dataset nightly@" in refused["message"]
    assert "only people" in refused["message"]
    after = run("2026-11-04", labels="people")
    assert after["state"] == "done", after["message"]
    labels = open_record(survey, "nightly", "2026-11-04").steps["labels"]
    dataset = Dataset.open(survey, "nightly")
    table = dataset.labels("real-bogus", labels)
    without = table.filter(pc.is_null(table["label"]))["id"].to_pylist()
    assert sorted({name[:2] for name in without}) == ["n3"]
    assert len(without) == 120
    assert dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True)).items() >= answered.items()
    used = {"labels": labels, "labels_sha256": dataset.labels_sha256("real-bogus", labels)}
    row = next(row for row in read_ledger(survey, "realbogus").decisions if row.night == "2026-11-04")
    assert row.figures["challenger_labels"] == used
    of_challenger = {"kind": "training", "relabelling": labels, "relabelling_sha256": used["labels_sha256"]}
    assert newest_run(survey, "realbogus", of_challenger, "best_epoch") is not None
    assert newest_run(survey, "realbogus", {"kind": "night", "label_version": labels}, "ingested") is not None
    assert after["label_version"] == labels
    accept(night="2026-11-03", name="realbogus", reason="the volunteers were right after all")
    deliver(survey, "2026-11-05", 5)
    assert run("2026-11-05", retrain_every=0)["decision"] is None
    assert run("2026-11-05", retrain_every=0)["reasons"] == ["no challenger is due"]


def test_a_night_that_is_delivered_again_with_other_stamps_is_worked_on_again(
    survey: Workspace, first: dict[str, Any]
) -> None:
    deliver(survey, "2026-11-06", 6, count=60)
    assert run("2026-11-06", retrain_every=0)["state"] == "done"
    deliver(survey, "2026-11-06", 7, count=60)
    again = run("2026-11-06", retrain_every=0)
    assert (again["state"], again["revision"], again["scored"]) == ("redelivered", 2, 60)
    scores = pq.read_table(survey.scores / "night-2026-11-06.parquet", columns=["id"])
    assert sorted(scores["id"].to_pylist()) == [f"n7c{number:04d}" for number in range(60)]
    record = open_record(survey, "nightly", "2026-11-06")
    assert list(replaced_rows([record])) == [f"n6c{number:04d}" for number in range(60)]


def test_ordinary_outcomes_have_a_state_and_a_message(survey: Workspace, first: dict[str, Any]) -> None:
    nothing = run("2026-11-07")
    assert (nothing["state"], nothing["ingested"]) == ("no_data", 0)
    assert "2026-11-07" in nothing["message"]
    half = deliver(survey, "2026-11-08", 8)
    (half / "v1" / "stamps.npy.part").touch()
    assert run("2026-11-08")["state"] == "waiting"
    (half / "v1" / "stamps.npy.part").unlink()
    (half / "v1" / "stamps.npy").write_bytes(b"\x93NUMPY torn")
    torn = run("2026-11-08")
    assert torn["state"] == "failed"
    assert "stamps.npy" in torn["message"]
    deliver(survey, "2026-11-08", 8)
    assert run("2026-11-08", retrain_every=0)["state"] == "done"


def test_bad_requests_are_refused_before_any_work(survey: Workspace) -> None:
    for changes, message in (
        ({"night": "2999-01-01"}, "night=2999-01-01 is not over or in the future"),
        ({"night": "yesterday"}, "night=yesterday is no date"),
        ({"path": "nowhere", "night": None}, "nowhere"),
        ({"source": "sdss"}, "source=sdss is not for problem=realbogus"),
        ({"conditions": {"seeing_factor": 2.0}}, "is for source=simulated"),
    ):
        with pytest.raises(ValueError, match=message):
            nightly_retrain(**{**FAST, **changes})


def test_a_catalogue_that_has_grown_is_a_night_of_galaxies(
    flows_here: Workspace, archive: Callable[..., tuple[Path, Path]]
) -> None:
    images, table = archive(80)
    options = {"source": "archive", "images": str(images), "scheme": "gz1-majority-2class"}
    build_galaxy_dataset(dataset="zoo", catalog=str(table), size_px=32, **options)
    archive(110, missing=2)
    asked = {"problem": "galaxy", "dataset": "zoo", "path": str(table), "network": "cnn", "epochs": 1, **options}
    night = nightly_retrain(night="2026-11-02", **asked)
    assert night["state"] == "done", night["message"]
    assert (night["ingested"], night["scored"], night["selected"]) == (28, 28, None)
    assert sum(night["rejected"].values()) == 2
    assert (night["efficiency"], night["drift"]["verdict"]) == (None, "not_enough_quiet_nights")
    assert (night["challenger"], night["decision"]) == ("models:/galaxy-gz1-majority-2class/2", "HOLD")
    scores = pq.read_table(flows_here.scores / "night-2026-11-02-zoo.parquet")
    assert scores.num_rows == 28
    assert set(scores["model"].to_pylist()) == {"models:/galaxy-gz1-majority-2class/1"}
