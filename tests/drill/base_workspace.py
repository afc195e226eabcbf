"""`python -m tests.drill.base_workspace FOLDER`: a workspace with datasets, models and a delivered night.

A trial begins with a copy of it, so a flow that reads a dataset or a model need not make one.
"""

import os
import sys
from pathlib import Path

from tasks.runtime.workspace import ENVIRONMENT_NAME, Workspace
from tests.drill.inputs import deliver_night, write_inputs

GALAXY_SCHEME = "gz1-majority-2class"
FIT = {"epochs": 1, "batch_size": 32}


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
        deliver_night(workspace.root / "inbox")
    finally:
        stop_services(workspace)
    beside.rename(target)
    return target


if __name__ == "__main__":
    make_base(Path(sys.argv[1]).resolve())
