"""Which training a dataset gets, and which parameters it takes."""

import pytest

from tasks.candidates.training import CandidateTrainRequest
from tasks.galaxies.training import GalaxyTraining, GalaxyTrainRequest
from tasks.learning.split_parts import PartError
from tasks.runtime.workspace import Workspace
from tasks.stages.models.training_registry import open_training, train_request
from tests.small_galaxies import CLASSES, SCHEME, publish_galaxies


def test_none_keeps_the_problems_default() -> None:
    request = train_request("galaxy", {"dataset": "sky", "network": None, "preset": "deck", "grey": None, "seed": 3})
    assert request == GalaxyTrainRequest(dataset="sky", preset="deck", seed=3)
    candidates = train_request("realbogus", {"dataset": "sky", "network": None, "profile": "published"})
    assert candidates == CandidateTrainRequest(dataset="sky", profile="published")


@pytest.mark.parametrize(
    ("problem", "parameter", "says"),
    [
        (
            "galaxy",
            {"profile": "fixed"},
            "profile=fixed is no parameter of a galaxy training; it takes dataset",
        ),
        ("realbogus", {"preset": "deck"}, "preset=deck is no parameter of a realbogus training; it takes dataset"),
        ("realbogus", {"grey": False}, "grey=False is no parameter"),
    ],
)
def test_a_parameter_of_the_other_problem_is_refused(problem: str, parameter: dict[str, object], says: str) -> None:
    with pytest.raises(PartError, match=says):
        train_request(problem, {"dataset": "sky", **parameter})


def test_the_datasets_problem_decides(workspace: Workspace) -> None:
    publish_galaxies(workspace, "home", count=20)
    training = open_training(workspace, {"dataset": "home", "preset": "deck", "size": None})
    assert isinstance(training, GalaxyTraining)
    assert (training.scheme, training.classes, training.problem) == (SCHEME, CLASSES, "galaxy")
