"""Small nights for tests: models whose logit is written into the stamp, rules, raw scores, datasets as sources."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.learning.models.inference import Outputs
from tasks.night.models import NightModel, ScoringRule
from tasks.night.scoring import RAW

SIDE = 21
CARD: dict[str, Any] = {
    "preprocessing_version": "v",
    "training_real_share": 0.3,
    "temperature": 2.0,
    "input_shape": [SIDE, SIDE, 3],
}


def make_model(name: str, factor: float = 1.0, **card: Any) -> NightModel:
    """A model whose logit is the middle pixel of the difference times a factor."""

    def run(stamps: np.ndarray) -> np.ndarray:
        middle = stamps[:, SIDE // 2, SIDE // 2, 2] * factor
        return np.stack([-middle / 2, middle / 2], axis=1).astype(np.float32)

    return NightModel(name, {**CARD, "sha256": name * 64, **card}, Outputs("test", run, True, None))


def make_stamps(logits: np.ndarray) -> np.ndarray:
    """Noise with the logits (n,) in the middle pixel of the difference: (n, y, x, 3)."""
    stamps = np.random.default_rng(0).normal(size=(len(logits), SIDE, SIDE, 3)).astype(np.float32)
    stamps[:, SIDE // 2, SIDE // 2, 2] = logits
    return stamps


def make_rule(
    threshold: float | None = 1.0, max_candidates: int | None = None, below: float | None = None
) -> ScoringRule:
    """A rule of model ``a``, with model ``b`` before it if a discard threshold is given."""
    first = None if below is None else make_model("b")
    discard_below = -np.inf if below is None else below
    return ScoringRule(make_model("a"), first, discard_below, threshold, max_candidates, "v1", 0.001)


def raw_scores(
    logits: Sequence[float | None],
    stages: Sequence[int],
    reasons: Sequence[str | None] | None = None,
    block: int = 0,
    first: int = 0,
) -> pa.Table:
    """Raw scores of candidates ``c0`` on, at increasing right ascension."""
    count = len(logits)
    columns = {
        "id": [f"c{number}" for number in range(first, first + count)],
        "logit": list(logits),
        "stage": list(stages),
        "stamp_sha256": ["d"] * count,
        "ra_deg": [float(number) for number in range(first, first + count)],
        "dec_deg": [0.0] * count,
        "not_scored": [None] * count if reasons is None else list(reasons),
        "block": [block] * count,
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in RAW], schema=RAW)
