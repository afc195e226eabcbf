"""A simulated night with hidden truth: reals counted by probability are as many as the probabilities promise."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.learning.calibration import Calibration
from tasks.night.counted_reals import count_reals
from tasks.night.known_truth import KnownTruth
from tasks.night.models import ScoringRule
from tasks.night.score_table import decide
from tasks.night.scoring import BY_FULL
from tests.small_night import make_model, raw_scores

PRIOR = 0.004
NIGHT = 60_000
WEIGHTED = math.log(9.0)


def network_logits(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a network that is too sure by half and whose loss weighed the reals ninefold, and who is real."""
    rng = np.random.default_rng(seed)
    real = rng.random(count) < share
    ratio = 4 * rng.normal(np.where(real, 2.0, -2.0), 1.0)  # log likelihood ratio of Gaussians 4 apart
    return 1.5 * (ratio + math.log(0.1 / 0.9) + WEIGHTED), real


def scored_night(folder: Path, calibration: Calibration, prior: float, seed: int = 7) -> tuple[Path, KnownTruth]:
    """Score a night of which `PRIOR` are real through the code that writes the table."""
    logits, real = network_logits(NIGHT, PRIOR, seed)
    part = folder / "part-000000.parquet"
    pq.write_table(raw_scores(logits.tolist(), [BY_FULL] * NIGHT), part)
    rule = ScoringRule(make_model("a", **calibration.to_card()), None, -np.inf, 0.0, None, "v", prior)
    decide([part], rule, folder / "night.parquet", 0)
    none = np.zeros(NIGHT, bool)
    return folder / "night.parquet", KnownTruth(real, none, ~real, np.array(["cell"] * NIGHT), "the test")


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """Fitted as a training does: on a validation part of 10 % reals."""
    return Calibration.fit(*network_logits(20_000, 0.1, 5), 0.1)


def test_as_many_are_real_as_the_probabilities_at_the_night_s_prior_promise(
    tmp_path: Path, calibration: Calibration
) -> None:
    """Of ten bins each disagrees with a chance of at most 5 %; three or more do with less than 1 %."""
    counts = count_reals(*scored_night(tmp_path, calibration, PRIOR), PRIOR)
    assert counts is not None
    assert len(counts["bins"]) - counts["agree"] <= 2
    assert counts["counted"] == sum(one["counted"] for one in counts["bins"]) > 150
    assert counts["expected"] == pytest.approx(counts["counted"], abs=3 * math.sqrt(counts["counted"]))
    assert counts["share"] == counts["counted"] / NIGHT


def test_a_wrong_prior_or_a_calibration_without_offset_is_seen(tmp_path: Path, calibration: Calibration) -> None:
    wrong = count_reals(*scored_night(tmp_path, calibration, 10 * PRIOR), 10 * PRIOR)
    assert wrong is not None
    assert len(wrong["bins"]) - wrong["agree"] > 2
    without = Calibration(calibration.temperature, 0.0, calibration.share)
    off = count_reals(*scored_night(tmp_path, without, PRIOR), PRIOR)
    assert off is not None
    assert len(off["bins"]) - off["agree"] > 2
    assert off["expected"] > 1.2 * off["counted"]


def test_only_scored_candidates_of_known_truth_that_are_no_injections_count(tmp_path: Path) -> None:
    probability = [0.5, 0.5, 0.5, None, 0.5]
    pq.write_table(pa.table({"probability_night": probability}), tmp_path / "n.parquet")
    flags = [np.array(flags, bool) for flags in ([1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0])]
    truth = KnownTruth(*flags, np.array(list("abcde")), "the test")
    counts = count_reals(tmp_path / "n.parquet", truth, 0.01)
    assert counts is not None
    assert (counts["counted"], counts["expected"], counts["share"], counts["prior"]) == (1, 1.0, 0.5, 0.01)
    seen = count_reals(tmp_path / "n.parquet", truth, 0.01, np.array([1, 0, 0, 0, 0], bool))
    assert seen is not None
    assert (seen["counted"], seen["expected"]) == (0, 0.5)
    assert count_reals(tmp_path / "n.parquet", None, 0.01) is None
    assert count_reals(tmp_path / "n.parquet", truth, 0.01, np.ones(5, bool)) is None
