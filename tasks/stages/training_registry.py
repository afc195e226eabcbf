"""Which training a dataset gets: its problem decides."""

from collections.abc import Callable, Mapping
from typing import Any

from tasks.candidates.training import CandidateTraining, CandidateTrainRequest, open_candidate_training
from tasks.galaxies.training import GalaxyTraining, GalaxyTrainRequest, open_galaxy_training
from tasks.learning.split_parts import PartError
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.training.training_task import TrainingTask, TrainRequest

TRAININGS: dict[str, tuple[type[TrainRequest], Callable[..., TrainingTask]]] = {
    GalaxyTraining.PROBLEM: (GalaxyTrainRequest, open_galaxy_training),
    CandidateTraining.PROBLEM: (CandidateTrainRequest, open_candidate_training),
}


def open_training(workspace: Workspace, asked: Mapping[str, Any]) -> TrainingTask:
    """Open the training of the dataset's problem; what is None is left to the problem's own default.

    Raises
    ------
    PartError
        Something is asked that the problem does not know.
    """
    problem = Dataset.open(workspace, asked["dataset"]).manifest["problem"]
    request, opened = TRAININGS[problem]
    told = {name: value for name, value in asked.items() if value is not None}
    strange = sorted(set(told) - set(request.model_fields))
    if strange:
        raise PartError(
            f"{strange[0]}={told[strange[0]]} is nothing that a {problem} training takes; "
            f"it takes {', '.join(request.model_fields)}"
        )
    return opened(workspace, request(**told))
