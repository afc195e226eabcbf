"""The classes of a published catalogue, and which of its objects each prediction is: by id, else by position."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tasks.store.columns import positions_of, to_float
from tasks.store.sky_coordinates import chord, unit_vectors
from tasks.tables.roles import ROLES, ColumnRoleError, check_named, find_roles
from tasks.tables.table_files import TableError, TableFile, open_table
from tasks.tables.units import read_in_units

CLASS = "class"
PLACE_ROLES = ("id", "ra", "dec")
_TYPES = {"id": pa.string(), "ra": pa.float64(), "dec": pa.float64(), CLASS: pa.string()}


@dataclass(frozen=True)
class PublishedClasses:
    """A catalogue with a class for each object.

    Attributes
    ----------
    rows : Table
        ``id``, ``ra``, ``dec`` (deg) and ``class``; null where missing.
    understood : dict
        Role -> the table's column, as written there.
    """

    rows: pa.Table
    understood: dict[str, str]


def read_published_classes(path: Path, columns: Mapping[str, str]) -> PublishedClasses:
    """Read a table of any format that an ingest reads.

    Parameters
    ----------
    path : Path
    columns : mapping of str to str
        ``class`` -> the table's column of classes; also ``id``, ``ra`` and ``dec`` where names do not tell.

    Raises
    ------
    TableError
        The table cannot be read, or its ids are floating-point numbers.
    ColumnRoleError
        It lacks a named column, no column of classes is named, or its objects have neither ids nor positions.
    """
    named = {role: column.strip().lower() for role, column in columns.items()}
    with open_table(path) as table:
        shown = ", ".join(table.spelling.get(name, name) for name in table.columns)
        if CLASS not in named:
            raise ColumnRoleError(
                f'columns names no column of classes for table {path}: say columns=\'{{"class": "..."}}\'; it has '
                f"{shown}"
            )
        check_named(named, (*PLACE_ROLES, CLASS))
        found = table.find(named.pop(CLASS))
        if found is None:
            raise ColumnRoleError(
                f"columns names {columns[CLASS]!r} for class, which table {path} lacks; it has {shown}"
            )
        roles = find_roles(path, table.columns, PLACE_ROLES, named) | {CLASS: found}
        _require_places(table, roles, shown)
        units = {roles[role]: ROLES[role].unit for role in ("ra", "dec") if role in roles}
        wanted = {column: _TYPES[role] for role, column in roles.items()}
        batches = list(read_in_units(table, wanted, units))
        understood = {role: table.spelling.get(column, column) for role, column in roles.items()}
    read = pa.Table.from_batches(batches, pa.schema(list(wanted.items())))
    rows = pa.table(
        {role: read[roles[role]] if role in roles else pa.nulls(read.num_rows, kind) for role, kind in _TYPES.items()}
    )
    return PublishedClasses(rows, understood)


def _require_places(table: TableFile, roles: Mapping[str, str], shown: str) -> None:
    if "id" in roles and roles["id"] in table.float_columns:
        raise TableError(
            f"table {table.path}: id column {roles['id']!r} is floating point, so 18-digit ids have lost their last "
            "digits; export the table again with the ids as text or 64-bit integers"
        )
    if "id" not in roles and not {"ra", "dec"} <= set(roles):
        raise ColumnRoleError(
            f"table {table.path} has neither ids nor positions that are known by name; name them with "
            f'columns=\'{{"id": "..."}}\' or ra and dec; it has {shown}'
        )


@dataclass(frozen=True)
class Match:
    """Which catalogue row each of n predictions is.

    Attributes
    ----------
    rows : (n,) int64
        -1 where there is none.
    by_id : (n,) bool
    taken : (n,) bool
        The nearest catalogue row is nearer to another prediction, or is one of another's id.
    """

    rows: NDArray[np.int64]
    by_id: NDArray[np.bool_]
    taken: NDArray[np.bool_]


def match_catalogue(predictions: pa.Table, catalogue: pa.Table, radius_arcsec: float) -> Match:
    """Find predictions (``id``, ``ra_deg``, ``dec_deg``) in a catalogue (`PublishedClasses.rows`), each row once.

    An id goes before a position; of several rows with one id the first counts. A position means the nearest row within
    `radius_arcsec`.
    """
    has_id = pc.is_valid(catalogue["id"]).to_numpy(zero_copy_only=False)
    numbers = np.flatnonzero(has_id)
    found = positions_of(predictions["id"], catalogue["id"].filter(pa.array(has_id)))
    rows = np.where(found >= 0, numbers[found] if len(numbers) else -1, -1)
    by_id = rows >= 0
    near, distance = _nearest(predictions, catalogue, radius_arcsec)
    near[by_id] = -1
    taken = np.isin(near, rows[by_id]) & (near >= 0)
    candidates = np.flatnonzero((near >= 0) & ~taken)
    order = candidates[np.argsort(distance[candidates], kind="stable")]
    _, firsts = np.unique(near[order], return_index=True)
    rows[order[firsts]] = near[order[firsts]]
    taken[np.setdiff1d(candidates, order[firsts])] = True
    return Match(rows, by_id, taken)


def _nearest(
    predictions: pa.Table, catalogue: pa.Table, radius_arcsec: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the nearest catalogue row within the radius, (n,), -1 where there is none, and its chord."""
    points = unit_vectors(to_float(predictions["ra_deg"]), to_float(predictions["dec_deg"]))
    others = unit_vectors(to_float(catalogue["ra"]), to_float(catalogue["dec"]))
    near, distance = np.full(len(points), -1, np.int64), np.full(len(points), np.inf)
    placed = np.flatnonzero(np.isfinite(others).all(axis=1))
    asked = np.flatnonzero(np.isfinite(points).all(axis=1))
    if len(placed) and len(asked):
        found, positions = cKDTree(others[placed]).query(points[asked], distance_upper_bound=chord(radius_arcsec))
        is_near = np.isfinite(found)
        near[asked[is_near]], distance[asked[is_near]] = placed[positions[is_near]], found[is_near]
    return near, distance


def contradicted_ids(catalogue: pa.Table) -> pa.Array:
    """Return the ids that several rows of a catalogue (`PublishedClasses.rows`) give different classes."""
    counts = catalogue.group_by("id").aggregate([(CLASS, "count_distinct")])
    return counts.filter(pc.greater(counts[f"{CLASS}_count_distinct"], 1))["id"].combine_chunks()
