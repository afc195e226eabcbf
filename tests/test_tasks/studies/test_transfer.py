"""A transfer to another survey: labels of what is judged are never read, and leads are those over the best score."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tasks.candidates.rows import EvaluationRows
from tasks.learning.measures import auc
from tasks.learning.split_parts import SplitPart
from tasks.learning.stacked_scores import fit_stack
from tasks.studies.transfer import ALL_NIGHTS, Draw, ScoredRows, TransferRequest, compare_scores, draw_stacks
from tasks.training.evaluation_record import EvaluationError

COUNT = 200
NIGHTS = np.array(["1", "2"]).repeat(COUNT // 2)


def survey(seed=0):
    """Two nights of pairs, the second's first objects seen in the first too; the logit tells little, the stamp much."""
    rng = np.random.default_rng(seed)
    real = rng.random(COUNT) < 0.6
    groups = [f"o{row // 2}" for row in range(COUNT)]
    groups[100:104] = ["o0", "o0", "o1", "o1"]
    ids = [f"c{row}" for row in range(COUNT)]
    part = SplitPart(ids, np.arange(COUNT), real.astype(np.int32), groups)
    nothing, everything = np.zeros(COUNT, bool), np.ones(COUNT, bool)
    rows = EvaluationRows(part, pa.table({"night": NIGHTS}), np.full(COUNT, ""), everything, nothing, {})
    return ScoredRows(rows, rng.normal(0.5 * real, 1), {"depth": rng.normal(2 * real, 1)})


def request(**changes):
    return TransferRequest(**{"model": "m", "dataset": "far", "labels": [0, 20], "draws": 5} | changes)


def with_labels(target, labels):
    return replace(target, rows=replace(target.rows, part=replace(target.rows.part, labels=labels)))


STACK = fit_stack(survey(1).columns, survey(1).rows.real)


def test_labels_that_are_judged_change_no_score():
    target, everywhere = survey(), np.arange(COUNT)
    for draw in draw_stacks(STACK, target, everywhere, 20, request(draws=1)):
        assert 150 < len(draw.judged) < 181
        kept_groups = {target.rows.part.groups[row] for row in draw.judged}
        left_out = np.setdiff1d(everywhere, draw.judged)
        assert not kept_groups & {target.rows.part.groups[row] for row in left_out}
        labels = target.rows.part.labels.copy()
        labels[draw.judged] = 1 - labels[draw.judged]
        (again,) = draw_stacks(STACK, with_labels(target, labels), everywhere, 20, request(draws=1))
        np.testing.assert_array_equal(again.scores, draw.scores)
        labels[left_out] = 1 - labels[left_out]
        (other,) = draw_stacks(STACK, with_labels(target, labels), everywhere, 20, request(draws=1))
        assert not np.array_equal(other.scores, draw.scores)


def test_for_one_night_labels_come_from_other_nights_and_other_objects():
    target, night = survey(), np.flatnonzero(NIGHTS == "2")
    draws = draw_stacks(STACK, target, night, 20, request())
    assert len(draws) == 5
    labels = target.rows.part.labels.copy()
    labels[[*night, *range(4)]] ^= 1
    again = draw_stacks(STACK, with_labels(target, labels), night, 20, request())
    for one, other in zip(draws, again, strict=True):
        np.testing.assert_array_equal(one.judged, night)
        np.testing.assert_array_equal(one.scores, other.scores)
    with pytest.raises(EvaluationError, match="labels=97: only 96 candidates"):
        draw_stacks(STACK, target, night, 97, request())


def test_without_labels_there_is_one_draw_of_the_stack_as_it_is():
    target = survey()
    (draw,) = draw_stacks(STACK, target, np.arange(COUNT), 0, request())
    np.testing.assert_array_equal(draw.scores, STACK.log_odds(target.columns))
    assert len(draw.judged) == COUNT


def test_a_lead_is_over_the_best_untrained_score_of_the_scope():
    target = survey()
    real, everywhere = target.rows.real, np.arange(COUNT)
    untrained = {"good": target.stamp["depth"], "chance": np.random.default_rng(3).normal(size=COUNT)}
    perfect, same = Draw(real.astype(float), everywhere), Draw(target.stamp["depth"], everywhere)
    results = compare_scores(
        ALL_NIGHTS, {("perfect", 0): [perfect], ("same", 0): [same]}, untrained, target.rows, everywhere
    )
    first, second = results
    best = auc(untrained["good"], real)
    assert first["best_untrained"] == second["best_untrained"] == "good"
    assert (first["auc"], first["auc_low"], first["auc_high"]) == (1, 1, 1)
    assert first["lead"] == pytest.approx(1 - best)
    assert 0 < first["lead_low"] < first["lead"] < first["lead_high"]
    assert (second["lead"], second["lead_low"], second["lead_high"]) == (0, 0, 0)
    assert second["auc"] == pytest.approx(best)
    assert second["auc_low"] < best < second["auc_high"]


def test_draws_are_summarised_by_their_median_and_deciles():
    target, everywhere = survey(), np.arange(COUNT)
    real, rng = target.rows.real, np.random.default_rng(0)
    draws = [Draw(rng.normal(scale * real, 1), everywhere) for scale in (0.2, 1.0, 3.0)]
    (result,) = compare_scores("s", {("x", 10): draws}, {"depth": target.stamp["depth"]}, target.rows, everywhere)
    areas = [auc(draw.scores, real) for draw in draws]
    assert result["auc"] == pytest.approx(areas[1])
    assert result["auc_10"] == pytest.approx(np.quantile(areas, 0.1))
    assert result["auc_low"] < min(areas) + 0.05
    assert result["auc_high"] > max(areas) - 0.05
    assert (result["scope"], result["score"], result["labels"], result["draws"]) == ("s", "x", 10, 3)


@pytest.mark.parametrize("labels", [[], [0, 0], [-1]])
def test_numbers_of_labels_are_different_and_not_negative(labels):
    with pytest.raises(ValidationError, match="labels"):
        request(labels=labels)
