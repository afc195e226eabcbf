"""Labelled rows of a dataset: those of one part of its split, and folds over all of them.

A class is its position in the scheme's order; a rejected or unstored sample is not a row, an unlabelled one only
where it is asked for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.split_shares import ALL, PARTS
from tasks.store.dataset import Dataset
from tasks.store.sampling import hash_shares

UNLABELLED = -1
VALIDATION_SHARE = 10


class LeakError(ValueError):
    """A group, or the same pixels, stand in two parts of a split."""


class PartError(ValueError):
    """A part of a dataset cannot be trained on or judged."""


@dataclass(frozen=True)
class SplitPart:
    """Samples with their labels, sorted by row.

    Attributes
    ----------
    ids : list of str
    rows : (n,) int64
        Rows of the pixel array.
    labels : (n,) int32
        Positions in the scheme's classes, `UNLABELLED` where there is none.
    groups : list of str
        What must not be torn apart.
    """

    ids: list[str]
    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    groups: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: NDArray) -> "SplitPart":
        """Return the samples at `positions`, in their order."""
        return SplitPart(
            [self.ids[position] for position in positions],
            self.rows[positions],
            self.labels[positions],
            [self.groups[position] for position in positions],
        )

    def joined(self, other: "SplitPart") -> "SplitPart":
        """Return the samples of both, sorted by row."""
        rows = np.concatenate([self.rows, other.rows])
        labels = np.concatenate([self.labels, other.labels])
        both = SplitPart(self.ids + other.ids, rows, labels, self.groups + other.groups)
        return both.take(np.argsort(rows, kind="stable"))


def part_rows(
    dataset: Dataset, scheme: str, part: str, labels: str | None = None, *, unlabelled: bool = False
) -> SplitPart:
    """Return the labelled samples of `part` (train, validation, test or all).

    Parameters
    ----------
    dataset : Dataset
    scheme : str
        One of the dataset's schemes.
    part : str
    labels : str, optional
        A relabelling's name; the original labels where it is None.
    unlabelled : bool
        Samples without a label too, as semi-supervised training takes them.

    Raises
    ------
    PartError
        The part's name is unknown, the dataset has no split, the part has no labelled sample, or a label is
        none of the scheme's classes.
    LeakError
        A group or an image stands in two parts of the split.
    """
    if part not in (*PARTS, ALL):
        raise PartError(f"split={part!r} is no part; there are {', '.join(PARTS)} and {ALL}")
    classes = dataset.classes(scheme)
    split = dataset.split()
    if split is None:
        raise PartError(f"dataset {dataset.name!r} version {dataset.version} has no split: build it with a scheme")
    table = _labelled(dataset, split, scheme, labels, unlabelled)
    check_no_leak(*(table[column].to_pylist() for column in ("group", "part", "pixel_sha256")))
    chosen = table if part == ALL else table.filter(pc.equal(table["part"], part))
    if not len(chosen):
        raise PartError(f"part {part!r} of dataset {dataset.name!r} has no sample labelled by {scheme!r}")
    return SplitPart(
        chosen["id"].to_pylist(),
        chosen["row"].to_numpy().astype(np.int64),
        _class_positions(chosen, classes, scheme),
        chosen["group"].to_pylist(),
    )


def require_every_class(part: SplitPart, classes: Sequence[str], what: str) -> None:
    """Refuse to train where a class of the scheme has no sample."""
    counts = Counter(part.labels.tolist())
    missing = [name for position, name in enumerate(classes) if not counts[position]]
    if missing:
        raise PartError(
            f"{what} has no sample of {', '.join(missing)} among its {len(part)}: build a larger dataset "
            "or choose a scheme without them"
        )


def draw_folds(part: SplitPart, count: int, seed: int) -> NDArray[np.int32]:
    """Return the fold of every sample: whole groups, each class spread as evenly as the groups allow.

    Groups are taken largest first, equal ones in the order of a keyed hash, and each goes to the fold that
    holds least of the group's classes.

    Parameters
    ----------
    part : SplitPart
    count : int
        At least 2, at most the number of groups.
    seed : int

    Returns
    -------
    (n,) int32, each in [0, count)
    """
    names, group_of = np.unique(np.asarray(part.groups), return_inverse=True)
    if not 2 <= count <= len(names):
        raise PartError(f"folds={count} is not between 2 and the {len(names)} groups of the dataset")
    strata = part.labels - part.labels.min()  # the unlabelled are a stratum of their own
    brings = np.zeros((len(names), int(strata.max()) + 1), np.int64)
    np.add.at(brings, (group_of, strata), 1)
    shares = brings / np.maximum(brings.sum(axis=0), 1)
    order = np.lexsort((hash_shares(names.tolist(), seed), -brings.sum(axis=1)))
    filled, held = np.zeros((count, brings.shape[1])), np.zeros(count)
    fold_of_group = np.empty(len(names), np.int32)
    for at in order:
        fold = int(np.lexsort((held, filled @ (shares[at] > 0)))[0])
        fold_of_group[at] = fold
        filled[fold] += shares[at]
        held[fold] += brings[at].sum()
    return fold_of_group[group_of]


def fold_sides(
    part: SplitPart, fold_of: NDArray[np.int32], fold: int, seed: int
) -> tuple[SplitPart, SplitPart, SplitPart]:
    """Return train, validation and the samples to judge of one fold; a tenth of the others' groups validates.

    Of fewer than ten groups one does; with one alone there is nothing to fit to.
    """
    judged = fold_of == fold
    rest = part.take(np.flatnonzero(~judged))
    groups = len(set(rest.groups))
    if groups < 2:
        raise PartError(f"outside of fold {fold + 1} is one group only, which cannot both train and validate")
    aside = draw_folds(rest, min(VALIDATION_SHARE, groups), seed) == 0
    return (
        rest.take(np.flatnonzero(~aside)),
        rest.take(np.flatnonzero(aside)),
        part.take(np.flatnonzero(judged)),
    )


def _labelled(dataset: Dataset, split: pa.Table, scheme: str, labels: str | None, unlabelled: bool) -> pa.Table:
    """Return id, row, group, part, label and pixel digest of every stored sample that counts, sorted by row."""
    ledger = dataset.samples(["id", "row", "pixel_sha256"])
    wanted = dataset.labels(scheme, labels).select(["id", "label"])
    table = ledger.filter(pc.is_valid(ledger["row"]))
    wanted = wanted if unlabelled else wanted.filter(pc.is_valid(wanted["label"]))
    table = table.join(wanted, "id", join_type="inner")
    return table.join(split.select(["id", "group", "part"]), "id", join_type="inner").sort_by("row")


def _class_positions(table: pa.Table, classes: list[str], scheme: str) -> NDArray[np.int32]:
    positions = pc.index_in(table["label"], value_set=pa.array(classes, table["label"].type))
    strange = pc.unique(table["label"].filter(pc.and_(pc.is_null(positions), pc.is_valid(table["label"])))).to_pylist()
    if strange:
        raise PartError(f"labels of scheme {scheme!r} hold {strange}, its classes are {classes}")
    return pc.fill_null(positions, UNLABELLED).to_numpy().astype(np.int32)


__all__ = [
    "ALL",
    "UNLABELLED",
    "LeakError",
    "PartError",
    "SplitPart",
    "draw_folds",
    "fold_sides",
    "part_rows",
    "require_every_class",
]


def check_no_leak(groups: Sequence[str], parts: Sequence[str], digests: Sequence[str]) -> None:
    """Refuse a split in which a group or a pixel digest stands in two parts.

    Raises
    ------
    LeakError
        Naming the first five of them.
    """
    for what, keys in (("group", groups), ("pixel sha256", digests)):
        seen: dict[str, str] = {}
        torn = [key for key, part in zip(keys, parts, strict=True) if seen.setdefault(key, part) != part]
        if torn:
            first = ", ".join(sorted(set(torn))[:5])
            raise LeakError(f"{len(set(torn))} {what}s stand in two parts of the split, such as {first}")
