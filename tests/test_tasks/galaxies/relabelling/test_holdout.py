"""What must not leak into relabelled galaxies: the labels of the holdout."""

import numpy as np

from tasks.galaxies.relabelling.relabel import GalaxyRelabelRequest, GalaxyRelabelTask
from tasks.learning.fits.devices import choose_device
from tasks.runtime.cluster import InProcess
from tasks.runtime.workspace import Workspace
from tasks.training.relabel import relabel_and_retrain
from tasks.training.train import fit_parts
from tests.small_galaxies import PARTS, QUICK_RELABELLING, RELABELLED, RELABELLED_PX, publish_galaxies


def test_holdout_labels_decide_nothing(workspace: Workspace) -> None:
    """Folds, suspects and second fit: with the labels of the test part scrambled the weights are the same bits."""
    tested = [row for row in range(RELABELLED) if PARTS[row % 10] == "test"]
    weights = []
    for name, wrong in (("honest", None), ("scrambled", tested)):
        folder = workspace.root / name
        here = Workspace(folder)
        publish_galaxies(here, "sky", RELABELLED, size=RELABELLED_PX, wrong=wrong)
        request = GalaxyRelabelRequest(dataset="sky", handling="soft", stage="select", **QUICK_RELABELLING)
        relabel = GalaxyRelabelTask(here, request)
        summary = relabel_and_retrain(relabel, InProcess())
        assert sum(summary["suspects"].values())
        second = relabel.open(labels=summary["labels"])
        parts = second.part("train"), second.part("validation")
        assert parts[0].targets is not None
        weights.append(fit_parts(second, parts, choose_device("cpu"), folder / "fit").weights)
    for honest, scrambled in zip(*weights, strict=True):
        np.testing.assert_array_equal(honest, scrambled)
