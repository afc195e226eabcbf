"""A registered model as ONNX, with a check of its outputs on samples of the dataset that it was trained on."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tasks.learning.split_parts import part_rows
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.training.registered_models import open_registered

CHECKED = 512
MOST_DIFFERENCE = 1e-3
"""In logits or probabilities."""


def export_registered(workspace: Workspace, model: str, dataset: str, path: str | None) -> dict[str, Any]:
    """Write the model that `model` names as ONNX, with its card beside it.

    Returns
    -------
    dict
        ``model`` (its address), ``path``, ``checked`` (samples of the validation part, at most 512) and
        ``largest_difference`` from Keras's outputs.

    Raises
    ------
    ParityError
        An output differs by more than 0.001.
    """
    quiet_tensorflow()
    from tasks.learning.models.inference import check_parity
    from tasks.learning.models.onnx_export import export_onnx
    from tasks.learning.models.saved_models import CARD_FILE

    opened = Dataset.open(workspace, dataset)
    registered = open_registered(workspace, model, opened.manifest["problem"], opened.schemes[0])
    ref = registered.ref
    standard = workspace.root / "exports" / f"{ref.name}-{ref.version}" / "model.onnx"
    target = standard if path is None else Path(path).expanduser().resolve()
    export_onnx(registered.model, target)
    shutil.copyfile(ref.folder / CARD_FILE, target.with_name(CARD_FILE))
    rows = part_rows(opened, str(registered.card["scheme"]), "validation").rows[:CHECKED]
    samples = np.array([opened.pixels[int(row)] for row in rows])
    difference = check_parity(registered.model, target, samples, MOST_DIFFERENCE)
    return {"model": ref.uri, "path": str(target), "checked": len(samples), "largest_difference": difference}
