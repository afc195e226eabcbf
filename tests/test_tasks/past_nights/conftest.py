"""A workspace with registered models and scored nights that tests copy: to make one takes a while."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.learning.cascade import Discard
from tasks.night.first_model import discard_path
from tasks.night.models import REGISTERED, REGISTERED_FIRST, open_model
from tasks.night.pipeline import score_night
from tasks.night.request import NightRequest
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import write_json
from tasks.tracking.database import prepare
from tests.small_networks import TRAINED_ON, publish_survey, register_network


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Dataset ``survey``, and its scores as night ``alone`` by ``realbogus`` 1, as ``both`` after ``realbogus-first``.

    Version 2 of ``realbogus`` is challenger. The first model discards half of the candidates, at any operating point.
    """
    folder = tmp_path_factory.mktemp("scored")
    workspace = Workspace(folder / "workspace")
    prepare(workspace)
    survey = publish_survey(workspace, "survey")
    register_network(workspace, "realbogus", "survey", folder / "one", members=TRAINED_ON)
    register_network(workspace, "realbogus", "survey", folder / "two", seed=1, members=TRAINED_ON)
    register_network(workspace, "realbogus-first", "survey", folder / "first", seed=2, members=TRAINED_ON)
    _discard_half(workspace, survey)
    score_night(workspace, NightRequest(path="survey", night="alone", first=None))
    score_night(workspace, NightRequest(path="survey", night="both"))
    return workspace


def _discard_half(workspace: Workspace, survey: Dataset) -> None:
    """Write what the first model may discard before each version of the full model, as a fit caches it."""
    first = open_model(workspace, "champion", REGISTERED_FIRST, "auto")
    below = float(np.median(first.logits(np.asarray(survey.pixels[:]))))
    for version in (1, 2):
        full = open_model(workspace, f"models:/{REGISTERED}/{version}", REGISTERED, "auto")
        for point in full.card["operating_points"].values():
            discard = Discard(below, point["threshold"], 1, 240, 0.0123)
            write_json(discard_path(workspace, first, full, point["threshold"]), discard.to_summary())


@pytest.fixture
def own(scored: Workspace, tmp_path: Path) -> Workspace:
    """A copy of that workspace for one test."""
    shutil.copytree(scored.root, tmp_path / "own", symlinks=True)
    return Workspace(tmp_path / "own")
