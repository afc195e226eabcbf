"""The agreement with a catalogue: each prediction is in a figure or has a reason, and the figures follow by hand."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.learning import measures
from tasks.predictions.catalogue_comparison import (
    ComparisonRequest,
    compare_catalogue,
    find_predictions,
    matrix,
    prefixes,
    translate,
)
from tasks.predictions.prediction_rows import Predictor
from tasks.predictions.prediction_sources import PredictionError
from tasks.runtime.workspace import Workspace

CLASSES = ["E", "S"]
SCHEMA = Predictor("m/1", {"classes": CLASSES}, lambda images: images).schema()


def write_scores(workspace: Workspace, name: str, classes: list[str | None], **columns: Any) -> Path:
    """Write predictions ``g0`` on of these classes; None was not scored."""
    count = len(classes)
    known = {
        "id": [f"g{number}" for number in range(count)],
        "class": classes,
        "model": [None if own is None else "m/1" for own in classes],
        "not_scored": ["blank" if own is None else None for own in classes],
        **columns,
    }
    table = pa.table([pa.array(known.get(field.name, [None] * count), field.type) for field in SCHEMA], schema=SCHEMA)
    workspace.scores.mkdir(parents=True, exist_ok=True)
    path = workspace.scores / f"{name}.parquet"
    pq.write_table(table, path)
    return path


def write_catalogue(folder: Path, classes: dict[str, str]) -> Path:
    path = folder / "published.csv"
    path.write_text("\n".join(["objid,kind", *(f"{name},{kind}" for name, kind in classes.items())]) + "\n")
    return path


def test_every_prediction_is_compared_or_has_a_reason(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    own = ["E"] * 20 + ["S"] * 20 + [None, "E", "E", "S"]
    write_scores(workspace, "mine", own, in_training=[number % 3 == 0 for number in range(len(own))])
    theirs = {f"g{number}": "Ell" if number < 15 or number >= 38 else "S" for number in range(42)}
    theirs |= {"g41": "", "g42": "merger"}
    request = ComparisonRequest(
        catalog=str(write_catalogue(tmp_path, theirs)),
        columns={"class": "kind"},
        classes={"Ell": "E"},
    )
    summary = compare_catalogue(workspace, request)
    assert summary["not_compared"] == {"not_scored": 1, "class_missing": 1, "other_class": 1, "no_match": 1}
    assert (summary["count"], summary["compared"], summary["matched"]) == (44, 40, {"by_id": 43, "by_position": 0})
    assert summary["matrix"] == {"E": {"E": 15, "S": 2}, "S": {"E": 5, "S": 18}, "merger": {"E": 1, "S": 0}}
    assert summary["agreement"] == 33 / 40
    assert (summary["agreement_low"], summary["agreement_high"]) == measures.wilson(33, 40)
    by_chance = (17 * 20 + 23 * 20) / 40**2
    assert summary["kappa"] == pytest.approx((33 / 40 - by_chance) / (1 - by_chance))
    assert summary["kappa_low"] < summary["kappa"] < summary["kappa_high"]
    assert summary["unseen"]["compared"] == 26
    written = json.loads(Path(summary["path"]).read_text(encoding="utf-8"))
    assert written == {name: summary[name] for name in written}
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert "merger" in page
    assert "agreement, not accuracy" in page


def test_nothing_to_compare_is_explained(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_scores(workspace, "mine", ["E", "S"])
    path = write_catalogue(tmp_path, {"g0": "elliptical", "g7": "S"})
    with pytest.raises(
        PredictionError, match=r"none of 2 .*other_class 1, no_match 1.*classes are elliptical, S, the m"
    ):
        compare_catalogue(workspace, ComparisonRequest(catalog=str(path), columns={"class": "kind"}))


def test_the_newest_predictions_are_taken_and_other_scores_passed_over(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(PredictionError, match="holds no predictions: run predict-galaxies first"):
        find_predictions(workspace, None)
    old, new = write_scores(workspace, "a", ["E"]), write_scores(workspace, "b", ["E"])
    pq.write_table(pa.table({"id": ["x"]}), workspace.scores / "night.parquet")
    os.utime(old, (1, 1))
    os.utime(new, (2, 2))
    assert find_predictions(workspace, None) == (new, CLASSES)
    assert find_predictions(workspace, "a")[0] == find_predictions(workspace, str(old))[0] == old
    for other in ("night", "absent"):
        with pytest.raises(PredictionError, match=f"predictions={other} is no Parquet file .*; there are: a, b$"):
            find_predictions(workspace, other)


def test_classes_are_translated_and_a_wrong_word_is_named() -> None:
    values = pa.chunked_array([["Ell", "S", None, "S"]])
    assert translate(values, {"Ell": "E"}, CLASSES) == ["E", "S", None, "S"]
    with pytest.raises(PredictionError, match="classes names 'X', the model's classes are E, S"):
        translate(values, {"Ell": "X"}, CLASSES)
    with pytest.raises(PredictionError, match="classes names 'Elliptical', the catalogue's classes are Ell, S"):
        translate(values, {"Elliptical": "E"}, CLASSES)


def test_a_class_of_the_sky_means_the_longest_that_it_begins_with() -> None:
    values = pa.chunked_array([["E0", "SBb", "Sd", "edge_on"]])
    assert prefixes(values, ["E", "S", "SB"]) == {"E0": "E", "SBb": "SB", "Sd": "S"}


def test_many_classes_of_a_catalogue_share_one_row() -> None:
    theirs = np.array([f"k{number}" for number in range(50)] + ["E"], object)
    counts = matrix(pa.table({"class": ["S"] * 51}), theirs, CLASSES)
    assert list(counts)[:2] == CLASSES
    assert counts["others"] == {"E": 0, "S": 10}
    assert sum(sum(row.values()) for row in counts.values()) == 51
