"""Whether a scheme fits a dataset and a catalogue: refused at the plan where it does not."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from galaxy.labels.labelling import class_counts
from galaxy.labels.schemes import Scheme, SchemeError
from tasks.store.dataset import Dataset
from tasks.store.errors import StoreError

_SHOWN = 8


def require_same_scheme(scheme: Scheme | None, published: Dataset | None) -> None:
    """Refuse a scheme whose name the dataset has for other rules: published labels never change.

    Raises
    ------
    StoreError
        Names both digests.
    """
    if scheme is None or published is None or scheme.name not in published.schemes:
        return
    digest = published.manifest["schemes"][scheme.name]["digest"]
    if digest != scheme.digest:
        raise StoreError(
            f"dataset {published.name!r} is labelled by another scheme of the name {scheme.name!r} (digest "
            f"{digest[:12]}, given {scheme.digest[:12]}), and labels never change: give the scheme another name"
        )


def require_labels(scheme: Scheme, rows: pa.Table, catalogue: pa.Table, catalog: str) -> None:
    """Refuse a scheme that leaves out every object.

    Parameters
    ----------
    scheme : Scheme
    rows : Table
        The plan's rows.
    catalogue : Table
        All rows of the catalogue.
    catalog : str
        Name of the catalogue's file.

    Raises
    ------
    SchemeError
        Names the reasons.
    """
    if rows["label"].null_count < rows.num_rows:
        return
    reasons = Counter(rows["left_out"].to_pylist()).most_common(_SHOWN)
    requested = catalogue.filter(pc.is_in(catalogue["id"], rows["id"].combine_chunks()))
    raise SchemeError(
        f"scheme {scheme.name} leaves out all {rows.num_rows} requested objects of catalogue {catalog}: "
        f"{', '.join(f'{reason} {count}' for reason, count in reasons)}{_texts(scheme, requested)}; "
        "change its rules or cuts, or give another catalogue"
    )


def require_classes(scheme: Scheme, rows: pa.Table, catalogue: pa.Table, catalog: str) -> None:
    """Refuse a scheme of which a class has no object in the whole catalogue.

    A class that only the objects of the plan lack, fewer than the catalogue's, is no error.

    Parameters
    ----------
    scheme : Scheme
    rows : Table
        The plan's rows.
    catalogue : Table
        All rows of the catalogue.
    catalog : str
        Name of the catalogue's file.

    Raises
    ------
    SchemeError
        Names the classes.
    """
    present = set(pc.unique(rows["label"]).to_pylist())
    if present.issuperset(scheme.classes):
        return
    counts, _ = class_counts(scheme, catalogue)
    missing = [name for name, count in counts.items() if count == 0]
    if missing:
        raise SchemeError(
            f"no object of catalogue {catalog} is of class {', '.join(map(repr, missing))} of scheme {scheme.name}"
            f"{_texts(scheme, catalogue)}; mend the rules, leave the class out, or give another catalogue"
        )


def _texts(scheme: Scheme, catalogue: pa.Table) -> str:
    """Return the commonest texts of the scheme's columns, or nothing where the table lacks them."""
    names = [name for name in scheme.columns if name in catalogue.column_names]
    if not names:
        return ""
    texts = pc.coalesce(*(catalogue[name].cast(pa.string()) for name in names)).drop_null()
    common = Counter({item["values"]: item["counts"] for item in pc.value_counts(texts).to_pylist()}).most_common(
        _SHOWN
    )
    return f"; its {' or '.join(names)} says {', '.join(f'{text!r} ({count})' for text, count in common) or 'nothing'}"
