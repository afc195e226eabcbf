"""A workspace with 60 labelled candidates, and a queue of them."""

import pytest

from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.labelling.session import LabelSession
from tasks.runtime.workspace import Workspace
from tests.small_candidates import publish_candidates

COUNT = 60


@pytest.fixture
def night(workspace: Workspace) -> Workspace:
    """Candidates c0000 on, of which even ones are real and every tenth has the wrong label."""
    labels = [("real", "bogus")[(row % 2) ^ (row % 10 == 0)] for row in range(COUNT)]
    cells = [f"cell {row // 2}" for row in range(COUNT)]
    columns = {
        "ra_deg": [150 + (row // 2) * 0.01 for row in range(COUNT)],
        "dec_deg": [20.0] * COUNT,
        "mag": [18 + row / 10 for row in range(COUNT)],
        "snr": [10.0 + row for row in range(COUNT)],
        "night": [f"2026-05-{20 + row % 2}" for row in range(COUNT)],
        "visit": [row % 2 for row in range(COUNT)],
        "detector": [f"chip {row % 3}" for row in range(COUNT)],
    }
    shown = [row % 2 == 0 for row in range(COUNT)]
    parts = [("train", "validation", "test")[min(row // 24, 2)] for row in range(COUNT)]
    publish_candidates(workspace, "night", labels, cells, parts, real=shown, columns=columns)
    return workspace


@pytest.fixture
def session(night: Workspace) -> LabelSession:
    """A queue of 20 rows with one gold item, half of them for two people."""
    queue, _ = open_queue(night, QueueRequest(dataset="night", count=20, overlap=0.5))
    return LabelSession(queue, AnswerLog.of(night, "night"))
