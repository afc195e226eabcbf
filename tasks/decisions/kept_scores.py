"""Models that are compared, and their outputs on a set of rows, kept so that a look scores the challenger alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.decisions.ledger import decisions_folder
from tasks.learning.models import saved_models
from tasks.learning.scoring import Scorer, score
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, to_float
from tasks.store.dataset import Dataset
from tasks.store.errors import DamagedTableError
from tasks.store.files import read_table, whole_file, write_checked_table
from tasks.tracking.model_registry import ModelRef, resolve_model


@dataclass(frozen=True)
class Contender:
    """A registered model that is compared; its network is loaded only where it must score.

    Attributes
    ----------
    ref : ModelRef
    card : mapping
        Its ``model.json``, compared with the model's file.
    """

    ref: ModelRef
    card: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Of the model's file."""
        return str(self.card["sha256"])

    @property
    def label_version(self) -> dict[str, str]:
        """Name ``labels`` and sha256 ``labels_sha256`` of what it was trained on; empty for the original labels."""
        named = {name: self.card.get(name) for name in ("labels", "labels_sha256")}
        return {name: value for name, value in named.items() if value is not None}

    @cached_property
    def network(self) -> Scorer:
        """The model, loaded when it is asked for."""
        return saved_models.load_model(self.ref.folder)[0]

    @cached_property
    def training_samples(self) -> pa.Table | None:
        """`training_overlap.COLUMNS` of the samples that it was trained on; None where they are unknown."""
        path = self.ref.folder / TRAINING_SAMPLES_FILE
        return read_table(path) if path.is_file() else None


def open_contender(workspace: Workspace, model: str, name: str) -> Contender:
    """Resolve a model's address, completed by the registered name, and read its card.

    Raises
    ------
    UnknownModelError
        There is no such model, or it has no card.
    SavedModelError
        The card is incomplete, or the model's file is not the one that it describes.
    """
    ref = resolve_model(workspace, model, name)
    return Contender(ref, saved_models.checked_card(ref.folder))


def scores_path(workspace: Workspace, contender: Contender, rows_digest: str) -> Path:
    """Return where a model's outputs on the rows of a digest are kept."""
    return decisions_folder(workspace) / "scores" / f"{contender.sha256[:16]}-{rows_digest[:16]}.parquet"


def outputs_on(
    workspace: Workspace,
    contender: Contender,
    dataset: Dataset,
    ids: Sequence[str],
    batch: int,
    rows_digest: str | None = None,
) -> NDArray[np.float64]:
    """Return a model's outputs for stored samples, (n, classes) in the order of `ids`; NaN where one is not finite.

    Parameters
    ----------
    workspace : Workspace
    contender : Contender
    dataset : Dataset
    ids : (n,) text
    batch : int
        Samples a step.
    rows_digest : str, optional
        Digest of the set of rows under which the outputs are kept; None keeps nothing.
    """
    path = None if rows_digest is None else scores_path(workspace, contender, rows_digest)
    kept = None if path is None else _kept(path, ids)
    if kept is not None:
        return kept
    rows = align_column(dataset.samples(["id", "row"]), "row", ids).to_numpy().astype(np.int64)
    outputs = score(contender.network, dataset.pixels, rows, batch, not_finite="keep").astype(np.float64)
    outputs[~np.isfinite(outputs).all(axis=1)] = np.nan
    if path is not None:
        columns = {f"output_{number}": column for number, column in enumerate(outputs.T)}
        with whole_file(path) as beside:
            write_checked_table(beside, pa.table({"id": list(ids), **columns}))
    return outputs


def _kept(path: Path, ids: Sequence[str]) -> NDArray[np.float64] | None:
    """Return kept outputs (n, classes); None where there are none of exactly these ids, or they cannot be read."""
    try:
        table = read_table(path)
    except DamagedTableError:
        return None
    if table["id"].to_pylist() != list(ids):
        return None
    return np.stack([to_float(column) for column in table.columns[1:]], axis=1)
