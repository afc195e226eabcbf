"""Frozen holdouts: the part of one version of a dataset that decisions rest on, half of it sealed.

A holdout names a version, which never changes, and the digest of its rows. Its groups are divided in two halves by a
keyed hash: the open half is looked at every night, the sealed one once a calendar month.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from expectations.split_shares import ALL
from tasks.decisions.ledger import decisions_folder
from tasks.learning.training_overlap import COLUMNS, seen_before
from tasks.runtime.workspace import Workspace
from tasks.store.columns import align_column, align_rows
from tasks.store.dataset import Dataset
from tasks.store.files import write_json
from tasks.store.sampling import hash_order
from tasks.store.schema import check_name

Half = Literal["open", "sealed"]
HALVES: tuple[Half, Half] = ("open", "sealed")
FORMAT_VERSION = 1
KEYS = (
    *("format_version", "name", "dataset", "dataset_digest", "scheme", "part", "seed", "digest", "halves", "opened"),
)
NAMED = 5
"""Ids that a message lists."""


class HoldoutError(ValueError):
    """A holdout cannot be frozen or used; the message names it and what to do."""


@dataclass(frozen=True)
class Holdout:
    """A frozen holdout.

    Attributes
    ----------
    name : str
    path : Path
        Its JSON file.
    dataset : Dataset
        The version that it names.
    scheme, part : str
    digest : str
        Of all rows, see `rows_digest`.
    halves : dict of Half to list of str
        Ids of the rows of each half, in order.
    digests : dict of Half to str
        Of the rows of each half.
    opened : tuple of dict
        Openings of the sealed half: ``month`` and what it was opened for.
    """

    name: str
    path: Path
    dataset: Dataset
    scheme: str
    part: str
    digest: str
    halves: dict[Half, list[str]]
    digests: dict[Half, str]
    opened: tuple[dict[str, str], ...]


def holdout_file(workspace: Workspace, name: str) -> Path:
    """Return the path of a holdout's file."""
    return decisions_folder(workspace) / "holdouts" / f"{check_name(name)}.json"


def freeze_holdout(
    workspace: Workspace, name: str, dataset: str, scheme: str, part: str = "test", seed: int = 0
) -> Holdout:
    """Freeze a part of a version of a dataset, and return the holdout; one that is frozen so already is returned.

    Parameters
    ----------
    workspace : Workspace
    name : str
    dataset : str
        ``NAME@3``, or ``NAME`` for the version that is published now.
    scheme : str
    part : str
        train, validation, test, or all of them.
    seed : int
        Key of the hash that divides the groups.

    Raises
    ------
    HoldoutError
        The name is that of another holdout, or the part has fewer than two groups.
    """
    path = holdout_file(workspace, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        opened = Dataset.open(workspace, dataset)
        frozen = _describe(opened, name, scheme, part, seed)
        if path.exists():
            known = _read(path)
            differs = [key for key in KEYS if key != "opened" and known[key] != frozen[key]]
            if differs:
                raise HoldoutError(
                    f"holdout {name!r} is frozen with {differs[0]} {known[differs[0]]!r}, not {frozen[differs[0]]!r}: "
                    "a holdout does not change, freeze another under a new name"
                )
        else:
            write_json(path, frozen)
    return open_holdout(workspace, name)


def open_holdout(workspace: Workspace, name: str) -> Holdout:
    """Return a frozen holdout, whose rows are compared with its digest.

    Raises
    ------
    HoldoutError
        There is none of that name, its file cannot be read, or its rows are not those that were frozen.
    DatasetNotFoundError
        The version is gone.
    """
    path = holdout_file(workspace, name)
    if not path.exists():
        names = ", ".join(sorted(other.stem for other in path.parent.glob("*.json"))) or "none"
        raise HoldoutError(f"there is no holdout {name!r} in {path.parent}; there are: {names}")
    content = _read(path)
    dataset = Dataset.open(workspace, content["dataset"])
    found = _describe(dataset, name, content["scheme"], content["part"], content["seed"])
    if found["digest"] != content["digest"] or found["halves"] != content["halves"]:
        raise HoldoutError(
            f"the rows of holdout {name!r} in {content['dataset']} have the digest {found['digest']}, frozen was "
            f"{content['digest']}: restore that version from a backup, or freeze another holdout under a new name"
        )
    rows = _part_rows(dataset, content["scheme"], content["part"])
    halves = _halves(rows, content["seed"])
    return Holdout(
        name,
        path,
        dataset,
        content["scheme"],
        content["part"],
        content["digest"],
        {half: table["id"].to_pylist() for half, table in halves.items()},
        {half: content["halves"][half]["digest"] for half in HALVES},
        tuple(content["opened"]),
    )


def open_sealed(holdout: Holdout, night: str, purpose: dict[str, str]) -> list[str]:
    """Record that the sealed half is opened in the night's calendar month, and return the ids of its rows.

    Parameters
    ----------
    holdout : Holdout
    night : str
        YYYY-MM-DD.
    purpose : dict of str
        What it is opened for. The same opening again, as by a run that was interrupted, is none.

    Raises
    ------
    HoldoutError
        It was opened for another purpose in this month.
    """
    opening = {"month": night[:7], "night": night, **purpose}
    with FileLock(holdout.path.with_suffix(".lock")):
        content = _read(holdout.path)
        for earlier in content["opened"]:
            if earlier["month"] == opening["month"] and earlier != opening:
                raise HoldoutError(
                    f"the sealed half of holdout {holdout.name!r} was opened in {earlier['month']} already, on the "
                    f"night of {earlier['night']}: it is opened once a calendar month"
                )
        if opening not in content["opened"]:
            write_json(holdout.path, content | {"opened": [*content["opened"], opening]})
    return holdout.halves["sealed"]


def check_overlap(holdout: Holdout, samples: pa.Table, whose: str) -> None:
    """Refuse samples of which one has the id, the pixels or, within 2 arcsec, the position of a row of a holdout.

    Parameters
    ----------
    holdout : Holdout
    samples : Table
        `training_overlap.COLUMNS` of samples that a model is trained on or validated with.
    whose : str
        Whose samples they are, for the message.

    Raises
    ------
    HoldoutError
        The message has the number of rows of the holdout and the first ids.
    """
    ids = [name for half in HALVES for name in holdout.halves[half]]
    rows = align_rows(holdout.dataset.samples(list(COLUMNS)), ids)
    overlapping = rows["id"].filter(pa.array(seen_before(rows, samples))).to_pylist()
    if overlapping:
        raise HoldoutError(
            f"{whose} holds {len(overlapping)} of the {len(ids)} rows of holdout {holdout.name!r} "
            f"({_list(overlapping)}), by id, pixels or position within 2 arcsec: it is not compared on them; keep them "
            "out of training and validation, or freeze another holdout"
        )


def rows_digest(rows: pa.Table) -> str:
    """Return the sha256 over lines of ``id``, ``pixel_sha256``, ``label`` and ``truth``, sorted by id.

    They are separated by tabs; a null is empty.
    """
    lines = sorted("\t".join(word or "" for word in row.values()) for row in rows.select(_DIGESTED).to_pylist())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


_DIGESTED = ["id", "pixel_sha256", "label", "truth"]


def _part_rows(dataset: Dataset, scheme: str, part: str) -> pa.Table:
    """Return id, group, pixel_sha256, label and truth of the samples of a part."""
    split = dataset.split()
    if split is None:
        raise HoldoutError(
            f"dataset {dataset.name!r} version {dataset.version} has no split: build it with a scheme before a holdout "
            "is frozen"
        )
    split = (split if part == ALL else split.filter(pc.equal(split["part"], part))).sort_by("id")
    truth, ids = dataset.truth(), split["id"]
    return pa.table(
        {
            "id": ids,
            "group": split["group"],
            "pixel_sha256": align_column(dataset.samples(["id", "pixel_sha256"]), "pixel_sha256", ids),
            "label": align_column(dataset.labels(scheme), "label", ids),
            "truth": pa.nulls(len(ids), pa.string()) if truth is None else align_column(truth, "truth", ids),
        }
    )


def _halves(rows: pa.Table, seed: int) -> dict[Half, pa.Table]:
    """Divide rows by group: the groups by turns in the order of their hash, so that both halves have as many."""
    names = np.unique(rows["group"].to_numpy(zero_copy_only=False)).tolist()
    order = [names[position] for position in hash_order((f"holdout/{name}" for name in names), seed)]
    return {half: rows.filter(pc.is_in(rows["group"], pa.array(order[turn::2]))) for turn, half in enumerate(HALVES)}


def _describe(dataset: Dataset, name: str, scheme: str, part: str, seed: int) -> dict[str, Any]:
    rows = _part_rows(dataset, scheme, part)
    groups = len(pc.unique(rows["group"]))
    if groups < len(HALVES):
        raise HoldoutError(
            f"part {part!r} of dataset {dataset.name!r} version {dataset.version} has {groups} groups: a holdout has "
            "two halves of whole groups; build a larger dataset"
        )
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "dataset": f"{dataset.name}@{dataset.version}",
        "dataset_digest": dataset.digest,
        "scheme": scheme,
        "part": part,
        "seed": seed,
        "digest": rows_digest(rows),
        "halves": {
            half: {"rows": len(table), "groups": len(pc.unique(table["group"])), "digest": rows_digest(table)}
            for half, table in _halves(rows, seed).items()
        },
        "opened": [],
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in KEYS if key not in content]
    except (ValueError, TypeError) as error:
        raise HoldoutError(f"{path} is no JSON ({error}): restore it from a backup") from error
    if missing:
        raise HoldoutError(f"{path} lacks {', '.join(missing)}: restore it from a backup")
    if content["format_version"] != FORMAT_VERSION:
        raise HoldoutError(f"{path} is of format {content['format_version']}, this program reads {FORMAT_VERSION}")
    return dict(content)


def _list(ids: Sequence[str] | Iterable[str]) -> str:
    names = list(ids)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
