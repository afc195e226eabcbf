"""Labelled samples of a dataset: those of one part of its split, and folds over all.

A class is given by its position in the scheme's order. Rejected samples are never included, unlabelled ones only on
request.
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
"""A fold's validation part is one of this many parts of the groups outside of the fold."""


class LeakError(ValueError):
    """A group, or the same pixels, are in two parts of a split."""


class PartError(ValueError):
    """A part of a dataset cannot be trained or evaluated on."""


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
        Samples of one group are never divided between parts or folds.
    targets : (n, classes) float32, optional
        What a fit learns in place of `labels`: the share of each class, times the sample's weight in the loss, which is
        the sum of a row. A row of zeros is unlabelled.
    """

    ids: list[str]
    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    groups: list[str]
    targets: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: NDArray) -> "SplitPart":
        """Return the samples at `positions` (n,), in their order."""
        return SplitPart(
            [self.ids[position] for position in positions],
            self.rows[positions],
            self.labels[positions],
            [self.groups[position] for position in positions],
            None if self.targets is None else self.targets[positions],
        )

    def join(self, other: "SplitPart") -> "SplitPart":
        """Return the samples of both parts, sorted by row."""
        rows = np.concatenate([self.rows, other.rows])
        labels = np.concatenate([self.labels, other.labels])
        targets = None
        known = next((part.targets for part in (self, other) if part.targets is not None), None)
        if known is not None:
            targets = np.concatenate([part.shares(known.shape[1]) for part in (self, other)])
        whole = SplitPart(self.ids + other.ids, rows, labels, self.groups + other.groups, targets)
        return whole.take(np.argsort(rows, kind="stable"))

    def shares(self, classes: int) -> NDArray[np.float32]:
        """Return the targets, or the labels as such: (n, classes) float32, zeros where there is no label."""
        if self.targets is not None:
            return self.targets
        return (self.labels[:, None] == np.arange(classes)).astype(np.float32)


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
        Name of a relabelling; None: the original labels.
    unlabelled : bool
        Include samples without a label, for semi-supervised training.

    Raises
    ------
    PartError
        The part's name is unknown, the dataset has no split, the part has no labelled sample, or a label is
        none of the scheme's classes.
    LeakError
        A group or an image is in two parts of the split.
    """
    if part not in (*PARTS, ALL):
        raise PartError(f"split={part!r} is no part; there are {', '.join(PARTS)} and {ALL}")
    classes = dataset.classes(scheme)
    split = dataset.split()
    if split is None:
        raise PartError(f"dataset {dataset.name!r} version {dataset.version} has no split: build it with a scheme")
    table = _labelled(dataset, split, scheme, labels, unlabelled)
    check_no_leak(*(table[column].to_pylist() for column in ("group", "part", "pixel_sha256")))
    table = table if part == ALL else table.filter(pc.equal(table["part"], part))
    if not len(table):
        advice = dataset.manifest.get("split_advice")
        raise PartError(
            f"part {part!r} of dataset {dataset.name!r} has no sample labelled by {scheme!r}"
            + (f": {advice}" if advice else "")
        )
    return SplitPart(
        table["id"].to_pylist(),
        table["row"].to_numpy().astype(np.int64),
        _class_positions(table, classes, scheme),
        table["group"].to_pylist(),
    )


def require_every_class(part: SplitPart, classes: Sequence[str], what: str) -> None:
    """Raise `PartError` if a class has no sample; `what` names the part in the message."""
    counts = Counter(part.labels.tolist())
    missing = [name for position, name in enumerate(classes) if not counts[position]]
    if missing:
        raise PartError(
            f"{what} has no sample of {', '.join(missing)} among its {len(part)}: build a larger dataset "
            "or choose a scheme without them"
        )


def draw_folds(part: SplitPart, count: int, seed: int) -> NDArray[np.int32]:
    """Return the fold of every sample: whole groups, each class spread as evenly as the groups allow.

    Groups are taken largest first, equal ones in the order of a keyed hash, and each goes to the fold that holds the
    smallest fraction of the group's classes. (scikit-learn's ``StratifiedGroupKFold`` depends on the order of the
    samples; these folds do not.)

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
    counts = np.zeros((len(names), int(strata.max()) + 1), np.int64)
    np.add.at(counts, (group_of, strata), 1)
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    order = np.lexsort((hash_shares(names.tolist(), seed), -counts.sum(axis=1)))
    fold_shares, fold_sizes = np.zeros((count, counts.shape[1])), np.zeros(count)
    fold_of_group = np.empty(len(names), np.int32)
    for group in order:
        fold = int(np.lexsort((fold_sizes, fold_shares @ (shares[group] > 0)))[0])
        fold_of_group[group] = fold
        fold_shares[fold] += shares[group]
        fold_sizes[fold] += counts[group].sum()
    return fold_of_group[group_of]


def split_fold(
    part: SplitPart, fold_of: NDArray[np.int32], fold: int, seed: int
) -> tuple[SplitPart, SplitPart, SplitPart]:
    """Return the training, validation and left-out samples of one fold.

    A tenth of the groups outside of the fold, at least one, is the validation part.

    Parameters
    ----------
    part : SplitPart
    fold_of : (n,) int32
        From `draw_folds`.
    fold : int
        From 0.
    seed : int

    Raises
    ------
    PartError
        Fewer than two groups are outside of the fold.
    """
    in_fold = fold_of == fold
    rest = part.take(np.flatnonzero(~in_fold))
    groups = len(set(rest.groups))
    if groups < 2:
        raise PartError(f"outside of fold {fold + 1} is one group only, which cannot both train and validate")
    validates = draw_folds(rest, min(VALIDATION_SHARE, groups), seed) == 0
    return (
        rest.take(np.flatnonzero(~validates)),
        rest.take(np.flatnonzero(validates)),
        part.take(np.flatnonzero(in_fold)),
    )


def _labelled(dataset: Dataset, split: pa.Table, scheme: str, labels: str | None, unlabelled: bool) -> pa.Table:
    """Return id, row, pixel_sha256, label, group and part of the stored samples, sorted by row."""
    ledger = dataset.samples(["id", "row", "pixel_sha256"])
    label_table = dataset.labels(scheme, labels).select(["id", "label"])
    table = ledger.filter(pc.is_valid(ledger["row"]))
    label_table = label_table if unlabelled else label_table.filter(pc.is_valid(label_table["label"]))
    table = table.join(label_table, "id", join_type="inner")
    return table.join(split.select(["id", "group", "part"]), "id", join_type="inner").sort_by("row")


def _class_positions(table: pa.Table, classes: list[str], scheme: str) -> NDArray[np.int32]:
    positions = pc.index_in(table["label"], value_set=pa.array(classes, table["label"].type))
    unknown = pc.unique(table["label"].filter(pc.and_(pc.is_null(positions), pc.is_valid(table["label"])))).to_pylist()
    if unknown:
        raise PartError(f"labels of scheme {scheme!r} hold {unknown}, its classes are {classes}")
    return pc.fill_null(positions, UNLABELLED).to_numpy().astype(np.int32)


def check_no_leak(groups: Sequence[str], parts: Sequence[str], digests: Sequence[str]) -> None:
    """Raise `LeakError` if a group or a pixel digest is in two parts; it names the first five.

    All arguments are n long, one entry a sample.
    """
    for what, keys in (("group", groups), ("pixel sha256", digests)):
        part_of: dict[str, str] = {}
        leaks = {key for key, part in zip(keys, parts, strict=True) if part_of.setdefault(key, part) != part}
        if leaks:
            raise LeakError(
                f"{len(leaks)} {what}s are in two parts of the split, such as {', '.join(sorted(leaks)[:5])}"
            )
