"""Soft labels of a dataset's samples: the shares of the classes by the volunteers' votes, as targets of a fit."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from galaxy.labels.soft_labels import FRACTION
from tasks.learning.split_parts import SplitPart
from tasks.store.columns import align_rows, to_float
from tasks.store.dataset import Dataset
from tasks.training.methods import MethodError


def has_vote_shares(dataset: Dataset, scheme: str) -> bool:
    """Return whether the dataset's labels have the vote fractions of every class."""
    return set(_columns(dataset, scheme)) <= set(dataset.labels(scheme).column_names)


def vote_shares(dataset: Dataset, scheme: str, ids: Sequence[str]) -> NDArray[np.float32] | None:
    """Return the volunteers' shares of the classes, (n, classes), a row of NaN where they are unknown.

    None where the dataset's labels have no vote fractions.
    """
    if not has_vote_shares(dataset, scheme):
        return None
    names = _columns(dataset, scheme)
    aligned = align_rows(dataset.labels(scheme).select(["id", *names]), ids)
    shares = np.stack([to_float(aligned[name]) for name in names], axis=1).astype(np.float32)
    return np.where(np.isfinite(shares).all(axis=1, keepdims=True), shares, np.float32(np.nan))


def with_soft_labels(part: SplitPart, dataset: Dataset, scheme: str) -> SplitPart:
    """Return the part with the vote fractions of its samples as targets; one whose votes are unknown keeps its label.

    Parameters
    ----------
    part : SplitPart
        n samples.
    dataset : Dataset
    scheme : str

    Raises
    ------
    MethodError
        The dataset's labels have no vote fractions, or those of none of the samples.
    """
    shares = vote_shares(dataset, scheme, part.ids)
    if shares is None:
        raise MethodError(
            f"soft_labels: the labels of scheme {scheme!r} in dataset {dataset.name!r} version {dataset.version} have "
            "no vote fractions: run backfill-class-scheme for it, if its catalogue has the votes of a gz2 scheme, else "
            "ingest a table with votes and name it there as catalog="
        )
    known = np.isfinite(shares[:, :1])
    if not known.any():
        raise MethodError(
            f"soft_labels: no sample of scheme {scheme!r} in dataset {dataset.name!r} has votes: ingest a table with "
            "votes and run backfill-class-scheme with it as catalog="
        )
    return replace(part, targets=np.where(known, shares, part.shares(shares.shape[1])))


def _columns(dataset: Dataset, scheme: str) -> list[str]:
    return [f"{FRACTION}{name}" for name in dataset.classes(scheme)]
