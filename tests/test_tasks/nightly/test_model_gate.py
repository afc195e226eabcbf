"""Registered models before the gate: the better one is promoted, a broken, worse or informed one is not."""

import csv
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from realbogus.models.preprocessing import PREPROCESSING_VERSION
from tasks.decisions.aliases import carry_out, champion_of
from tasks.decisions.decision import Decision
from tasks.decisions.gate_settings import GateSettings
from tasks.decisions.holdouts import HoldoutError, freeze_holdout, open_holdout
from tasks.decisions.kept_scores import open_contender, scores_path
from tasks.decisions.ledger import decisions_folder, read_ledger
from tasks.learning.models.saved_models import SavedModelError, save_model
from tasks.learning.training_overlap import COLUMNS, TRAINING_SAMPLES_FILE
from tasks.nightly.model_gate import compare_and_judge, confirm_sealed
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.mlflow_runs import open_run
from tasks.tracking.model_registry import UnknownModelError
from tasks.training.evaluation_record import EvaluationError
from tests import small_galaxies
from tests.small_candidates import SCHEME, SIDE, publish_candidates

NAME, GALAXIES = "realbogus", f"galaxy-{small_galaxies.SCHEME}"
COUNT, A_CELL, HELD = 504, 4, 480
"""Candidates; those of a cell; those that are held out, half of them in the open half."""
NOON = datetime(2026, 5, 21, 3, tzinfo=UTC)
NIGHT = "2026-05-20"
SETTINGS = GateSettings(looks=10, repeats=1000)
NONE_SEEN = pa.table({name: pa.array([], pa.string() if name in COLUMNS[:2] else pa.float64()) for name in COLUMNS})
POOR, GOOD, BROKEN, INFORMED = (f"models:/{NAME}/{version}" for version in (1, 2, 3, 4))


def linear_model(weights: np.ndarray) -> Any:
    """A model whose logit of being real is the sum of weights (y, x) times the difference."""
    import keras

    stamps = keras.Input((SIDE, SIDE, 3), dtype="float32")
    layer = keras.layers.Dense(2)
    model = keras.Model(stamps, layer(keras.layers.Flatten()(stamps)))
    kernel = np.zeros((SIDE, SIDE, 3, 2), np.float32)
    kernel[..., 2, 1] = weights
    layer.set_weights([kernel.reshape(-1, 2), np.zeros(2, np.float32)])
    return model


def register(workspace: Workspace, folder: Path, name: str, model: Any, card: dict[str, Any], seen: pa.Table) -> str:
    card = {"temperature": 1.0, "split_hash": "", "scheme_digest": "", **card}
    save_model(model, folder, card)
    pq.write_table(seen, folder / TRAINING_SAMPLES_FILE)
    example = np.zeros((1, *model.input_shape[1:]), np.uint8)
    with open_run(workspace, problem=card["problem"], run_name="r", params={}, tags={}, dataset=None) as run:
        return run.log_model(model, folder, name, example).uri


def publish_night(workspace: Workspace) -> Dataset:
    """Alternate reals and bogus, the first of them in the test part."""
    cells = [f"cell {row // A_CELL}" for row in range(COUNT)]
    parts = ["test" if row < HELD else "train" for row in range(COUNT)]
    columns = {
        "mag": [18 + row % 7 / 3 for row in range(COUNT)],
        "detector": [f"detector {row // A_CELL % 2}" for row in range(COUNT)],
        "pixel_sha256": [f"pixels of {row}" for row in range(COUNT)],
    }
    real = [row % 2 == 0 for row in range(COUNT)]
    labels = ["real" if flag else "bogus" for flag in real]
    return publish_candidates(workspace, "night", labels, cells, parts, real=real, columns=columns)


@pytest.fixture(scope="session")
def judged_models(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Models of candidates: one that some bogus pass, one that tells all, one of NaN, one that saw the holdout."""
    workspace, saved = Workspace(tmp_path_factory.mktemp("gate") / "workspace"), tmp_path_factory.mktemp("saved")
    dataset = publish_night(workspace)
    middle = np.zeros((SIDE, SIDE), np.float32)
    centre = SIDE // 2
    poor, good = middle.copy(), middle.copy()
    poor[centre, centre + 1] = 0.05  # bright in an edge of light too
    good[centre, centre] = 0.05
    facts = {"dataset": "night", "dataset_version": 1, "dataset_digest": dataset.digest}
    card = {"problem": NAME, "scheme": SCHEME, "classes": ["bogus", "real"], **facts}
    card["preprocessing_version"] = PREPROCESSING_VERSION
    for number, (weights, seen) in enumerate(
        [
            (poor, NONE_SEEN),
            (good, NONE_SEEN),
            (good * np.nan, NONE_SEEN),
            (good, dataset.samples(list(COLUMNS)).slice(0, 30)),
        ]
    ):
        register(workspace, saved / str(number), NAME, linear_model(weights), card, seen)
    freeze_holdout(workspace, "first", "night@1", SCHEME)
    return workspace


@pytest.fixture
def own(judged_models: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(judged_models.root, tmp_path / "own", symlinks=True)
    return Workspace(tmp_path / "own")


def gate(workspace: Workspace, challenger: str = GOOD, champion: str = POOR, **more: Any) -> Decision:
    values: dict[str, Any] = {
        "settings": SETTINGS,
        "history": (),
        "night": NIGHT,
        "validation_passed": True,
        "by": "nightly-retrain",
        "at": NOON,
        "holdout": "first",
        "name": NAME,
    }
    return compare_and_judge(workspace, challenger=challenger, champion=champion, **values | more)


def test_the_better_model_is_promoted_with_figures_and_digests(judged_models: Workspace) -> None:
    decision = gate(judged_models)
    assert (decision.kind, decision.verdict, decision.by, decision.night) == (
        "gate",
        "PROMOTE",
        "nightly-retrain",
        NIGHT,
    )
    assert (decision.champion_before, decision.champion_after, decision.challenger) == (POOR, GOOD, GOOD)
    held = open_holdout(judged_models, "first")
    assert decision.digests == {
        "champion": open_contender(judged_models, POOR, NAME).sha256,
        "challenger": open_contender(judged_models, GOOD, NAME).sha256,
        "holdout": held.digests["open"],
        "dataset": held.dataset.digest,
    }
    figures = decision.figures
    assert figures["holdout"]["name"] == "first"
    assert figures["holdout"]["rows"] == figures["rows"] == len(held.halves["open"]) == HELD // 2
    assert figures["figure"]["champion"] > 0.3
    assert figures["figure"]["challenger"] == 0
    assert {(each["by"], each["stratum"]) for each in figures["strata"]} >= {
        ("magnitude", "18 to 19"),
        ("detector", "detector 0"),
        ("class", "made"),
    }
    assert figures["settings"]["margin"] == SETTINGS.margin


def test_the_worse_model_is_rejected(judged_models: Workspace) -> None:
    decision = gate(judged_models, POOR, GOOD)
    assert decision.verdict == "REJECT"
    assert decision.champion_after == GOOD
    assert "the challenger is worse" in decision.reasons[0]


def test_a_broken_model_is_rejected_with_its_rows(judged_models: Workspace) -> None:
    decision = gate(judged_models, BROKEN)
    assert decision.verdict == "REJECT"
    assert "The challenger's output is not finite for 240 of 240 rows" in decision.reasons[0]
    assert gate(judged_models, GOOD, BROKEN).verdict == "HOLD"


def test_a_model_that_saw_the_holdout_is_refused(judged_models: Workspace) -> None:
    with pytest.raises(HoldoutError, match=r"models:/realbogus/4 holds 30 of the 480 rows of holdout 'first' \(c00"):
        gate(judged_models, INFORMED)


def test_rows_that_the_champion_has_seen_are_left_out(judged_models: Workspace) -> None:
    holdout = gate(judged_models, GOOD, INFORMED).figures["holdout"]
    seen = holdout["left_out"]["seen_by_champion"]
    assert 0 < seen < 30
    assert holdout["rows"] == HELD // 2 - seen


def test_a_failed_validation_looks_at_nothing(own: Workspace) -> None:
    shutil.rmtree(decisions_folder(own) / "scores", ignore_errors=True)
    decision = gate(own, validation_passed=False)
    assert decision.verdict == "REJECT"
    assert "look" not in decision.figures
    assert not (decisions_folder(own) / "scores").exists()


def test_the_champion_itself_is_held(judged_models: Workspace) -> None:
    decision = gate(judged_models, POOR, "champion")
    assert decision.verdict == "HOLD"
    assert "The challenger is the champion" in decision.reasons[0]


def test_kept_scores_of_the_champion_are_used_again(own: Workspace) -> None:
    first = gate(own)
    held = open_holdout(own, "first")
    path = scores_path(own, open_contender(own, POOR, NAME), held.digests["open"])
    table = pq.read_table(path)
    assert table["id"].to_pylist() == held.halves["open"]
    assert gate(own).figures == first.figures
    pq.write_table(table.set_column(2, "output_1", pa.array(np.full(240, np.nan))), path)
    assert "The champion's output is not finite" in gate(own).reasons[0], "what is kept is what counts"
    path.write_bytes(b"torn")
    assert gate(own).figures == first.figures


def test_the_newest_night_is_reported_and_decides_nothing(judged_models: Workspace) -> None:
    ids = [f"c{row:04d}" for row in range(COUNT - 100, COUNT)]
    decision = gate(judged_models, newest=("night@1", ids))
    newest = decision.figures["newest"]
    assert newest["dataset"] == "night@1"
    assert newest["rows"] == 100
    assert newest["figure"]["champion"] > newest["figure"]["challenger"] == 0
    few = gate(judged_models, newest=("night@1", ids[-5:]))
    assert "at least 10 in 10 groups are needed" in few.figures["newest"]["not_compared"]
    assert (few.verdict, few.reasons) == (decision.verdict, decision.reasons)


def test_a_decision_is_carried_out_and_the_next_one_cools_down(own: Workspace) -> None:
    row = carry_out(own, gate(own))
    assert champion_of(own, NAME) == row.champion_after == GOOD
    history = read_ledger(own, NAME).decisions
    again = gate(own, POOR, GOOD, history=history, night="2026-05-21")
    assert again.figures["look"]["number"] == 2
    assert again.verdict == "REJECT"
    back = gate(own, GOOD, POOR, history=history, night="2026-05-25")
    assert back.figures["look"]["number"] == 1, "the same models on the same rows"
    assert back.verdict == "HOLD"
    assert "the cool-down takes 5 nights" in back.reasons[0]
    assert gate(own, GOOD, POOR, history=history, night="2026-05-26").verdict == "PROMOTE"
    elsewhere = [Decision(**{**vars_of(decision), "name": "other"}) for decision in history]
    assert gate(own, GOOD, POOR, history=elsewhere, night="2026-05-21").verdict == "PROMOTE"


def vars_of(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in Decision.__dataclass_fields__}


def test_a_model_without_its_card_is_named(own: Workspace) -> None:
    folder = open_contender(own, GOOD, NAME).ref.folder
    card = (folder / "model.json").read_text()
    (folder / "model.json").write_text("{}")
    with pytest.raises(SavedModelError, match=r"model.json lacks problem"):
        gate(own)
    (folder / "model.json").write_text(card)
    (folder / "model.keras").write_bytes(b"other")
    with pytest.raises(SavedModelError, match="the file was changed"):
        gate(own)
    (folder / "model.json").unlink()
    with pytest.raises(UnknownModelError, match=r"realbogus, version 2 holds no model.json"):
        gate(own)


def test_an_unknown_holdout_is_named(judged_models: Workspace) -> None:
    with pytest.raises(HoldoutError, match="there is no holdout 'second'"):
        gate(judged_models, holdout="second")


def test_the_sealed_half_confirms_once_a_month(own: Workspace) -> None:
    values: dict[str, Any] = {
        "settings": SETTINGS,
        "by": "nightly-retrain",
        "at": NOON,
        "holdout": "first",
        "name": NAME,
    }
    decision = confirm_sealed(own, champion=GOOD, before=POOR, night=NIGHT, **values)
    assert (decision.verdict, decision.champion_before, decision.champion_after) == ("RECORD", GOOD, GOOD)
    assert "the gain over models:/realbogus/1 is confirmed at 95%" in decision.reasons[0]
    held = open_holdout(own, "first")
    assert decision.digests["holdout"] == held.digests["sealed"]
    assert decision.figures["holdout"]["rows"] == HELD // 2
    assert [opening["month"] for opening in held.opened] == ["2026-05"]
    with pytest.raises(HoldoutError, match="once a calendar month"):
        confirm_sealed(own, champion=POOR, before=GOOD, night="2026-05-28", **values)
    contradicted = confirm_sealed(own, champion=POOR, before=GOOD, night="2026-06-01", **values)
    assert "is contradicted at 95%" in contradicted.reasons[0]
    same = confirm_sealed(own, champion=POOR, before=POOR, night="2026-07-01", **values)
    assert "nothing to confirm" in same.reasons[0]
    assert len(open_holdout(own, "first").opened) == 2, "nothing was opened for it"
    assert carry_out(own, decision).verdict == "RECORD"


def disc_model(limit: float) -> Any:
    """A model that says bright where the mean of the middle exceeds `limit`."""
    import keras

    size = small_galaxies.SIZE
    images = keras.Input((size, size, 3), dtype="uint8")
    middle = keras.layers.Flatten()(keras.layers.Cropping2D(6)(keras.layers.Rescaling(1 / 255)(images)))
    layer = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(images, layer(middle))
    pixels = middle.shape[-1]
    layer.set_weights([np.tile([[0.0, 255 / pixels]], (pixels, 1)), np.array([0.0, -limit])])
    return model


def test_galaxies_go_the_same_way(tracked_workspace: Workspace, tmp_path: Path) -> None:
    workspace = tracked_workspace
    dataset = small_galaxies.publish_galaxies(workspace, "gate-sky", count=500, wrong=[1, 2])
    card = {k: v for k, v in small_galaxies.card_of(dataset).items() if not k.startswith("input") and k != "sha256"}
    poor, good = (
        register(workspace, tmp_path / str(limit), "galaxy-gate", disc_model(limit), card, NONE_SEEN)
        for limit in (120.0, 105.0)
    )
    freeze_holdout(workspace, "gate-galaxies", "gate-sky", small_galaxies.SCHEME, part="all")
    decide: Callable[..., Decision] = lambda *models: gate(  # noqa: E731
        workspace, *models, holdout="gate-galaxies", name="galaxy-gate"
    )
    decision = decide(good, poor)
    assert decision.verdict == "PROMOTE"
    assert decision.reasons[0].startswith("The error rate goes from")
    assert decision.figures["holdout"]["rows"] == 250
    assert {each["stratum"] for each in decision.figures["strata"]} == {"faint", "bright"}
    assert decide(poor, good).verdict == "REJECT"
    with pytest.raises(EvaluationError, match="is of problem realbogus"):
        gate(workspace, good, poor, holdout=_candidates_holdout(workspace), name="galaxy-gate")


def _candidates_holdout(workspace: Workspace) -> str:
    labels = ["real", "bogus"] * 10
    publish_candidates(workspace, "gate-night", labels, [f"cell {row}" for row in range(20)], ["test"] * 20)
    return freeze_holdout(workspace, "gate-candidates", "gate-night", SCHEME).name


def test_verdicts_of_people_make_unreviewed_rows_count(own: Workspace, tmp_path: Path) -> None:
    """Without a truth, rows count by the verdicts of a queue, weighted by their chances."""
    dataset = Dataset.open(own, "night@1")
    (dataset.path / "truth.parquet").unlink()
    freeze_holdout(own, "unknown", "night@1", SCHEME)
    held = gate(own, holdout="unknown")
    assert held.verdict == "HOLD"
    assert held.figures["holdout"]["left_out"] == {"injection_label": HELD // 2}
    assert held.reasons[0].startswith("There are 0 real with truth or verdict")
    table = tmp_path / "verdicts.csv"
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "verdict", "inclusion_probability"])
        writer.writerows([f"c{row:04d}", "bogus" if row % 2 else "real", 0.5] for row in range(COUNT))
    decision = gate(own, holdout="unknown", verdicts=[table])
    assert decision.verdict == "PROMOTE"
    assert decision.figures["holdout"]["weighted"] == HELD // 2
