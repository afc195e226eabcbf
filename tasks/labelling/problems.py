"""What each problem tells the labelling page of its samples."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from tasks.candidates import labelling as candidates
from tasks.galaxies import labelling as galaxies
from tasks.store.dataset import Dataset
from tasks.store.schema import GALAXY, REALBOGUS


class LabellingProblem(Protocol):
    """The module ``labelling.py`` of a problem."""

    PLANES: tuple[str, ...]
    SAME_PLACE_ARCSEC: float
    FACTS: Mapping[str, str]
    HISTORY: tuple[str, ...]

    def gold_labels(self, dataset: Dataset, scheme: str) -> dict[str, str]:
        """Return the right label by id of samples of which it is known."""

    def known_object(self, sample: Mapping[str, Any]) -> str | None:
        """Return what a row of the ledger was matched with."""


_PROBLEMS = {GALAXY: galaxies, REALBOGUS: candidates}


def problem_of(dataset: Dataset) -> LabellingProblem:
    """Return the problem of a dataset."""
    return cast(LabellingProblem, _PROBLEMS[dataset.manifest["problem"]])
