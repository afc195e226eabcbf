"""The objects of a plan: which are within the limit, their frames and labels, and which an image is requested of."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from galaxy.images import cutouts
from galaxy.labels.labelling import label_rows
from galaxy.labels.schemes import Scheme, load_scheme
from galaxy.labels.soft_labels import FRACTION
from tasks.galaxies.building.build_request import GalaxyBuildRequest
from tasks.http.faults import is_retried_later
from tasks.store.columns import to_float
from tasks.store.dataset import Dataset
from tasks.store.sampling import hash_order
from tasks.store.schema import STORED

CATALOG_COLUMNS = (
    "id",
    "ra_deg",
    "dec_deg",
    "redshift",
    "r_mag",
    "petro_r90_arcsec",
    "file",
    "asset_id",
)
LABEL_COLUMNS = ("id", "label", "vote_fraction", "votes_at_node")
"""Columns of every label table; where the catalogue has the votes it also has the soft labels."""


def limit_objects(
    table: pa.Table, limit: int | None, seed: int, counted_first: pa.ChunkedArray | None = None
) -> pa.Table:
    """Return the first `limit` rows (None: all) by a hash of id and seed, in order of id.

    A larger limit with the same seed holds the rows of the smaller. Rows whose id is among `counted_first` come before
    the others, and all of them are returned whatever the limit.
    """
    ids = table["id"].to_pylist()
    order = hash_order(ids, seed)
    if counted_first is not None and limit is not None:
        is_first = pc.is_in(table["id"], counted_first.combine_chunks()).to_numpy()
        order = order[np.argsort(~is_first[order], kind="stable")]
        limit = max(limit, int(is_first.sum()))
    chosen = sorted(order[:limit].tolist(), key=lambda position: ids[position])
    return table.take(pa.array(chosen, pa.int64()))


def planned_rows(table: pa.Table, request: GalaxyBuildRequest, parent: Dataset | None) -> pa.Table:
    """Return the plan's rows, one per row of the catalogue `table`.

    Columns: `CATALOG_COLUMNS`; with a scheme those of `label_rows` (``label`` to ``fraction_CLASS``); the frame's
    ``scale_arcsec_per_px, width_arcsec, clipped``; ``left_out``, the reason why an object is not requested, or null;
    and ``state`` of `object_state`.
    """
    table = table.combine_chunks()
    columns: dict[str, Any] = {name: _column(table, name) for name in CATALOG_COLUMNS}
    excluded: list[str | None] = [None] * table.num_rows
    if request.scheme != "none":
        labelled = label_rows(load_scheme(request.scheme), table)
        columns |= {name: labelled[name] for name in label_columns(labelled) if name != "id"}
        excluded = [reason and f"scheme:{reason}" for reason in labelled["excluded"].to_pylist()]
    scale, clipped, frameless = object_frames(table, request)
    columns |= {
        "scale_arcsec_per_px": pa.array(scale, from_pandas=True),
        "width_arcsec": pa.array(scale * request.request_px, from_pandas=True),
        "clipped": pa.array(clipped),
        "left_out": pa.array([why or no_frame for why, no_frame in zip(excluded, frameless, strict=True)], pa.string()),
    }
    columns["state"] = pa.array(_object_states(columns["id"], columns["left_out"], request, parent))
    return pa.table(columns)


def lacking_columns(rows: pa.Table, version: Dataset | None, scheme: Scheme | str | None) -> set[str]:
    """Return the columns of soft labels that a plan's rows have and the version's labels by the scheme lack."""
    name = scheme.name if isinstance(scheme, Scheme) else scheme
    if version is None or name not in version.schemes:
        return set()
    return set(label_columns(rows)) - set(version.labels(name).column_names)


def label_columns(table: pa.Table) -> list[str]:
    """Return the names of a table's columns that a label table has."""
    return [name for name in table.column_names if name in LABEL_COLUMNS or name.startswith(FRACTION)]


def object_frames(
    table: pa.Table, request: GalaxyBuildRequest
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str | None]]:
    """Return the scale in arcsec/px, whether it was clipped, and why there is no frame (else None), (n,) each.

    An archive's images have frames of their own: no scale, and never a reason.
    """
    count = table.num_rows
    if request.source == "archive":
        return np.full(count, np.nan), np.zeros(count, bool), [None] * count
    scale, clipped, reasons = cutouts.frame_scales(
        request.field,
        request.request_px,
        _numbers(table, "petro_r90_arcsec"),
        _numbers(table, "redshift"),
        request.scale_arcsec_per_px,
    )
    has_position = np.isfinite(_numbers(table, "ra_deg")) & np.isfinite(_numbers(table, "dec_deg"))
    reasons = [why if placed else "no_position" for why, placed in zip(reasons, has_position, strict=True)]
    return scale, clipped, reasons


def _object_states(
    ids: pa.ChunkedArray | pa.Array, left_out: pa.Array, request: GalaxyBuildRequest, parent: Dataset | None
) -> list[str]:
    """Return the state of every object; `parent` is the version that the build adds to."""
    published: dict[str, tuple[str, str | None]] = {}
    if parent is not None:
        ledger = parent.samples(["id", "status", "reason"])
        outcomes = zip(ledger["status"].to_pylist(), ledger["reason"].to_pylist(), strict=True)
        published = dict(zip(ledger["id"].to_pylist(), outcomes, strict=True))
    return [
        object_state(published.get(sample_id), why, retry_rejected=request.retry_rejected)
        for sample_id, why in zip(ids.to_pylist(), left_out.to_pylist(), strict=True)
    ]


def object_state(published: tuple[str, str | None] | None, left_out: str | None, *, retry_rejected: bool) -> str:
    """Return ``ask`` (request an image), ``stored``, or ``rejected``.

    Parameters
    ----------
    published : (str, str or None), optional
        Status and reason in the published ledger; None for a new object.
    left_out : str, optional
        Why the scheme or the frame leaves the object out.
    retry_rejected : bool
        Requests also what was rejected for good; see `tasks.http.faults`.
    """
    if left_out is not None:
        return "rejected"
    if published is None:
        return "ask"
    status, reason = published
    if reason is None:
        return "stored" if status == STORED else "ask"
    return "ask" if retry_rejected or is_retried_later(reason) else "rejected"


def _column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """Return a column, or nulls where the catalogue lacks it."""
    types = {"id": pa.string(), "file": pa.string(), "asset_id": pa.int64()}
    if name in table.column_names:
        return table[name].cast(types.get(name, pa.float64()))
    return pa.nulls(table.num_rows, types.get(name, pa.float64()))


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as numbers (n,), NaN for null or an absent column."""
    return to_float(_column(table, name))
