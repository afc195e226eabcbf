"""Housekeeping through Prefect, on a workspace that earlier code made: all that stays verifies, loads and scores."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from flows.cross_validate import cross_validate
from flows.housekeeping import housekeeping
from flows.verify import verify
from tasks.learning.models.saved_models import load_model
from tasks.learning.scoring import score
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.tracking.model_registry import resolve_model
from tests.archives import unpack
from tests.small_workspace import decide, write

FIXTURE = Path(__file__).parents[1] / "fixtures" / "made_at_4e71ab2" / "workspace.tar.gz"


@pytest.fixture
def made(flows_here: Workspace) -> Workspace:
    unpack(FIXTURE, flows_here.root.parent)
    return flows_here


def test_a_plan_removes_nothing_and_the_removal_leaves_what_is_named_whole(made: Workspace) -> None:
    write(made.root / "onnx" / "of-no-model.onnx", b"x" * 4998)
    write(made.root / "studies" / "given-up" / "row.json", b"{}")
    decide(made, {"challenger": "models:/realbogus/1", "night": "2026-01-01", "digests": "{}"})
    plan = housekeeping(keep_days=0, keep_versions=1, keep_nights=0)
    assert (plan["plan_only"], plan["removed_gb"]) == (True, 0)
    assert plan["items"] == {"cache": 1, "unfinished work": 1}
    assert (made.root / "onnx" / "of-no-model.onnx").exists()
    summary = housekeeping(keep_days=0, keep_versions=1, keep_nights=0, plan_only=False)
    assert summary["removed_gb"] == summary["removable_gb"] == 5e-6
    assert list((made.root / "onnx").iterdir()) == list((made.root / "studies").glob("given-up")) == []
    # Before version 2 of the format a manifest did not have the seed of the split: the first version tells it.
    for reference in ("sky@1", "sky@2", "sky@3", "transients@1"):
        assert verify(dataset=reference)["problems"] == []
    for name in ("galaxy-deck-3", "realbogus", "realbogus-first"):
        model, card = load_model(resolve_model(made, f"{name}@champion", None).folder)
        pixels = Dataset.open(made, card["dataset"]).pixels
        assert np.isfinite(score(model, pixels, np.arange(4), 4)).all()
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert "onnx/of-no-model.onnx" in page
    assert "made again when it is needed" in page


def test_a_clock_that_went_back_removes_nothing(made: Workspace) -> None:
    cache = made.root / "onnx" / "of-no-model.onnx"
    write(cache, b"x")
    os.utime(cache, (time.time() + 86_400, time.time() + 86_400))
    assert housekeeping(keep_days=0.5, plan_only=False)["items"] == {}


def test_a_budget_of_nothing_is_refused_by_name(flows_here: Workspace) -> None:
    with pytest.raises(ValidationError, match=r"budget_gb\n.*larger than 0; null removes all that may go"):
        housekeeping(budget_gb=0)


def test_a_scheduled_cross_validation_without_its_dataset_says_so(flows_here: Workspace) -> None:
    assert cross_validate(skip_absent=True) == {"skipped": "there is no dataset 'sky'"}
