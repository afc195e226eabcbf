"""The first model of a night: what it may discard by the reals of its validation part, and when it is not used."""

from typing import Any

import numpy as np
import pytest

from tasks.learning.cascade import CascadeError, Discard
from tasks.learning.operating_points import upper_limit
from tasks.night.first_model import (
    MAX_LOST_LIMIT,
    FirstModel,
    admit_first,
    choose_first,
    discard_path,
    excessive_loss,
    fit_first_discard,
)
from tasks.night.models import NightModel
from tasks.night.request import NightRequest
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError
from tests.small_candidates import SIDE, publish_candidates
from tests.small_night import make_model

DATASET = {"dataset": "made", "dataset_version": 1, "scheme": "real-bogus"}


def publish(workspace: Workspace, reals: int) -> Dataset:
    """A survey whose validation part holds reals and as many bogus; its train part holds ten reals."""
    labels = ["real"] * reals + ["bogus"] * reals + ["real"] * 10
    parts = ["validation"] * 2 * reals + ["train"] * 10
    return publish_candidates(workspace, "made", labels, [f"cell {part}" for part in parts], parts)


def pair(**card: Any) -> tuple[NightModel, NightModel]:
    """A first model that answers half of what the full one does."""
    return make_model("b", 0.5, **DATASET, **card), make_model("a", operating_points={"tpr99": {"threshold": 90.0}})


def validation_logits(dataset: Dataset, count: int) -> np.ndarray:
    """Middle pixel of the difference of the first `count` samples: the full model's logits."""
    pixels = np.asarray(dataset.pixels[:count])
    return np.asarray(pixels[:, SIDE // 2, SIDE // 2, 2], np.float64)


def test_the_threshold_is_the_margin_below_the_lowest_real_that_the_full_model_keeps(workspace: Workspace) -> None:
    count = 100
    dataset = publish(workspace, count)
    first, full = pair()
    logits = validation_logits(dataset, count)
    for threshold in (-1e9, float(np.median(logits))):
        discard = fit_first_discard(workspace, first, full, threshold)
        kept = logits[logits >= threshold]
        assert discard.threshold == pytest.approx(0.5 * kept.min() - 2.0, rel=1e-5)
        assert (discard.full_threshold, discard.lost, discard.kept_by_full) == (threshold, 0, len(kept))
        assert discard.lost_limit == pytest.approx(upper_limit(0, len(kept)))


def test_a_fitted_threshold_is_read_again_for_the_same_models_and_threshold_alone(workspace: Workspace) -> None:
    publish(workspace, 100)
    first, full = pair()
    discard = fit_first_discard(workspace, first, full, -5.0)
    path = discard_path(workspace, first, full, -5.0)
    assert path.parent == workspace.root / "cascade"
    path.write_text(path.read_text().replace('"lost": 0', '"lost": 7'))
    assert fit_first_discard(workspace, first, full, -5.0).lost == 7
    assert fit_first_discard(workspace, first, full, -5.000002).lost == discard.lost == 0
    others = {
        discard_path(workspace, make_model("c"), full, -5.0),
        discard_path(workspace, first, make_model("c"), -5.0),
        discard_path(workspace, first, full, 5.0),
    }
    assert len(others | {path}) == 4


def test_a_validation_part_without_reals_or_a_missing_dataset_is_an_error(workspace: Workspace) -> None:
    first, full = pair()
    with pytest.raises(StoreError, match="made"):
        fit_first_discard(workspace, first, full, 0.0)
    publish_candidates(workspace, "made", ["bogus"] * 4, ["cell"] * 4, ["validation"] * 4)
    with pytest.raises(CascadeError, match="the validation part of made@1 holds no real"):
        fit_first_discard(workspace, first, full, 0.0)


def discard_of(lost_limit: float) -> Discard:
    return Discard(-1.0, 0.5, 1, 120, lost_limit)


def test_a_loss_at_the_limit_is_accepted_one_above_it_is_described() -> None:
    assert excessive_loss("b", discard_of(MAX_LOST_LIMIT)) is None
    assert excessive_loss("b", discard_of(0.0)) is None
    assert excessive_loss("b", discard_of(0.025)) == (
        "b may lose up to 2.5% of the reals, estimated from 120 reals of the validation part; 2.0% is allowed"
    )


def test_a_first_model_that_suits_is_used_with_its_discard(workspace: Workspace) -> None:
    publish(workspace, 170)
    first, full = pair()
    admitted = admit_first(workspace, first, full, -1e9)
    assert admitted.model is first
    assert admitted.reason is None
    assert admitted.discard == fit_first_discard(workspace, first, full, -1e9)
    assert admitted.discard is not None
    assert admitted.discard.kept_by_full == 170


def test_without_a_threshold_the_full_model_s_point_at_tpr_99_stands_in(workspace: Workspace) -> None:
    publish(workspace, 170)
    first, full = pair()
    assert admit_first(workspace, first, full, None).model is None, "few reals are above 90"
    loose = make_model("a", operating_points={"tpr99": {"threshold": -1e6}})
    discard = admit_first(workspace, first, loose, None).discard
    assert discard is not None
    assert (discard.full_threshold, discard.kept_by_full) == (-1e6, 170)


def test_a_first_model_that_does_not_suit_is_not_used_and_the_reason_is_given(workspace: Workspace) -> None:
    first, full = pair(input_shape=[15, 15, 3])
    sizes = admit_first(workspace, first, full, 0.0)
    assert sizes == FirstModel(None, None, "b takes stamps of 15 px, a 21 px")
    first, full = pair()
    missing = admit_first(workspace, first, full, 0.0)
    assert (missing.model, missing.discard) == (None, None)
    assert missing.reason is not None
    assert missing.reason.startswith("the discard threshold of b cannot be fitted: no dataset")
    publish(workspace, 50)
    few = admit_first(workspace, first, full, -1e9)
    assert few.model is None
    assert few.reason == (
        "b may lose up to 5.8% of the reals, estimated from 50 reals of the validation part; 2.0% is allowed"
    )


def test_no_first_model_is_used_where_none_is_requested_or_registered(tracked_workspace: Workspace) -> None:
    _, full = pair()
    unwanted = choose_first(tracked_workspace, NightRequest(path="x", first=None), full, 0.0)
    assert unwanted == FirstModel(None, None, "no first model was requested")
    absent = choose_first(tracked_workspace, NightRequest(path="x", first="models:/nobody/1"), full, 0.0)
    assert absent.model is None
    assert absent.reason == "no first model is registered (train-realbogus network=first)"
