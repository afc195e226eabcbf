"""Models that are compared, and their outputs on a set of rows, kept so that a look costs one scoring of the challenger."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.learning.models import saved_models
from tasks.learning.scoring import score
from tasks.learning.split_parts import SplitPart
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tasks.store.errors import DamagedTableError
from tasks.store.files import read_table, whole_file
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
    return workspace.root / "decisions" / "scores" / f"{contender.sha256[:16]}-{rows_digest[:16]}.parquet"


def outputs_on(
    workspace: Workspace, contender: Contender, dataset: Dataset, part: SplitPart, digest: str | None, batch: int
) -> NDArray[np.float64]:
    """Return a model's outputs for n rows, (n, classes); NaN where it gives no finite number.

    Parameters
    ----------
    workspace : Workspace
    contender : Contender
    dataset : Dataset
    part : SplitPart
    digest : str, optional
        Digest of the set of rows under which the outputs are kept; None keeps nothing.
    batch : int
        Samples a step.
    """
    if digest is not None:
        kept = _kept(scores_path(workspace, contender, digest), part.ids)
        if kept is not None:
            return kept
    network, _ = saved_models.load_model(contender.ref.folder)
    outputs = score(network, dataset.pixels, part.rows, batch, not_finite="keep")
    if digest is not None:
        columns = {f"output_{number}": column for number, column in enumerate(outputs.T)}
        with whole_file(scores_path(workspace, contender, digest)) as path:
            pq.write_table(pa.table({"id": part.ids, **columns}), path, compression="zstd", write_page_checksum=True)
    return outputs.astype(np.float64)


def _kept(path: Path, ids: list[str]) -> NDArray[np.float64] | None:
    """Return kept outputs (n, classes); None where there are none of exactly these ids, or they cannot be read."""
    try:
        table = read_table(path)
    except DamagedTableError:
        return None
    if table["id"].to_pylist() != ids:
        return None
    return np.stack([column.to_numpy() for column in table.columns[1:]], axis=1).astype(np.float64)
