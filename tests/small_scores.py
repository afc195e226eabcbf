"""Hand-made rows and scores of candidates, for tests of metrics, figures and reports that need no dataset."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.candidates.building.staged_rows import LEDGER_COLUMNS
from tasks.candidates.metrics import CandidateScores
from tasks.candidates.rows import EvaluationRows
from tasks.learning.split_parts import SplitPart
from tasks.training.evaluation_record import EvaluationContext

CARD: dict[str, Any] = {"temperature": 2.0, "training_real_share": 0.25, "operating_points": {}}


def made_rows(
    real: Sequence[bool],
    *,
    injected: Sequence[bool] | None = None,
    origins: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> EvaluationRows:
    """Rows ``c000`` on, each its own group, not injected and of the headline unless told otherwise.

    `columns` of the ledger go to the rows in their order; all others are null.
    """
    count = len(real)
    ids = [f"c{row:03d}" for row in range(count)]
    values = {"id": ids, "kind": ["detection"] * count, **(columns or {})}
    samples = pa.table(
        {field.name: pa.array(values.get(field.name, [None] * count), field.type) for field in LEDGER_COLUMNS}
    )
    return EvaluationRows(
        SplitPart(ids, np.arange(count), np.array(real, np.int32), list(groups or ids)),
        samples,
        np.array(origins or [""] * count, str),
        np.ones(count, bool),
        np.array(injected if injected is not None else [False] * count, bool),
        {},
    )


def made_scores(rows: EvaluationRows, logits: Sequence[float], **more: Any) -> CandidateScores:
    """Scores with an untrained baseline ``S/N alone`` that is constant unless `more` says otherwise."""
    fields: dict[str, Any] = {
        "card": CARD,
        "baselines": {"S/N alone": np.zeros(len(logits))},
        "untrained": ["S/N alone"],
    }
    return CandidateScores(rows, np.array(logits, float), **fields | more)


def made_context(**more: Any) -> EvaluationContext:
    facts = {"dataset": "made@1", "pixels": "simulated", "labels": "truth"}
    return EvaluationContext("a title", 1, "simulated pixels, truth labels", facts, 5, **more)
