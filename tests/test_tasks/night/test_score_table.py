"""From raw scores to the table of a night: the threshold, the decision, probabilities, the model behind each row."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.calibration import Calibration
from tasks.night.models import NightError
from tasks.night.score_table import SCORES, complete_scores, decide, threshold_of_best
from tasks.night.score_table import raw_scores as raw_of
from tasks.night.scoring import BY_FIRST, BY_FULL, NOT_SCORED
from tests.small_night import make_model, make_rule, raw_scores


def write(folder: Path, *tables: pa.Table) -> list[Path]:
    paths = [folder / f"part-{number:06d}.parquet" for number in range(len(tables))]
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(table, path)
    return paths


def best_of(logits: Sequence[float], max_candidates: int, stages: Sequence[int] | None = None, rows: int = 7) -> float:
    """The threshold of the best of some logits, in part files of a few rows."""
    stages = [BY_FULL] * len(logits) if stages is None else stages
    with tempfile.TemporaryDirectory() as folder:
        spans = [slice(first, first + rows) for first in range(0, len(logits), rows)]
        parts = write(Path(folder), *(raw_scores(logits[span], stages[span]) for span in spans))
        return threshold_of_best(parts, max_candidates)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 70))
def test_the_best_so_many_are_the_best_and_equal_ones_at_the_end_stay_out(values: list[int], most: int) -> None:
    threshold = best_of([float(value) for value in values], most)
    taken = [value for value in values if value >= threshold]
    left = [value for value in values if value < threshold]
    assert len(taken) <= most
    if left:
        assert len(taken) + left.count(max(left)) > most


@pytest.mark.parametrize(
    ("logits", "max_candidates", "selected"),
    [
        ([3.0, 1.0, 2.0], 1, [3.0]),
        ([3.0, 1.0, 2.0], 2, [3.0, 2.0]),
        ([3.0, 1.0, 2.0], 3, [3.0, 2.0, 1.0]),
        ([3.0, 1.0, 2.0], 4, [3.0, 2.0, 1.0]),
        ([3.0, 2.0, 2.0, 1.0], 2, [3.0]),
        ([2.0, 2.0, 2.0], 2, []),
        ([-1.0], 1, [-1.0]),
    ],
)
def test_the_threshold_selects_exactly_the_best(
    logits: list[float], max_candidates: int, selected: list[float]
) -> None:
    for rows in (1, 2, 10):
        threshold = best_of(logits, max_candidates, rows=rows)
        assert sorted((value for value in logits if value >= threshold), reverse=True) == selected


def test_only_logits_of_the_full_model_compete_for_the_best() -> None:
    stages = [BY_FIRST, BY_FULL, BY_FULL, BY_FIRST]
    assert best_of([9.0, 1.0, 2.0, 8.0], 2, stages) == 1.0
    assert best_of([9.0, 8.0], 1, [BY_FIRST, BY_FIRST]) == np.inf


def test_each_row_of_the_table_follows_from_its_stage(tmp_path: Path) -> None:
    """First: discarded; then the full model below, at and above its threshold; then one without a score."""
    raw = raw_scores(
        [-3.0, 0.5, 1.0, 2.0, None],
        [BY_FIRST, BY_FULL, BY_FULL, BY_FULL, NOT_SCORED],
        [None, None, None, None, "nan_plane"],
    )
    rule = replace(
        make_rule(1.0, below=-1.0), first=make_model("b", training_real_share=0.5, temperature=None), night_prior=0.01
    )
    table = complete_scores(raw, rule, 1.0)
    assert table.schema.equals(SCORES)
    columns: dict[str, list[Any]] = table.to_pydict()
    assert columns["id"] == ["c0", "c1", "c2", "c3", "c4"]
    assert columns["logit"] == [-3.0, 0.5, 1.0, 2.0, None]
    assert columns["decision"] == ["bogus", "bogus", "real", "real", None]
    assert columns["stage"] == ["first", "full", "full", "full", None]
    assert columns["model"] == ["b", "a", "a", "a", None]
    assert columns["model_sha256"] == ["b" * 64, "a" * 64, "a" * 64, "a" * 64, None]
    assert columns["preprocessing_version"] == ["v", "v", "v", "v", None]
    assert columns["threshold"] == [-1.0, 1.0, 1.0, 1.0, None]
    version = rule.threshold_version(1.0)
    assert columns["threshold_version"] == [f"{version} (first)", version, version, version, None]
    assert columns["not_scored"] == [None, None, None, None, "nan_plane"]
    assert columns["ra_deg"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert columns["dec_deg"] == [0.0] * 5
    assert columns["stamp_sha256"] == ["d"] * 5
    assert columns["score"][:4] == pytest.approx([1 / (1 + np.exp(-value)) for value in (-3.0, 0.5, 1.0, 2.0)])
    assert columns["score"][4] is columns["probability"][4] is columns["probability_night"][4] is None
    for name, prior in (("probability", None), ("probability_night", 0.01)):
        by_first = Calibration(1.0, 0.0, 0.5).probability(np.array([-3.0]), prior)
        by_full = Calibration(2.0, 0.0, 0.3).probability(np.array([0.5, 1.0, 2.0]), prior)
        assert columns[name][:4] == pytest.approx([*by_first, *by_full])
    assert columns["probability"][0] == pytest.approx(1 / (1 + np.exp(3.0))), "at the training mix the logit calibrates"
    odds = 0.01 / 0.99 * (0.5 / 0.5) * np.exp(-3.0)
    assert columns["probability_night"][0] == pytest.approx(odds / (1 + odds))


def test_without_a_first_model_every_score_is_the_full_one_s() -> None:
    table = complete_scores(raw_scores([0.0, 2.0], [BY_FULL, BY_FULL]), make_rule(), 1.0)
    assert table["model"].to_pylist() == ["a", "a"]
    assert table["stage"].to_pylist() == ["full", "full"]


def test_counts_and_the_best_are_gathered_over_all_parts(tmp_path: Path) -> None:
    parts = write(
        tmp_path,
        raw_scores(
            [3.0, None, -2.0, 1.0], [BY_FULL, NOT_SCORED, BY_FIRST, BY_FULL], [None, "nan_plane", None, None], block=0
        ),
        raw_scores([5.0, None, None], [BY_FULL, NOT_SCORED, NOT_SCORED], [None, "edge", "edge"], block=1, first=4),
        raw_scores([3.0, 0.0], [BY_FULL, BY_FULL], block=2, first=7),
    )
    scored = decide(parts, make_rule(1.0, below=-1.0), tmp_path / "scores.parquet", 3)
    assert scored.path == tmp_path / "scores.parquet"
    assert (scored.count, scored.scored, scored.selected, scored.discarded) == (9, 6, 4, 1)
    assert scored.not_scored == {"edge": 2, "nan_plane": 1}
    assert list(scored.not_scored) == ["edge", "nan_plane"], "most frequent first"
    assert scored.threshold == 1.0
    assert scored.best["id"].to_pylist() == ["c4", "c0", "c7"], "best first, equal ones by id"
    assert scored.best["block"].to_pylist() == [1, 0, 2]
    assert scored.best.drop_columns(["block"]).schema.equals(SCORES)
    written = pq.read_table(scored.path)
    assert written.schema.equals(SCORES)
    assert written["id"].to_pylist() == [f"c{number}" for number in range(9)]
    assert written["decision"].to_pylist().count("real") == 4


def test_a_number_of_candidates_sets_the_threshold_in_place_of_a_given_one(tmp_path: Path) -> None:
    parts = write(tmp_path, raw_scores([3.0, 2.0, 1.0], [BY_FULL] * 3))
    scored = decide(parts, make_rule(None, 2), tmp_path / "scores.parquet", 5)
    assert scored.selected == 2
    assert 1.0 < scored.threshold <= 2.0
    assert pq.read_table(scored.path)["threshold"].to_pylist() == [scored.threshold] * 3
    assert decide(parts, make_rule(2.5, 2), tmp_path / "scores.parquet", 5).selected == 2


def test_nothing_is_selected_where_the_full_model_scored_nothing(tmp_path: Path) -> None:
    parts = write(tmp_path, raw_scores([None, -3.0], [NOT_SCORED, BY_FIRST], ["edge", None]))
    scored = decide(parts, make_rule(None, 5, below=-1.0), tmp_path / "scores.parquet", 5)
    assert (scored.count, scored.scored, scored.selected, scored.threshold) == (2, 1, 0, np.inf)
    assert scored.best.num_rows == 0


def test_a_rule_without_a_threshold_or_a_number_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NightError, match="needs a threshold or a number of candidates"):
        decide([], make_rule(None), tmp_path / "scores.parquet", 5)
    assert not (tmp_path / "scores.parquet").exists()


@given(
    st.lists(st.tuples(st.sampled_from([NOT_SCORED, BY_FIRST, BY_FULL]), st.floats(-9, 9)), max_size=30),
    st.floats(-9, 9),
    st.floats(-9, 9),
)
def test_new_decisions_of_decided_scores_are_those_of_the_raw_ones(
    drawn: list[tuple[int, float]], threshold: float, other: float
) -> None:
    stages = [stage for stage, _ in drawn]
    logits = [None if stage == NOT_SCORED else logit for stage, logit in drawn]
    reasons = ["edge" if stage == NOT_SCORED else None for stage in stages]
    raw, rule = raw_scores(logits, stages, reasons, block=3), make_rule(below=-1.0)
    again = raw_of(complete_scores(raw, rule, threshold), np.full(len(drawn), 3, np.int32))
    assert again.equals(raw)
    assert complete_scores(again, rule, other).equals(complete_scores(raw, rule, other))


def test_versions_of_a_threshold_differ_with_all_that_makes_a_decision_and_with_nothing_else() -> None:
    rule = make_rule(below=-1.0)
    others = [
        replace(rule, discard_below=-1.5),
        replace(rule, night_prior=0.01),
        replace(rule, full=make_model("a", temperature=3.0)),
        replace(rule, full=make_model("a", training_real_share=0.4)),
        replace(rule, first=make_model("b", temperature=3.0)),
        replace(rule, full=make_model("c")),
        replace(rule, first=make_model("c")),
        replace(rule, first=None),
    ]
    versions = [rule.threshold_version(1.0), rule.threshold_version(1.0 + 1e-12)]
    versions += [other.threshold_version(1.0) for other in others]
    assert len(set(versions)) == len(others) + 2
    assert all(version.startswith("v1 ") for version in versions)
    assert replace(rule, max_candidates=7).threshold_version(1.0) == versions[0]
    alone = make_rule()
    assert replace(alone, discard_below=-7.0).threshold_version(1.0) == alone.threshold_version(1.0)
