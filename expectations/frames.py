"""Frames for the suites, made from the tables of a dataset.

Tables are Arrow with the columns of the dataset's specification; frames are pandas, which Great Expectations validates.
Nothing is repaired: an invalid row stays in the frame and fails an expectation.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations.split_shares import PART_SHARES
from galaxy.labels.soft_labels import FRACTION

DEVIATIONS = 5.0
"""Of a part that late groups were placed in by their hash: legitimate growth exceeds it once in a hundred thousand."""


def column_frame(table: pa.Table, types: Mapping[str, str], required: Collection[str] = ("id",)) -> pd.DataFrame:
    """Return columns ``column, type, wanted, nans`` for the columns of `types` that a table has or must have.

    Types are Arrow's, because pandas stores integers with a missing value as floats. ``wanted`` is the expected type,
    ``nans`` the number of NaN values.
    """
    rows = []
    for column, type_name in types.items():
        if column in table.column_names:
            values = table[column]
            nans = pc.sum(pc.is_nan(values)).as_py() if pa.types.is_floating(values.type) else 0
            rows.append((column, plain_type(values.type), type_name, nans or 0))
        elif column in required:
            rows.append((column, "missing", type_name, 0))
    return pd.DataFrame(rows, columns=["column", "type", "wanted", "nans"])


def plain_type(kind: pa.DataType) -> str:
    """Return the name of an Arrow type, whatever its encoding (dictionary, large string or string view)."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return "string" if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else str(kind)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a frame with the same columns and Arrow strings: Python's take three times the memory."""
    return table.to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get)


def image_frame(images: pa.Table, published: pa.Array | None = None) -> pd.DataFrame:
    """Return the images' columns sorted by (not published, id), so that the first of equal images is the one to keep.

    `published` holds the ids of published images.
    """
    frame = as_frame(images)
    frame["new"] = True if published is None else pc.invert(pc.is_in(images["id"], published)).to_numpy()
    return frame.sort_values(["new", "id"], ignore_index=True)


def label_frame(labels: pa.Table, samples: pa.Table) -> pd.DataFrame:
    """Return the columns of the labels and the ledger's ``status``, ``unknown`` for an id that the ledger lacks.

    In place of the columns of a soft label are their sum and the least of them, ``fraction_sum, fraction_least``.
    """
    status = pc.fill_null(_of(labels["id"], samples, "status"), "unknown")
    names = [name for name in labels.column_names if name.startswith(FRACTION)]
    frame = as_frame(labels.drop_columns(names).append_column("status", status))
    if names:
        fractions = labels.select(names).to_pandas().to_numpy()
        frame["fraction_sum"], frame["fraction_least"] = fractions.sum(axis=1), fractions.min(axis=1)
    return frame


def split_frame(split: pa.Table, samples: pa.Table) -> pd.DataFrame:
    """Return columns ``id, group, part, ledger_group, status, pixel_sha256`` of samples stored or with a part."""
    without_part = samples.filter(
        pc.and_(pc.equal(samples["status"], "stored"), pc.invert(_among(samples["id"], split)))
    )
    rows = pa.concat_tables(
        [
            split.select(["id", "group", "part"]),
            pa.table(
                {
                    "id": without_part["id"],
                    **dict.fromkeys(("group", "part"), pa.nulls(without_part.num_rows, pa.string())),
                }
            ),
        ],
        promote_options="permissive",
    )
    for column, name in (("ledger_group", "group"), ("status", "status"), ("pixel_sha256", "pixel_sha256")):
        rows = rows.append_column(column, _of(rows["id"], samples, name))
    return as_frame(rows)


def class_frame(
    classes: Iterable[str],
    labels: pa.Table,
    split: pa.Table,
    expected: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Return one row per class: columns ``class, expected, groups``, groups of each part, ``least_part`` (the fewest).

    ``expected`` is the number of groups (or rows) of a class that were requested or were in the parent version.
    """
    names = list(classes)
    columns = {"label": _of(split["id"], labels, "label"), "group": split["group"], "part": split["part"]}
    labelled = pa.table(columns).drop_null()
    frame = pd.DataFrame({"class": names, "expected": [int((expected or {}).get(name, 0)) for name in names]})
    frame["groups"] = _groups_of_each(labelled, names)
    for part in PART_SHARES:
        frame[part] = _groups_of_each(labelled.filter(pc.equal(labelled["part"], part)), names)
    return frame.assign(least_part=frame[list(PART_SHARES)].min(axis=1))


def share_frame(
    split: pa.Table, labels: pa.Table | None = None, *, published: pa.Table | None = None, test_only: str = ""
) -> pd.DataFrame:
    """Return one row per part, columns ``part, rows, share, wanted, deviation, tolerance`` (the last two in rows).

    Rows and share are of the whole split. Deviation and tolerance are of the rows that this version gave a part to:
    those of groups that the `published` split lacks and whose name does not begin with `test_only`.

    Without a published split the parts were drawn. Whole groups of a class meet a share to within the class's largest
    group, so the tolerance is the sum of those over the classes. Late groups were placed by a hash, each by itself: the
    tolerance is then the largest of them and `DEVIATIONS` standard deviations of such a draw.
    """
    placed = _placed_rows(split, published, test_only)
    by_groups, hash_variance = _drawn_tolerance(placed, labels) if published is None else _hash_tolerance(placed)
    rows, placed_rows = _rows_of_parts(split), _rows_of_parts(placed)
    table = []
    for part, share in PART_SHARES.items():
        # Drawn whole, train takes what the others lack.
        unit = by_groups * (len(PART_SHARES) - 1 if part == "train" else 1)
        table.append(
            {
                "part": part,
                "rows": rows.get(part, 0),
                "share": rows.get(part, 0) / split.num_rows if split.num_rows else 0.0,
                "wanted": share,
                "deviation": abs(placed_rows.get(part, 0) - share * placed.num_rows),
                "tolerance": unit + DEVIATIONS * float(np.sqrt(share * (1 - share) * hash_variance)),
            }
        )
    return pd.DataFrame(table)


def _drawn_tolerance(placed: pa.Table, labels: pa.Table | None) -> tuple[float, float]:
    """Return the rows of every class's largest group, summed, and no variance of a draw by hash."""
    groups = _codes(placed["group"])
    sizes = np.bincount(groups)
    label = pa.nulls(placed.num_rows, pa.string()) if labels is None else _of(placed["id"], labels, "label")
    strata = _codes(label)
    largest = np.zeros(strata.max(initial=-1) + 1)
    np.maximum.at(largest, strata, sizes[groups])
    return float(largest.sum()), 0.0


def _hash_tolerance(placed: pa.Table) -> tuple[float, float]:
    """Return the rows of the largest group, and the sum of squared sizes: times p(1-p), the variance of a part."""
    sizes = np.bincount(_codes(placed["group"])).astype(float)
    return float(sizes.max(initial=0.0)), float(np.sum(sizes**2))


def _placed_rows(split: pa.Table, published: pa.Table | None, test_only: str) -> pa.Table:
    """Return the rows of the groups that are not in the published split and do not begin with the prefix."""
    if test_only:
        split = split.filter(pc.invert(pc.starts_with(split["group"], test_only)))
    if published is not None:
        split = split.filter(pc.invert(pc.is_in(split["group"], pc.unique(published["group"]))))
    return split


def _rows_of_parts(split: pa.Table) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(split["part"]).to_pylist()}


def _of(ids: pa.ChunkedArray, table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column of `table` for each of `ids`; null for an id that the table lacks.

    Of a repeated id, which fails another expectation, the first row counts.
    """
    return table[name].take(pc.index_in(ids, table["id"].combine_chunks()))


def _among(ids: pa.ChunkedArray, table: pa.Table) -> pa.ChunkedArray:
    return pc.is_in(ids, table["id"].combine_chunks())


def _groups_of_each(labelled: pa.Table, names: list[str]) -> list[int]:
    counted = labelled.group_by("label").aggregate([("group", "count_distinct")]).to_pydict()
    groups = dict(zip(counted["label"], counted["group_count_distinct"], strict=True))
    return [groups.get(name, 0) for name in names]


def _codes(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return an integer code for each value, (n,); missing values share one."""
    return np.asarray(pc.index_in(values, pc.unique(values)))
