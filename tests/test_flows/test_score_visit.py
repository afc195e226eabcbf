"""The flow that scores the visits of the inbox."""

from pathlib import Path

import pytest

from flows.score_visit import score_visit
from tasks.runtime.workspace import Workspace
from tests.small_visits import NIGHT, register_random_model, write_records


def test_the_flow_scores_the_default_inbox_and_shows_its_counts(flows_here: Workspace, tmp_path: Path) -> None:
    assert score_visit()["visits"] == 0
    register_random_model(flows_here, tmp_path / "model", "realbogus")
    write_records(flows_here.root / "inbox" / NIGHT / "a", ["1", "2"], [(10.0, 5.0), (10.0, 5.1)])
    summary = score_visit(night=NIGHT)
    assert (summary["visits"], summary["scored"], summary["candidates"], summary["waiting"]) == (1, 1, 2, 0)
    assert summary["path"] == str(flows_here.scores / f"candidates-{NIGHT}.parquet")
    with pytest.raises(ValueError, match="does not exist"):
        score_visit(path=str(tmp_path / "absent"))
