"""Frames as the suites judge them, made from the tables of a dataset.

Tables are Arrow with the columns of the dataset's specification; a frame is pandas, because Great Expectations
judges those. Nothing is repaired: a row that does not fit stays in the frame and fails by name.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations.suites import PART_SHARES


def column_frame(table: pa.Table, wanted: Mapping[str, str], required: Collection[str] = ("id",)) -> pd.DataFrame:
    """Return columns ``column, type, wanted, nans`` for the known columns that a table has or must have.

    Types are Arrow's (a pandas column of integers with a missing value is one of floats). ``nans`` counts the
    NaN values of a column.
    """
    rows = []
    for column, type_name in wanted.items():
        if column in table.column_names:
            values = table[column]
            nans = pc.sum(pc.is_nan(values)).as_py() if pa.types.is_floating(values.type) else 0
            rows.append((column, plain_type(values.type), type_name, nans or 0))
        elif column in required:
            rows.append((column, "missing", type_name, 0))
    return pd.DataFrame(rows, columns=["column", "type", "wanted", "nans"])


def plain_type(kind: pa.DataType) -> str:
    """Return an Arrow type's name without what only its storage knows."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return "string" if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else str(kind)


def image_frame(images: pa.Table, published: Iterable[str] = ()) -> pd.DataFrame:
    """Return the images and their columns, those of published rows first, then by id: the first of equals stays."""
    frame = images.to_pandas()
    frame["new"] = ~frame["id"].isin(list(published))
    return frame.sort_values(["new", "id"], ignore_index=True)


def label_frame(labels: pa.Table, samples: pa.Table) -> pd.DataFrame:
    """Return the labels and, as column ``status``, that of the ledger (``unknown`` where it lacks the id)."""
    frame = labels.to_pandas().merge(_first_by_id(samples, ["id", "status"]), on="id", how="left")
    return frame.assign(status=frame["status"].fillna("unknown"))


def split_frame(split: pa.Table, samples: pa.Table) -> pd.DataFrame:
    """Return columns ``id, group, part, ledger_group, status, pixel_sha256`` of all that is stored or has a part."""
    ledger = _first_by_id(samples, ["id", "group", "status", "pixel_sha256"])
    frame = split.to_pandas().merge(ledger.rename(columns={"group": "ledger_group"}), on="id", how="outer")
    frame = frame[frame["part"].notna() | (frame["status"] == "stored")]
    return frame.reset_index(drop=True)


def class_frame(
    classes: Iterable[str],
    labels: pa.Table,
    split: pa.Table,
    expected: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Return one row a class, columns ``class, expected``, ``groups``, groups in each part, and ``least_part`` of them.

    ``expected`` is how many groups (or rows) of a class were asked for or stood in the parent version.
    """
    labelled = _first_by_id(labels, ["id", "label"]).merge(_first_by_id(split, ["id", "group", "part"]), on="id")
    names = list(classes)
    groups = labelled.groupby("label")["group"].nunique().reindex(names, fill_value=0)
    parts = labelled.groupby(["label", "part"])["group"].nunique().unstack(fill_value=0)
    parts = parts.reindex(index=names, columns=list(PART_SHARES), fill_value=0).astype("int64")
    wanted = [int((expected or {}).get(name, 0)) for name in names]
    frame = pd.DataFrame({"class": names, "expected": wanted, "groups": groups.to_numpy("int64")})
    for part in PART_SHARES:
        frame[part] = parts[part].to_numpy()
    return frame.assign(least_part=frame[list(PART_SHARES)].min(axis=1))


def share_frame(split: pa.Table, labels: pa.Table | None = None, *, drawn: bool = True) -> pd.DataFrame:
    """Return one row a part, columns ``part, rows, share, wanted, deviation, tolerance`` (the last two in rows).

    Whole groups of a stratum fit a share to within the stratum's largest group, so the tolerance is the sum of
    those over the classes. Where groups came after the split was ``drawn``, each was placed by its hash, which
    adds four standard deviations of such a draw.
    """
    frame = _first_by_id(split, ["id", "group", "part"])
    frame["label"] = None
    if labels is not None:
        frame = frame.drop(columns="label").merge(_first_by_id(labels, ["id", "label"]), on="id", how="left")
    sizes = frame.groupby("group").size()
    largest = frame.assign(size=frame["group"].map(sizes)).groupby("label", dropna=False)["size"].max().sum()
    placed = 0.0 if drawn else float(np.sum(sizes.to_numpy(float) ** 2))
    rows = frame["part"].value_counts()
    return pd.DataFrame([_share_row(part, rows, len(frame), float(largest), placed) for part in PART_SHARES])


def _share_row(part: str, rows: pd.Series, total: int, largest: float, placed: float) -> dict[str, object]:
    wanted, here = PART_SHARES[part], int(rows.get(part, 0))
    whole = largest * (len(PART_SHARES) - 1 if part == "train" else 1)  # train takes what the others lack
    return {
        "part": part,
        "rows": here,
        "share": here / total if total else 0.0,
        "wanted": wanted,
        "deviation": abs(here - wanted * total),
        "tolerance": whole + 4 * float(np.sqrt(wanted * (1 - wanted) * placed)),
    }


def _first_by_id(table: pa.Table, columns: list[str]) -> pd.DataFrame:
    # A repeated id fails by its own expectation; joined as it is, it would multiply rows.
    return table.select(columns).to_pandas().drop_duplicates("id")
