"""`python -m tests.drill.base_workspace FOLDER`: a workspace with datasets, models, scores and a delivered night.

A trial begins with a copy of it, so a flow that reads a dataset or a model need not make one.
"""

import os
import sys
from pathlib import Path

from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.labelling.session import LabelSession
from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tests.drill.inputs import CANDIDATES, deliver_night, write_inputs
from tests.hidden_truth import tell_truth

GALAXY_SCHEME = "gz1-majority-2class"
FIT = {"epochs": 1, "batch_size": 32}
SIMULATED, NIGHT_BEFORE, PREDICTIONS = "simulated", "before", "predicted"
"""A dataset with a hidden truth; a night that the former champion scored; the classes of all galaxies."""


def make_base(folder: Path) -> Path:
    """Make the workspace in `folder` with the flows themselves; return its path. It is whole or absent."""
    target, beside = folder / "base", folder / "base.part"
    if target.exists():
        return target
    inputs = write_inputs(folder / "inputs")
    os.environ[ENVIRONMENT_NAME] = str(beside)
    os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"  # its log sender outlives the server
    from flows.build_galaxy_dataset import build_galaxy_dataset
    from flows.build_realbogus_dataset import build_realbogus_dataset
    from flows.predict_galaxies import predict_galaxies
    from flows.promote import promote
    from flows.score_night import score_night
    from flows.train_galaxy import train_galaxy
    from flows.train_realbogus import train_realbogus
    from tasks.server.prefect_server import prefect_server, stop_services

    workspace = Workspace(beside.resolve())
    workspace.require_writable()
    prefect_server(workspace)
    try:
        images = {"catalog": str(inputs.table), "source": "archive", "images": str(inputs.images)}
        build_galaxy_dataset(dataset="zoo", scheme=GALAXY_SCHEME, size_px=32, **images)
        build_realbogus_dataset(dataset="made", source="triplets", path=str(inputs.survey))
        train_galaxy(dataset="zoo", preset="deck", **FIT)
        train_realbogus(dataset="made", network="simple", **FIT)
        score_night(path="made", night=NIGHT_BEFORE)
        train_realbogus(dataset="made", network="simple", seed=1, **FIT)
        promote(model="models:/realbogus/2", reason="the second")
        predict_galaxies(dataset="zoo", scheme=GALAXY_SCHEME, name=PREDICTIONS)
        build_realbogus_dataset(dataset=SIMULATED, source="triplets", path=str(inputs.survey))
        tell_truth(workspace, SIMULATED, {f"sc{row:04d}": row % 2 == 0 for row in range(CANDIDATES)})
        answer(workspace)
        leave_behind(workspace)
        deliver_night(workspace.root / "inbox")
    finally:
        stop_services(workspace)
    beside.rename(target)
    return target


def answer(workspace: Workspace) -> None:
    """Have a person say of some candidates what they are."""
    queue, _ = open_queue(workspace, QueueRequest(dataset="made", count=20, overlap=0))
    session = LabelSession(queue, AnswerLog.of(workspace, "made"))
    for number, sample in enumerate(queue.ids):
        session.answer(f"answer-{number}", "ann", sample, "answer", ("real", "bogus")[number % 2])


def leave_behind(workspace: Workspace) -> None:
    """Leave what a housekeeping finds: a converted model that no model is of, and a study that was given up."""
    for name in ("onnx/of-no-model.onnx", "studies/given-up/row.json", "reports/.page.html.1.part"):
        path = workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", encoding="utf-8")


if __name__ == "__main__":
    make_base(Path(sys.argv[1]).resolve())
