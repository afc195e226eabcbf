"""Registered models without a network: files with a card that fits them, for what never loads a model."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tasks.learning.models.saved_models import CARD_FILE, CARD_KEYS, MODEL_FILE
from tasks.runtime.workspace import Workspace
from tasks.store.files import sha256_of_file
from tasks.tracking.mlflow_runs import open_run
from tasks.tracking.model_registry import ModelRef
from tasks.training.registered_models import problem_of


def register_small(workspace: Workspace, parent: Path, name: str, mark: str) -> ModelRef:
    """Register a new version of a name, whose file holds `mark`."""
    folder = parent / f"{name}-{mark}"
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(mark.encode())
    problem = problem_of(name)
    card = dict.fromkeys(CARD_KEYS, "") | {"problem": problem, "sha256": sha256_of_file(folder / MODEL_FILE)}
    (folder / CARD_FILE).write_text(json.dumps(card))
    with open_run(workspace, problem=problem, run_name=mark, params={}, tags={}, dataset=None) as run:
        return run.log_model(SimpleNamespace(output_shape=(None, 2)), folder, name, np.zeros((1, 8, 8, 3), np.uint8))
