"""The weights that a training of candidates starts from: a random start, or a registered model of the same network."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.learning.models.saved_models import MODEL_FILE, SavedModelError, checked_card, load_model
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.runtime.workspace import Workspace
from tasks.store.schema import REALBOGUS
from tasks.tracking.model_registry import resolve_model

if TYPE_CHECKING:
    import keras

NONE = "none"
_SAME = ("network", "size", "profile", "normalisation")


class WeightsError(ValueError):
    """Weights cannot be used; the message names the model and what does not fit."""


@dataclass(frozen=True)
class InitialWeights:
    """Weights that were found for a training; the defaults are a random start.

    Attributes
    ----------
    source : str
        ``none``, or the model's address with its version.
    folder : Path, optional
        Of the saved model.
    sha256 : str, optional
        Of the saved model.
    """

    source: str = NONE
    folder: Path | None = None
    sha256: str | None = None

    @property
    def record(self) -> dict[str, Any]:
        """What was loaded, for the model's card."""
        return {"source": self.source} if self.sha256 is None else {"source": self.source, "sha256": self.sha256}

    @property
    def samples(self) -> pa.Table | None:
        """The samples that the model was trained on; None where unknown."""
        file = None if self.folder is None else self.folder / TRAINING_SAMPLES_FILE
        return pq.read_table(file) if file is not None and file.is_file() else None

    def load_into(self, network: "keras.Model") -> None:
        """Copy the weights into a network as `realbogus.models.networks.build_network` gives it.

        Raises
        ------
        WeightsError
            A weight has another shape.
        """
        if self.folder is None:
            return
        from realbogus.models.networks import NETWORK

        arrays = load_model(self.folder)[0].get_layer(NETWORK).get_weights()
        found, needed = ([tuple(array.shape) for array in arrays], [tuple(array.shape) for array in network.weights])
        if found != needed:
            raise WeightsError(f"weights={self.source} has weights of the shapes {found}, this network {needed}")
        network.set_weights(arrays)


RANDOM_START = InitialWeights()


def find_weights(workspace: Workspace, weights: str, settings: dict[str, Any], stamp_px: int) -> InitialWeights:
    """Return the weights that ``weights=`` names; no array is read.

    Parameters
    ----------
    workspace : Workspace
    weights : str
        ``none``, or a registered model: ``models:/NAME/VERSION``, ``NAME@ALIAS`` or an alias of the name realbogus.
    settings : dict
        Network, size, profile and normalisation of the training.
    stamp_px : int
        Width of its stamps.

    Raises
    ------
    WeightsError
        The model is of another problem, network, size, profile, normalisation or width of stamps, or its files are
        damaged.
    UnknownModelError
        The registry has no such model.
    """
    if weights == NONE:
        return RANDOM_START
    ref = resolve_model(workspace, weights, REALBOGUS)
    try:
        card = checked_card(ref.folder)
    except SavedModelError as error:
        raise WeightsError(f"weights={weights}: {error}") from error
    wanted = {"problem": REALBOGUS, **{name: settings[name] for name in _SAME}, "stamp_px": stamp_px}
    found = {**card, "stamp_px": card["input_shape"][0], "normalisation": read_normalisation(ref.folder)}
    for name, value in wanted.items():
        if found.get(name) != value:
            raise WeightsError(f"weights={ref.uri} has {name}={found.get(name)}; this training has {name}={value}")
    return InitialWeights(ref.uri, ref.folder, card["sha256"])


def read_normalisation(folder: Path) -> str | None:
    """Return the normalisation of a saved real/bogus model, from its file; None if no layer of it normalises."""
    with zipfile.ZipFile(folder / MODEL_FILE) as model:
        return next(_normalisations(json.loads(model.read("config.json"))), None)


def _normalisations(config: Any) -> Iterator[str]:
    """Yield the normalisation of every layer that has one, of Keras's description of a model."""
    if isinstance(config, dict):
        if config.get("class_name") == "Normalise":
            yield config["config"]["how"]
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _normalisations(part)
