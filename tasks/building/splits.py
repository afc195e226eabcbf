"""The split: train, validation and test in 8:1:1 by whole groups, drawn once and then only added to.

The first labelled version draws it, stratified by class. A group that comes later is placed by a keyed hash of its
name and the seed of that first draw: its part depends neither on the order of arrival, nor on a new scheme, nor on the
seed of a later build. The key has a prefix of its own, since a request's ``limit`` takes the smallest hashes of id and
seed, and a galaxy without neighbours is a group named by its id: with one stream, all newcomers would be in train.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.split_shares import PART_SHARES, PARTS
from tasks.store.columns import align_column
from tasks.store.sampling import hash_share, hash_shares

PLACEMENT = "part/"
"""Prefix of the key by which a late group is placed; no other draw has it."""


def part_by_hash(group: str, seed: int) -> str:
    """Return the part of a group that came after the split was drawn; `seed` is that of the draw."""
    share = hash_share(f"{PLACEMENT}{group}", seed)
    if share < PART_SHARES["train"]:
        return "train"
    return "validation" if share < PART_SHARES["train"] + PART_SHARES["validation"] else "test"


def draw_split(groups: pa.Array, labels: pa.Array, seed: int) -> pa.Array:
    """Draw the first split.

    Groups are taken largest first, equal ones in the order of their keyed hash, and each goes to the part with the
    largest shortfall of the group's classes relative to its quota. (scikit-learn's ``StratifiedGroupKFold`` depends on
    the order of the samples, and has no unequal parts.)

    Parameters
    ----------
    groups, labels : Array of string, (n,)
        Null for an unlabelled sample; these are a stratum of their own.
    seed : int

    Returns
    -------
    Array of string, (n,)
        The part of each sample.
    """
    names, codes = _codes(groups)
    classes, label_codes = _codes(pc.fill_null(labels, ""))
    counts = np.bincount(codes * len(classes) + label_codes, minlength=len(names) * len(classes))
    counts = counts.reshape(len(names), len(classes)).astype(np.int32)
    sizes, totals = counts.sum(axis=1), counts.sum(axis=0)
    quotas = [[PART_SHARES[part] * total for total in totals.tolist()] for part in PARTS]
    filled = [[0] * len(classes) for _ in PARTS]
    part_of = np.zeros(len(names), np.int8)

    def shortfall(part: int, label_counts: list[tuple[int, int]]) -> tuple[float, float]:
        """Return the part's shortfall of the group's classes relative to its quota, then its overall one."""
        has, quota = filled[part], quotas[part]
        of_classes = sum(count * (1 - has[label] / quota[label]) for label, count in label_counts)
        return of_classes, 1 - sum(has) / (PART_SHARES[PARTS[part]] * len(groups))

    for block in _blocks(np.lexsort((hash_shares(_python_values(names), seed), -sizes))):
        for group, group_counts in zip(block.tolist(), counts[block].tolist(), strict=True):
            label_counts = [(label, count) for label, count in enumerate(group_counts) if count]
            part = max(range(len(PARTS)), key=lambda part: shortfall(part, label_counts))
            part_of[group] = part
            for label, count in label_counts:
                filled[part][label] += count
    return _part_names(part_of[codes])


def place(groups: pa.Array, labels: pa.Array, split: pa.Table | None, seed: int) -> pa.Array:
    """Return the part of every sample: its group's published part, by hash for a new group, or drawn.

    Parameters
    ----------
    groups, labels : Array of string, (n,)
    split : Table or None
        The published split, columns group and part; without one the split is drawn.
    seed : int
        The seed with which the split was or is drawn.

    Returns
    -------
    Array of string, (n,)
    """
    if split is None or split.num_rows == 0:
        return draw_split(groups, labels, seed)
    published = align_column(split, "part", groups, key="group").combine_chunks()
    names, codes = _codes(groups.filter(pc.is_null(published)))
    by_hash = pa.array([part_by_hash(name, seed) for name in names.to_pylist()], pa.string())
    return pc.replace_with_mask(published, pc.is_null(published), by_hash.take(pa.array(codes)))


def split_by_time(groups: pa.Array, nights: pa.Array) -> pa.Array:
    """Place samples by night: the first eight tenths in train, then validation, then test, in whole nights.

    Parameters
    ----------
    groups, nights : Array of string, (n,)
        Nights in order of time when sorted as text.

    Returns
    -------
    Array of string, (n,)
        The part of each sample. Null for a sample whose group has samples in an earlier part: the same sky would be
        in both. All null if there are fewer than three nights.
    """
    names, night_of = _codes(nights)
    if len(names) < len(PARTS):
        return pa.nulls(len(nights), pa.string())
    sizes = np.bincount(night_of, minlength=len(names)).tolist()
    part_of_night = np.zeros(len(names), np.int8)
    before = 0
    for number, size in enumerate(sizes):
        share = before / len(nights)
        part = 0 if share < PART_SHARES["train"] else 1 if share < 1 - PART_SHARES["test"] else 2
        # However uneven the nights are, the last two go to validation and test.
        part_of_night[number] = max(part, number + len(PARTS) - len(names))
        before += size
    group_names, group_of = _codes(groups)
    first = np.full(len(group_names), len(names))
    np.minimum.at(first, group_of, night_of)
    parts = part_of_night[night_of]
    return _part_names(parts, part_of_night[first][group_of] != parts)


def _codes(values: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the distinct values in order, and the position of each value (n,) among them."""
    distinct = pc.unique(values).sort()
    return distinct, pc.index_in(values, distinct).to_numpy()


def _blocks(values: np.ndarray, size: int = 10_000) -> Iterator[np.ndarray]:
    """Yield pieces of an array, so that few values at a time become Python objects."""
    return (values[start : start + size] for start in range(0, len(values), size))


def _python_values(values: pa.Array) -> Iterator[str]:
    return (value for block in _blocks(np.arange(len(values))) for value in values.take(block).to_pylist())


def _part_names(codes: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    return pa.array(PARTS, pa.string()).take(pa.array(codes, pa.int8(), mask=missing))
