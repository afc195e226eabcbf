"""The flows on the models behind scores, one after the other on one workspace, and by the command."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.diff_models import diff_models
from flows.rescore import rescore
from flows.rethreshold import rethreshold
from flows.score_night import score_night
from flows.stale import stale
from tasks.night.models import NightError
from tasks.runtime.workspace import Workspace
from tasks.tracking.model_registry import promote
from tests.small_networks import TRAINED_ON, publish_survey, register_network


def test_a_promotion_makes_nights_stale_until_they_are_scored_again(flows_here: Workspace, tmp_path: Path) -> None:
    publish_survey(flows_here, "survey")
    for number in (1, 2):
        register_network(flows_here, "realbogus", "survey", tmp_path / str(number), seed=number, members=TRAINED_ON)
    assert stale()["nights"] == []
    score_night(path="survey", night="one")
    assert (stale()["stale"], stale()["current"]) == (0, 1)
    decided = rethreshold(night="one", max_candidates=7)
    assert (decided["rethresholded"], decided["nights"][0]["selected"]) == (1, 7)
    compared = diff_models(night="one", tpr=0.95)
    assert compared["count"] == sum(compared[name] for name in ("both", "only_model", "only_against", "neither"))
    promote(flows_here, "models:/realbogus/2")
    found = stale()
    assert (found["stale"], found["to_rescore"], found["reasons"]) == (1, 1, {"other_model": 1})
    assert rescore(plan_only=True)["planned"] == 1
    done = rescore()
    assert (done["state"], done["rescored"], done["nights"][0]["selected"]) == ("done", 1, 7)
    assert stale()["champion"] == "realbogus/2" == pq.read_table(flows_here.scores / "one.parquet")["model"][0].as_py()
    for summary in (found, decided, compared, done):
        assert Path(summary["report"]).is_file()
    assert len(list((flows_here.scores / "history").glob("one.*.parquet"))) == 2
    flows: list[Callable[..., object]] = [rescore, rethreshold, diff_models]
    for flow in flows:
        with pytest.raises(NightError, match="there are: one"):
            flow(night="two")
