"""A workspace with the names of `starloom demo`, small: two datasets, untrained models, a scored night."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.galaxies.training import GalaxyTrainRequest, open_galaxy_training
from tasks.learning.models.saved_models import save_model
from tasks.night.pipeline import score_night
from tasks.night.request import NightRequest
from tasks.night.simulated import NightToMake, make_night
from tasks.runtime.workspace import Workspace
from tasks.store.files import write_table
from tasks.store.schema import GALAXY
from tasks.tracking.mlflow_runs import open_run
from tasks.training.registered_models import registered_name
from tasks.training.training_task import model_card
from tests.small_candidates import publish_candidates
from tests.small_galaxies import publish_galaxies
from tests.small_networks import register_network

GALAXIES, CANDIDATES, SCHEME = "demo", "demo-transients", "deck-3"
SIZE_PX = 32


def make_demo(workspace: Workspace, folder: Path) -> None:
    """Fill a workspace; `folder` is for the files of the models."""
    publish_sky(workspace, 60)
    register_galaxy_model(workspace, folder / "galaxy")
    publish_survey(workspace, 80)
    register_network(workspace, "realbogus", CANDIDATES, folder / "realbogus")
    night = make_night(workspace, NightToMake(dataset=CANDIDATES, count=300, real_share=0.1))
    score_night(workspace, NightRequest(path=night["path"]))


def publish_sky(workspace: Workspace, count: int) -> None:
    """Publish a catalogue and the dataset of its galaxies, which takes a second; a build takes many."""
    facts = {"rejected": {"scheme:edge_on": 2}, "parameters": {"catalog": "sky.parquet"}}
    dataset = publish_galaxies(
        workspace, GALAXIES, count, truth=("E", "S"), size=SIZE_PX, wrong=(3,), scheme=SCHEME, facts=facts
    )
    table = dataset.samples(["id", "ra_deg", "dec_deg", "redshift"])
    for name, values in (("r_mag", 17.0), ("petro_r90_arcsec", 8.0), ("gz2_class", "Er")):
        table = table.append_column(name, pa.array([values] * count))
    write_table(workspace.catalogs / "sky.parquet", table)


def register_galaxy_model(workspace: Workspace, folder: Path) -> None:
    """Register a network with random weights."""
    training = open_galaxy_training(workspace, GalaxyTrainRequest(dataset=GALAXIES, scheme=SCHEME, preset="deck"))
    model = training.model(training.fit_spec(training.part("train")).build("float32").get_weights())
    save_model(model, folder, {**model_card(training), "temperature": 2.0})
    with open_run(workspace, problem=GALAXY, run_name="a fit", params={}, tags={}, dataset=None) as run:
        run.log_model(model, folder, registered_name(GALAXY, SCHEME), np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8))


def publish_survey(workspace: Workspace, count: int) -> None:
    """Publish a simulated survey whose even rows are real; the S/N grows from 5."""
    publish_candidates(
        workspace,
        CANDIDATES,
        ["real" if row % 2 == 0 else "bogus" for row in range(count)],
        [f"cell {row // 4}" for row in range(count)],
        (["train"] * 8 + ["validation"] * 4 + ["test"] * 4) * (count // 16),
        real=[row % 2 == 0 for row in range(count)],
        columns={
            "snr": [5.0 + row / 4 for row in range(count)],
            "mag": [20.0 - row / 40 for row in range(count)],
            "detector": ["4"] * count,
        },
    )
