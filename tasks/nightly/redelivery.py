"""Rows of a training set that a later delivery of their night replaces."""

from collections.abc import Sequence
from itertools import chain
from typing import cast

import pyarrow as pa

from realbogus.records import BatchKey
from tasks.candidates.building.batches import list_batches
from tasks.candidates.building.build_request import CandidateBuildRequest
from tasks.candidates.building.collect import ReadyTriplets
from tasks.candidates.building.plan import unpublished
from tasks.store.columns import align_column, select_ids
from tasks.store.dataset import Dataset
from tasks.store.versions import stored_rows


def replaced_ids(
    training_set: Dataset, scheme: str, request: CandidateBuildRequest, earlier: Sequence[str]
) -> list[str]:
    """Return the ids of earlier deliveries that the present one has no longer, or with another label.

    A published label never changes, so a row whose label was corrected has none that is right.

    Parameters
    ----------
    training_set : Dataset
        The version to which the present delivery was added.
    scheme : str
        Of the labels.
    request : CandidateBuildRequest
        The build of the present delivery.
    earlier : sequence of str
        Ids that earlier deliveries added.

    Raises
    ------
    SourceError
        The delivery cannot be read.
    """
    labels = align_column(training_set.labels(scheme), "label", earlier).to_pylist()
    delivered = _delivered_labels(training_set, scheme, request)
    return [name for name, label in zip(earlier, labels, strict=True) if delivered.get(name, ...) != label]


def _delivered_labels(training_set: Dataset, scheme: str, request: CandidateBuildRequest) -> dict[str, str | None]:
    """Return the label of each stored row of a delivery; those of frames follow from their injections."""
    collector, batches = list_batches(request)
    if isinstance(collector, ReadyTriplets):
        tables = [_stored_labels(collector, cast(BatchKey, batch.key)) for batch in batches]
    else:
        ids = unpublished(batches, collector, training_set)[1]
        tables = [select_ids(training_set.labels(scheme), ids)]
    pairs = (zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True) for table in tables)
    return dict(chain.from_iterable(pairs))


def _stored_labels(triplets: ReadyTriplets, key: BatchKey) -> pa.Table:
    return stored_rows(triplets.collect(key).table, ["id", "status", "label"])
