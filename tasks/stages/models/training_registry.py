"""Which training a dataset gets: its problem decides."""

from collections.abc import Callable, Mapping
from typing import Any

from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.galaxies.training import GalaxyTrainRequest, open_galaxy_training
from tasks.learning.split_parts import PartError
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.schema import GALAXY, REALBOGUS
from tasks.training.training_task import TrainingTask, TrainRequest

TRAININGS: dict[str, tuple[type[TrainRequest], Callable[..., TrainingTask]]] = {
    GALAXY: (GalaxyTrainRequest, open_galaxy_training),
    REALBOGUS: (CandidateTrainRequest, open_candidate_training),
}


def train_request(problem: str, parameters: Mapping[str, Any]) -> TrainRequest:
    """Return the problem's request; a parameter that is None keeps the problem's default.

    Raises
    ------
    PartError
        The problem does not know a parameter.
    """
    request, _ = TRAININGS[problem]
    parameters = {name: value for name, value in parameters.items() if value is not None}
    unknown = sorted(set(parameters) - set(request.model_fields))
    if unknown:
        raise PartError(
            f"{unknown[0]}={parameters[unknown[0]]} is no parameter of a {problem} training; "
            f"it takes {', '.join(request.model_fields)}"
        )
    return request(**parameters)


def open_training(workspace: Workspace, parameters: Mapping[str, Any]) -> TrainingTask:
    """Open the training of the dataset's problem; see `train_request`."""
    problem = Dataset.open(workspace, parameters["dataset"]).manifest["problem"]
    _, opened = TRAININGS[problem]
    return opened(workspace, train_request(problem, parameters))
