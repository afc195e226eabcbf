"""What a problem does with a night: builds, scores, rows that the gate and the drift check need."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.nightly.deliveries import NightDelivery
from tasks.nightly.night_record import NightRecord
from tasks.nightly.request import NightlyRequest
from tasks.runtime.workspace import Workspace
from tasks.store.columns import positions_of
from tasks.store.dataset import Dataset, published_number


class NightlyError(ValueError):
    """A night cannot be worked on as requested; the message says what to do."""


@dataclass(frozen=True)
class ScoredRows:
    """The champion's outputs on the rows that a night added to the training set.

    Attributes
    ----------
    ids : list of str
    groups : list of str
    labels : (n,) int
        Positions of classes, -1 without a label.
    outputs : (n, classes)
        Probabilities of galaxies; of candidates (n,) logits.
    decided : (n,) int
        The champion's classes.
    error_rates : (classes,)
        The share of each class that the champion decides wrongly, as measured when it was trained.
    """

    ids: list[str]
    groups: list[str]
    labels: NDArray[np.int64]
    outputs: NDArray[np.float64]
    decided: NDArray[np.int64]
    error_rates: NDArray[np.float64]


@dataclass(frozen=True)
class NightWork(ABC):
    """A night's work; a problem derives from it.

    Attributes
    ----------
    workspace : Workspace
    request : NightlyRequest
    night : str
    """

    workspace: Workspace
    request: NightlyRequest
    night: str

    @property
    @abstractmethod
    def registered_name(self) -> str:
        """Name of the models in the registry."""

    @abstractmethod
    def first_build(self) -> dict[str, Any]:
        """Return the build that begins the training set.

        Raises
        ------
        NightlyError
            It does not begin by itself: the message says how to build it.
        """

    @abstractmethod
    def holdout_build(self) -> dict[str, Any] | None:
        """Return the build of a dataset that is only held out; None: the training set's test part is held out."""

    @abstractmethod
    def night_build(self, delivery: NightDelivery) -> dict[str, Any] | None:
        """Return the build of the night as it is, for scoring; None: the rows of `training_build` are scored."""

    @abstractmethod
    def training_build(self, delivery: NightDelivery) -> dict[str, Any]:
        """Return the build that adds the night to the training set."""

    @abstractmethod
    def clouded(self, build: dict[str, Any]) -> str | None:
        """Return why a night's build shows that it was lost to clouds; None if it was not."""

    def score(self) -> dict[str, Any]:
        """Score the dataset of `night_build` with the champion; return the entries of the summary on scores."""
        return {}

    @abstractmethod
    def score_rows(self, ids: Sequence[str]) -> ScoredRows:
        """Return the champion's outputs on rows of the training set, which the night added."""

    @abstractmethod
    def night_figures(
        self, record: NightRecord, rows: ScoredRows | None, quiet: Sequence[NightRecord]
    ) -> dict[str, Any]:
        """Return `efficiency` and `drift` of the summary; the night's tables go to the record's folder."""

    @abstractmethod
    def champion_settings(self) -> dict[str, Any]:
        """Return network and variant of the champion, as parameters of a training."""

    @abstractmethod
    def write_queue(self, record: NightRecord, challenger: str) -> None:
        """Write the labelling queue of the night: rows on which challenger and champion differ, and a random stream."""

    @abstractmethod
    def newest(self, record: NightRecord) -> tuple[str, list[str]] | None:
        """Return the dataset and the ids of the night's rows, for a comparison that is shown; None: there are none."""

    def first_training(self) -> dict[str, Any]:
        """Return the parameters of the training of the first champion: the requested network, or the flow's own."""
        network = self.request.network
        return {**({} if network is None else {"network": network}), **self._fit_parameters(None)}

    def train_parameters(self, champion: str, labels: str | None) -> dict[str, Any]:
        """Return the parameters of a challenger's training: of the champion's network from its weights, if asked."""
        settings, request = self.champion_settings(), self.request
        is_same = request.network in (None, settings["network"])
        weights = champion if request.start == "warm" and is_same else "none"
        return {
            **(settings if is_same else {"network": request.network}),
            "weights": weights,
            **self._fit_parameters(labels),
        }

    def relabel_parameters(self, labels: str | None) -> dict[str, Any]:
        """Return the parameters of a relabelling with the champion's network; its second training is the challenger."""
        return {**self.champion_settings(), **self._fit_parameters(labels)}

    def _fit_parameters(self, labels: str | None) -> dict[str, Any]:
        """Return the parameters that all trainings of a night have."""
        request = self.request
        chosen = {"epochs": request.epochs, "labels": labels, "seed": request.seed, "device": request.device}
        return {"dataset": request.training_set, **chosen}

    def replaced_ids(self, record: NightRecord, delivery: NightDelivery) -> list[str]:
        """Return the ids of rows that earlier deliveries of the night added, and that this one replaces."""
        return []

    @property
    def scheme(self) -> str:
        """The labels' scheme of the training set."""
        return self.training_set().schemes[0]

    def has_training_set(self) -> bool:
        """Whether the training set has been begun."""
        return published_number(self.workspace, self.request.training_set) is not None

    def training_set(self) -> Dataset:
        """Return the training set's current version."""
        return Dataset.open(self.workspace, self.request.training_set)

    def added_rows(self, before: int, after: int) -> pa.Table:
        """Return the ledger rows, stored and rejected, that versions after `before` up to `after` have added."""
        earlier, later = (
            Dataset.open(self.workspace, f"{self.request.training_set}@{version}") for version in (before, after)
        )
        ledger = later.samples()
        return ledger.filter(pa.array(positions_of(ledger["id"], earlier.samples(["id"])["id"]) < 0))
