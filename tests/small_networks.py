"""Registered networks with random weights for tests of nights, and the small survey that they belong to."""

from pathlib import Path
from typing import Any

import numpy as np

from tasks.candidates.training import CandidateTrainRequest, open_candidate_training
from tasks.learning.models.saved_models import save_model
from tasks.learning.training_overlap import COLUMNS, TRAINING_SAMPLES_FILE
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.files import write_table
from tasks.tracking.mlflow_runs import open_run
from tasks.training.training_task import model_card
from tests.small_candidates import SIDE, publish_candidates

COUNT = 400
TRAINED_ON = 40


def publish_survey(workspace: Workspace, name: str) -> Dataset:
    """Publish a simulated survey: even rows are real, each eighth is an injection; the last 20 are the train part."""
    kinds = ["galaxy_injection" if row % 8 == 0 else "detection" for row in range(COUNT)]
    real = [row % 2 == 0 for row in range(COUNT)]
    labels = ["real" if flag else "bogus" for flag in real]
    parts = ["validation"] * (COUNT - 20) + ["train"] * 20
    cells = [f"{part} {row // 8}" for row, part in enumerate(parts)]
    columns = {"kind": kinds, "ra_deg": [row / 10 for row in range(COUNT)], "dec_deg": [0.0] * COUNT}
    return publish_candidates(workspace, name, labels, cells, parts, real=real, columns=columns)


def register_network(
    workspace: Workspace,
    name: str,
    dataset: str,
    folder: Path,
    *,
    seed: int | None = None,
    members: int | None = None,
    **card: Any,
) -> str:
    """Register a network and return its address; its weights are disturbed by `seed`, its card changed by `card`.

    It knows the first `members` rows as its training samples; None: it knows none. At its operating points 60, 70 and
    80 % of the survey are selected.
    """
    training = open_candidate_training(
        workspace, CandidateTrainRequest(dataset=dataset, network="first", profile="fixed")
    )
    weights = training.fit_spec(training.part("train")).build("float32").get_weights()
    if seed is not None:
        rng = np.random.default_rng(seed)
        weights = [value + rng.normal(0, 0.1, value.shape).astype(value.dtype) for value in weights]
    model = training.model(weights)
    stamps = np.asarray(Dataset.open(workspace, dataset).pixels[:COUNT])
    outputs = np.asarray(model(stamps))
    quantiles = np.quantile(outputs[:, 1] - outputs[:, 0], [0.4, 0.3, 0.2])
    points = {f"tpr{level}": {"threshold": float(value)} for level, value in zip((90, 95, 99), quantiles, strict=True)}
    chosen = {"temperature": 1.0, "training_real_share": 0.5, "operating_points": points}
    save_model(model, folder, {**model_card(training), **chosen, **card})
    if members is not None:
        samples = Dataset.open(workspace, dataset).samples(list(COLUMNS)).slice(0, members)
        write_table(folder / TRAINING_SAMPLES_FILE, samples)
    options: dict[str, Any] = {"problem": "realbogus", "params": {}, "tags": {}, "dataset": None}
    with open_run(workspace, run_name=name, **options) as run:
        return run.log_model(model, folder, name, np.zeros((1, SIDE, SIDE, 3), np.float32)).uri
