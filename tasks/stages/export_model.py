"""Exporting a registered real/bogus model as ONNX, with a check on triplets of the dataset it was trained on."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.learning.split_parts import part_rows
from tasks.runtime.workspace import Workspace
from tasks.stages.evaluate import registered_name
from tasks.store.dataset import Dataset
from tasks.tracking.mlflow_runs import resolve_model
from tasks.training.training_task import quiet_tensorflow

CHECKED = 512
MOST_DIFFERENCE = 1e-3
"""In logits or probabilities."""


@task(name="export-model", description="Write ONNX, compare its answers with Keras's", cache_policy=NO_CACHE)
def export_model(workspace: Workspace, model: str, dataset: str, path: str | None) -> dict[str, Any]:
    """Export the model that ``model`` names; return where it lies and how far its answers are off.

    Raises
    ------
    ParityError
        Its answers differ by more than 0.001.
    """
    quiet_tensorflow()
    from tasks.learning.onnx_export import export_onnx, parity
    from tasks.learning.saved_models import CARD_FILE, load_model

    opened = Dataset.open(workspace, dataset)
    ref = resolve_model(workspace, model, registered_name(opened.manifest["problem"], opened.schemes[0]))
    network, card = load_model(ref.folder)
    standard = workspace.root / "exports" / f"{ref.name}-{ref.version}" / "model.onnx"
    target = standard if path is None else Path(path).expanduser().resolve()
    export_onnx(network, target)
    shutil.copyfile(ref.folder / CARD_FILE, target.with_name(CARD_FILE))
    rows = part_rows(opened, str(card["scheme"]), "validation").rows[:CHECKED]
    samples = np.array([opened.pixels[int(row)] for row in rows])
    difference = parity(network, target, samples, MOST_DIFFERENCE)
    return {"model": ref.uri, "path": str(target), "checked": len(samples), "largest_difference": difference}
