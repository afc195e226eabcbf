"""Registered models of a problem: the name that they bear, and opening one by its address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning import measures
from tasks.learning.calibration import Calibration
from tasks.learning.operating_points import logit_of
from tasks.learning.scoring import IMAGE_BATCH, Scorer
from tasks.runtime.quiet_tensorflow import quiet_tensorflow
from tasks.runtime.workspace import Workspace
from tasks.store.schema import GALAXY, REALBOGUS, Problem
from tasks.tracking.model_registry import ModelRef, resolve_model


@dataclass(frozen=True)
class RegisteredModel:
    """A model of the registry, loaded.

    Attributes
    ----------
    ref : ModelRef
    model : Scorer
    card : dict
        Content of its ``model.json``.
    """

    ref: ModelRef
    model: Scorer
    card: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Name and version, such as ``realbogus 3``."""
        return f"{self.ref.name} {self.ref.version}"

    @property
    def classes(self) -> list[str]:
        """Names of the k classes in the order of the probabilities; of candidates ``bogus`` and ``real``."""
        return list(self.card["classes"])

    def probabilities(self, images: NDArray) -> NDArray[np.float64]:
        """Return the calibrated probability of each class, (n, k), at the mix of classes of the training images.

        Parameters
        ----------
        images : (n, y, x, channel)
            As they are stored, such as `tasks.store.dataset.Dataset.images` returns them: the model's preprocessing is
            inside the model.

        Raises
        ------
        ValueError
            There are no images, or they have another shape than the model's.
        """
        expected = tuple(self.card["input_shape"])
        if images.shape[1:] != expected or not len(images):
            raise ValueError(f"images of shape {images.shape}, model {self.label} takes (n, {expected}), n at least 1")
        starts = range(0, len(images), IMAGE_BATCH)
        outputs = np.concatenate(
            [np.asarray(self.model.predict_on_batch(images[start : start + IMAGE_BATCH])) for start in starts]
        )
        if self.card["problem"] == GALAXY:
            return measures.apply_temperature(outputs, float(self.card["temperature"] or 1))
        real = Calibration.of_card(self.card).probability(logit_of(outputs))
        return np.stack([1 - real, real], axis=1)


def registered_name(problem: str, scheme: str) -> str:
    """Return the name under which models of a problem and scheme are registered: galaxies have one a scheme."""
    return f"{GALAXY}-{scheme}" if problem == GALAXY else problem


def problem_of(name: str) -> Problem:
    """Return the problem of the models of a registered name."""
    return GALAXY if name.startswith(f"{GALAXY}-") else REALBOGUS


def open_registered(workspace: Workspace, model: str, problem: str, scheme: str) -> RegisteredModel:
    """Load the model at the address `model`, as `load_registered`; problem and scheme complete an alias alone."""
    return load_registered(workspace, model, registered_name(problem, scheme))


def load_registered(workspace: Workspace, model: str, name: str | None = None) -> RegisteredModel:
    """Load a model of the registry by its address; its file is compared with its card first.

    Parameters
    ----------
    workspace : Workspace
    model : str
        ``NAME@ALIAS`` such as ``galaxy-deck-3@champion``, ``models:/NAME/VERSION``, a run id, or an alias of `name`.
    name : str, optional
        Registered name that completes an alias alone.

    Raises
    ------
    UnknownModelError
        There is no such model; the message names those that exist.
    SavedModelError
        Its file is not the one that its card describes.
    """
    quiet_tensorflow()
    from tasks.learning.models.saved_models import load_model

    ref = resolve_model(workspace, model, name)
    network, card = load_model(ref.folder)
    return RegisteredModel(ref, network, card)
