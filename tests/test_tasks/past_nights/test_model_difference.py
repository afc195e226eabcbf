"""What two models decide differently: counts that balance, rows, rates by a known truth, and the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.night.known_truth import known_truth
from tasks.night.models import REGISTERED, NightError, open_model
from tasks.night.pipeline import score_night
from tasks.night.request import NightRequest
from tasks.night.simulated import NightToMake, make_night
from tasks.night.sources import open_night
from tasks.past_nights.difference_page import rate_text
from tasks.past_nights.difference_summary import diff_models
from tasks.past_nights.model_difference import DifferenceRequest
from tasks.reports.agreement_figure import Judgements, agreement_figure
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import sha256_of_file
from tests.small_candidates import draw_stamps
from tests.small_networks import COUNT, TRAINED_ON


@pytest.fixture(scope="module")
def compared(scored: Workspace) -> dict[str, Any]:
    """Summary of champion and challenger on night ``both``."""
    before = sha256_of_file(scored.scores / "both.parquet")
    summary = diff_models(scored, DifferenceRequest(night="both"))
    assert sha256_of_file(scored.scores / "both.parquet") == before
    assert not [path for path in (scored.root / "scoring").rglob("*") if path.is_file() and path.suffix != ".lock"]
    return summary


def logits(workspace: Workspace, version: int) -> tuple[np.ndarray, float]:
    """Logits of the survey and the threshold of a version of ``realbogus``."""
    model = open_model(workspace, f"models:/realbogus/{version}", REGISTERED, "auto")
    stamps = np.asarray(Dataset.open(workspace, "survey").pixels[:COUNT])
    return model.logits(stamps), model.card["operating_points"]["tpr90"]["threshold"]


def test_each_model_decides_alone_at_its_own_threshold(scored: Workspace, compared: dict[str, Any]) -> None:
    (first, low), (second, other) = logits(scored, 1), logits(scored, 2)
    one, two = first >= low, second >= other
    assert (compared["model"], compared["against"]) == ("realbogus/1", "realbogus/2")
    assert (compared["threshold_model"], compared["threshold_against"]) == (low, other)
    assert compared["both"] == (one & two).sum()
    assert compared["only_model"] == (one & ~two).sum() > 0
    assert compared["only_against"] == (two & ~one).sum() > 0
    assert compared["neither"] == (~one & ~two).sum()
    assert (compared["count"], compared["not_compared"], compared["source_changed"]) == (COUNT, {}, False)
    rows = pq.read_table(compared["path"])
    assert sorted(rows["id"].to_pylist()) == [f"c{row:04d}" for row in np.flatnonzero(one != two)]
    assert rows.num_rows == compared["differing"] == compared["only_model"] + compared["only_against"]


def test_the_rows_say_what_each_model_gave_the_largest_disagreement_first(
    scored: Workspace, compared: dict[str, Any]
) -> None:
    (first, low), (second, other) = logits(scored, 1), logits(scored, 2)
    rows = pq.read_table(compared["path"]).to_pylist()
    for row in rows:
        at = int(row["id"].removeprefix("c"))
        assert (row["logit_model"], row["logit_against"]) == pytest.approx((first[at], second[at]), abs=1e-5)
        assert row["only"] == ("model" if row["decision_model"] == "real" else "against")
        assert row["decision_model"] != row["decision_against"]
        assert row["disagreement"] == pytest.approx(abs(first[at] - low - second[at] + other), abs=1e-5)
        assert (row["threshold_model"], row["threshold_against"]) == (low, other)
        assert (row["model_model"], row["model_against"]) == ("realbogus/1", "realbogus/2")
        assert row["threshold_version_against"] == compared["threshold_version_against"]
        assert row["truth"] == ("injection" if at % 8 == 0 else "transient" if at % 2 == 0 else "bogus")
        assert row["in_training"] == (at < TRAINED_ON)
    disagreement = [row["disagreement"] for row in rows]
    assert disagreement == sorted(disagreement, reverse=True)


def test_rates_are_of_the_candidates_that_no_model_was_trained_on(scored: Workspace, compared: dict[str, Any]) -> None:
    assert compared["overlap_with_training"] == TRAINED_ON
    row, truth = np.arange(COUNT), compared["truth"]
    assert truth["origin"] == "the simulation's truth"
    kinds = {"recall": (row % 2 == 0) & (row % 8 != 0), "injected_recall": row % 8 == 0, "fpr": row % 2 == 1}
    shares = []
    for side, version in (("model", 1), ("against", 2)):
        logit, threshold = logits(scored, version)
        for name, kind in kinds.items():
            counted = kind & (row >= TRAINED_ON)
            selected = int((logit[counted] >= threshold).sum())
            rate = truth[name][side]
            assert (rate["selected"], rate["of"]) == (selected, counted.sum())
            assert rate["rate"] == pytest.approx(selected / counted.sum())
            assert rate["rate_low"] <= rate["rate"] <= rate["rate_high"]
            shares.append(rate["rate"])
    for name, first, second in zip(kinds, shares[:3], shares[3:], strict=True):
        assert truth[name]["difference"] == pytest.approx(second - first)


def test_the_page_shows_counts_rates_and_stamps(compared: dict[str, Any]) -> None:
    text = Path(compared["report"]).read_text(encoding="utf-8")
    assert text.count("<figure>") == 3
    for words in ("true transients", "injections", "false-positive rate", "Selected by realbogus/2 alone", "simulated"):
        assert words in text
    assert f"{TRAINED_ON} candidates that a model was trained on are left out" in text


def test_a_drawn_night_has_the_truth_it_was_drawn_with(own: Workspace) -> None:
    made = make_night(own, NightToMake(dataset="survey", count=300, real_share=0.3))
    score_night(own, NightRequest(path=made["path"], first=None, night="drawn"))
    summary = diff_models(own, DifferenceRequest())
    assert summary["night"] == "drawn", "the night that was scored last"
    rates, seen = summary["truth"], summary["overlap_with_training"]
    assert rates["injected_recall"] is None
    assert rates["recall"]["model"]["of"] + rates["fpr"]["model"]["of"] == 300 - seen
    truth = known_truth(open_night(own, made["path"], 21))
    assert truth is not None
    assert truth.transient.sum() == made["reals"] == 300 - truth.bogus.sum()


def test_candidates_without_a_score_are_counted_and_an_array_has_no_truth(own: Workspace, tmp_path: Path) -> None:
    stamps = draw_stamps([True, False] * 20)
    stamps[3, :, :, 1] = np.nan
    stamps[4] = 7.0
    np.save(tmp_path / "stack.npy", stamps)
    score_night(own, NightRequest(path=str(tmp_path / "stack.npy"), first=None))
    stamps[5] += 1
    np.save(tmp_path / "stack.npy", stamps)
    summary = diff_models(own, DifferenceRequest(night="stack"))
    assert summary["not_compared"] == {"nan_plane": 1, "constant_plane": 1}
    assert sum(summary[name] for name in ("both", "only_model", "only_against", "neither")) == 38
    assert (summary["truth"], summary["source_changed"]) == (None, True)


BAD: list[tuple[Callable[[Workspace], object], dict[str, Any], str]] = [
    (lambda own: None, {"night": "nowhere"}, "there are: alone, both"),
    (lambda own: None, {"night": "both", "against": "models:/realbogus/1"}, "are the same file"),
    (lambda own: None, {"night": "both", "tpr": 0.5}, "no operating point"),
    (lambda own: (own.scores / "alone.json").unlink(), {"night": "alone"}, "no record alone.json"),
    (lambda own: (own.datasets / "survey").rename(own.datasets / "gone"), {"night": "both"}, "does not exist"),
]


@pytest.mark.parametrize(("spoil", "asked", "message"), BAD, ids=[message for *_, message in BAD])
def test_what_cannot_be_compared_is_named(
    own: Workspace, spoil: Callable[[Workspace], object], asked: dict[str, Any], message: str
) -> None:
    spoil(own)
    with pytest.raises(NightError, match=message):
        diff_models(own, DifferenceRequest(**asked))


def test_a_rate_of_few_events_is_a_limit() -> None:
    rate = {"of": 100, "rate": 0.2, "rate_low": 0.1, "rate_high": None, "limit": 0.0512}
    assert rate_text({**rate, "selected": 9}) == "below 5.12% (9 of 100)"
    assert rate_text({**rate, "selected": 20}).startswith("20.00% (no interval")


@settings(max_examples=8)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), max_size=8), st.floats(-20, 20))
def test_the_figure_is_drawn_of_any_scores(points: list[tuple[float, float]], threshold: float) -> None:
    x, y = np.array(points, float).reshape(-1, 2).T
    assert agreement_figure(Judgements("a", x, threshold), Judgements("b", y, 0.0)).png.startswith(b"\x89PNG")
