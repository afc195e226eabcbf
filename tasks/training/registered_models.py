"""Registered models of a problem: the name that they bear, and opening one by its address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.learning.scoring import Scorer
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


def registered_name(problem: str, scheme: str) -> str:
    """Return the name under which models of a problem and scheme are registered: galaxies have one a scheme."""
    return f"{GALAXY}-{scheme}" if problem == GALAXY else problem


def problem_of(name: str) -> Problem:
    """Return the problem of the models of a registered name."""
    return GALAXY if name.startswith(f"{GALAXY}-") else REALBOGUS


def open_registered(workspace: Workspace, model: str, problem: str, scheme: str) -> RegisteredModel:
    """Resolve the address `model` (an alias alone is completed from problem and scheme) and load the model.

    Raises
    ------
    UnknownModelError
        There is no such model.
    """
    quiet_tensorflow()
    from tasks.learning.models.saved_models import load_model

    ref = resolve_model(workspace, model, registered_name(problem, scheme))
    network, card = load_model(ref.folder)
    return RegisteredModel(ref, network, card)
